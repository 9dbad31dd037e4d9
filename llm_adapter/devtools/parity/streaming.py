"""A streamed call of a suite: the reply as it would have been without `stream`, and when its pieces came.

Replies are put together as shadow mode does it, so that all that is held against one another is of one form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any, TypeAlias

import openai

from llm_adapter.devtools.parity.figures import Pace
from llm_adapter.provider import Json
from llm_adapter.shadow.streams import READERS

_SAID = ("content", "refusal", "tool_calls", "function_call", "text")
_THOUGHT = ("reasoning", "reasoning_content")
_Timed: TypeAlias = "Sequence[tuple[float, Json]]"  # seconds since the call began, and the chunk


def read(path: str, stream: Any, since: float, clock: Callable[[], float] = perf_counter) -> tuple[Json, Pace]:
    """The whole reply of a stream of the SDK's, read to its end, and its pace.

    since: when the call began, by the clock. Raises what the stream raises, and ValueError for chunks that are none.
    """
    with stream:  # what is made of the chunks comes after: it takes time that is not the server's
        came = [(clock() - since, chunk) for chunk in stream]
    try:
        timed = [(when, chunk.to_dict(mode="json", warnings=False)) for when, chunk in came]
        # Of /responses: the SDK hands on what it raises elsewhere.
        if event := next((chunk for _, chunk in timed if chunk.get("type") == "error"), None):
            raise openai.APIError(str(event.get("message")), stream.response.request, body=event)
        return READERS[path](chunk for _, chunk in timed), pace(timed)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("the stream holds what is no chunk of OpenAI's") from error


def pace(timed: _Timed) -> Pace:
    """When the pieces came: those of what is said, and of what is thought before it, which is no answer yet."""
    said = [when for when, chunk in timed if any(_parts(chunk, _SAID))]
    pieces = [when for when, chunk in timed if any(_parts(chunk, (*_SAID, *_THOUGHT)))]
    between = (pieces[-1] - pieces[0]) / (len(pieces) - 1) if len(pieces) > 1 else None
    return Pace(said[0] if said else None, between)


def _parts(chunk: Json, names: Sequence[str]) -> Iterator[Any]:
    """What is in a chunk under such names; of /responses, in an event."""
    if str(chunk.get("type")).endswith(".delta"):
        yield chunk.get("delta") and ("reasoning" in names or "reasoning" not in chunk["type"])
    for choice in chunk.get("choices") or ():
        parts = {**choice, **(choice.get("delta") or {})}
        yield from (parts.get(name) for name in names)
