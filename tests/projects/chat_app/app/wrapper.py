"""Knows nothing of the SDK: another module hands the client in."""


def ask(llm, question):
    first = llm.chat.completions.create(model="gpt-4o-mini", messages=HI, logit_bias={"1": 5})  # expect: call chat.completions.create likely; hard-coded-model gpt-4o-mini; refused logit_bias
    return first, llm.embeddings.create(input=question)  # expect: call embeddings.create likely
