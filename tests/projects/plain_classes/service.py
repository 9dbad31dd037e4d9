"""Classes with no base in the whole file: what `self` holds is looked at all the same."""

import openai


class Service:
    def __init__(self, client: openai.OpenAI, other) -> None:
        self.client = client
        self.other = other

    def ask(self, text):
        with self.client.chat.completions.stream(messages=text, model=self.model, n=2) as stream:  # expect: call chat.completions.stream; emulated n
            return stream

    def make(self):
        return self.client

    def again(self, text):
        return self.make().embeddings.create(input=text, model=self.model)  # expect: call embeddings.create

    def likely(self, text):
        return self.other.with_raw_response.chat.completions.create(messages=text, model=self.model, logit_bias={"1": 2})  # expect: call chat.completions.create likely; refused logit_bias

    def own(self):
        return self.chat.completions.create(messages=[], model="mine")

    def use(self):
        return Service(None, None).client.models.list()  # expect: call models.list
