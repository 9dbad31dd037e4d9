"""No wrapper: the same words are nobody's."""

from openai import OpenAI

OpenAI().chat.completions.create(model=model, messages=HI, name="n")  # expect: client OpenAI; call chat.completions.create; refused name
