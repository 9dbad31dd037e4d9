"""Looks like OpenAI's client, and is not: there is nothing to find here."""

from dataclasses import dataclass


@dataclass
class Completions:
    log: list

    def create(self, **fields):
        self.log.append(fields)


class Chat:
    def __init__(self):
        self.completions = Completions([])


class Bot:
    def __init__(self):
        self.chat = Chat()

    def say(self, text):
        return self.chat.completions.create(messages=[text], logit_bias={"1": 5})


openai = Bot()
openai.chat.completions.create(model="gpt-4o", messages=["hello"])
Bot().chat.completions.create(messages=HI)
COMMENT = "client.chat.completions.create(model='gpt-4o')"  # client.embeddings.create(input="x")


def survey(db, gpt):
    db.responses.create(question="How are you?", answer="Fine")
    db.embeddings.create(shape=(3, 4))
    db.chat.completions.append("x")
    gpt.models.list()
    return db.files.create(name="x")
