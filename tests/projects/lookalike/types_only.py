"""Names of the SDK that make no client and no call."""

from openai import BadRequestError, OpenAIError
from openai.types.chat import ChatCompletionMessageParam


def shown(error: OpenAIError, messages: list[ChatCompletionMessageParam]) -> str:
    return f"{error}: openai.ChatCompletion.create {isinstance(error, BadRequestError)}"
