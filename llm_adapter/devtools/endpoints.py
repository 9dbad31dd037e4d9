"""The four endpoints that models answer: the SDK's resource of each, and which one takes which arguments."""

from __future__ import annotations

from llm_adapter.devtools.openai_rules import known_arguments
from llm_adapter.provider import Json

RESOURCES = {
    "/chat/completions": "chat.completions",
    "/completions": "completions",
    "/embeddings": "embeddings",
    "/responses": "responses",
}
PATHS = tuple(RESOURCES)


def endpoint_of(body: Json) -> str:
    """The path, below /v1, of the call that takes these arguments. Raises ValueError where none does, or several do."""
    held = [key for key in ("messages", "prompt", "input") if key in body and (key != "prompt" or "input" not in body)]
    match held:
        case ["messages"]:
            return "/chat/completions"
        case ["prompt"] if not isinstance(body["prompt"], dict):
            return "/completions"
        case ["prompt"]:  # a prompt that is kept at OpenAI
            return "/responses"
        case ["input"]:
            return "/responses" if _is_response(body) else "/embeddings"
        case [] if _is_response(body):
            return "/responses"
        case []:
            raise ValueError("a call needs `messages`, `prompt` or `input`")
        case _:
            raise ValueError(f"give one of {' and '.join(f'`{key}`' for key in held)}")


def _is_response(body: Json) -> bool:
    given = body.get("input")
    items = isinstance(given, list) and any(isinstance(item, dict) for item in given)
    return items or bool(body.keys() & (known_arguments("/responses") - known_arguments("/embeddings")))
