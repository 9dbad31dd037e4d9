"""A recorded reply as the next turn of a fake server."""

from __future__ import annotations

from typing import Any

from llm_adapter.devtools.explain import PATHS
from llm_adapter.provider import Json
from llm_adapter.testing.cassettes.tape import CassetteError, Line, named


def script(fake: Any, line: Line) -> bool:
    """Whether the fake server has it as its next turn: a model's replies can be said, those of other calls cannot.

    Raises `CassetteError` for a reply of a model that no turn makes.
    """
    from llm_adapter.testing.replies import reply

    if line.path not in PATHS or line.status is None:
        return False
    whole = line.reply if line.events is None else assembled(line.path, [named(one)[1] for one in line.events])
    try:
        turn = reply(whole or {}, line.status if line.status >= 400 else None)
    except ValueError as error:
        raise CassetteError(f"{line.asked} cannot be played on a fake server: {error}") from None
    fake.script(turn)
    return True


def assembled(path: str, events: list[Any]) -> Json | None:
    """The reply that a stream's events make; None where they make none."""
    chunks = [one for one in events if isinstance(one, dict)]
    if path == "/responses":
        return next((one["response"] for one in chunks if one.get("type") == "response.completed"), None)
    if path == "/completions":
        return _completion(chunks)
    return _chat(chunks) if chunks else None


def _chat(chunks: list[Json]) -> Json:
    from openai.lib.streaming.chat import ChatCompletionStreamState
    from openai.types.chat import ChatCompletionChunk

    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.construct(**chunk))
    return state.current_completion_snapshot.to_dict(mode="json")


def _completion(chunks: list[Json]) -> Json | None:
    if not chunks:
        return None
    choices: dict[int, Json] = {}
    for chunk in chunks:
        for choice in chunk.get("choices") or ():
            known = choices.setdefault(choice.get("index", 0), {**choice, "text": ""})
            known["text"] += choice.get("text") or ""
            known["finish_reason"] = choice.get("finish_reason") or known.get("finish_reason")
    usage = next((chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None)
    return {**chunks[0], "choices": list(choices.values()), "usage": usage}
