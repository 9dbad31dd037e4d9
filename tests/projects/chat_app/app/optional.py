try:
    from openai import OpenAI
except ImportError:
    OpenAI = None


def make() -> "OpenAI":
    return OpenAI()  # expect: client OpenAI


make().chat.completions.create(model="qwen3:8b", messages=HI)  # expect: call chat.completions.create; hard-coded-model qwen3:8b
