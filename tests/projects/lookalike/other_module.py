"""Another company's package, its own name bound again; and an agent service of its own."""

import together
from together import Together

together = Together()
together.chat.completions.create(model="m", messages=HI)


class Own:
    def ask(self, prompt):
        return self.images.generate(size=1), self.beta.files.create(name="x")
