"""Which line answers a call, what to say when none does, and how a line becomes a fake server's turn. No IO."""

from __future__ import annotations

import difflib
import json
import re
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from llm_adapter.devtools.endpoints import PATHS
from llm_adapter.provider import Json
from llm_adapter.testing.cassettes.tape import CassetteError, Line, RecordedRequest, display_path, event_parts


def canonical(call: RecordedRequest, ignore: Iterable[str] = ()) -> Json:
    """What two calls are equal by: None is "not given", as in OpenAI's API, and so is `stream: false`.

    ignore: ways to fields of the body that do not count, "metadata.run_id"; `*` is any name or place.
    """
    request = _plain(call.request)
    if isinstance(request, dict) and request.get("stream") is False:
        del request["stream"]
    for way in ignore:
        _drop(request, way.split("."))
    told = {"method": call.method, "path": call.path, "query": _plain(call.query) or None, "request": request}
    return {name: value for name, value in told.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items() if one is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _drop(value: Any, way: Sequence[str]) -> None:
    name, *rest = way
    for found in _matching_keys(value, name):
        if rest:
            _drop(value[found], rest)
        elif isinstance(value, dict):
            del value[found]
        else:
            value[found] = None


def _matching_keys(value: Any, name: str) -> list[Any]:
    if isinstance(value, dict):
        return list(value) if name == "*" else [name] if name in value else []
    places = range(len(value)) if isinstance(value, list) else ()
    return [place for place in places if name in ("*", str(place))]


class Shelf:
    """The lines of one cassette, each of which is taken once, equal ones in their order."""

    def __init__(self, path: Path, lines: Sequence[Line], ignore: Sequence[str], anew: str) -> None:
        """anew: how the cassette is recorded once more."""
        self._path = display_path(path)
        self._ignore = ignore
        self._advice = (
            f"To record it anew: {anew}, for this test alone. "
            "A field that may differ: ignore=[...], of @pytest.mark.llm_cassette or of cassette()"
        )
        self._lines = lines
        self._texts = [_canonical_text(line.call, ignore) for line in lines]
        self._taken: set[int] = set()
        self._lock = threading.Lock()

    def take(self, call: RecordedRequest) -> Line:
        """The line that answers a call. Raises `CassetteError` with the nearest one."""
        __tracebackhide__ = True  # of pytest: the test's own lines are what matters
        text = _canonical_text(call, self._ignore)
        with self._lock:
            equal = [place for place, one in enumerate(self._texts) if one == text]
            for place in equal:
                if place not in self._taken:
                    self._taken.add(place)
                    return self._lines[place]
            raise CassetteError(self._repeat_message(call, equal) if equal else self._drift_message(call, text))

    def left(self) -> list[str]:
        """The lines that nothing asked for, to be shown."""
        return [
            f"line {place + 1}: {line.call} {_request_summary(line.request)}"
            for place, line in enumerate(self._lines)
            if place not in self._taken
        ]

    def _repeat_message(self, call: RecordedRequest, equal: Sequence[int]) -> str:
        times = f"{len(equal)} time{'s' if len(equal) > 1 else ''}"
        return f"{call} was recorded {times} in {self._path}, and is asked once more\n{self._advice}"

    def _drift_message(self, call: RecordedRequest, text: str) -> str:
        said = f"nothing in {self._path} answers {call}"
        if not self._lines:
            return f"{said}: it holds no call\n{self._advice}"
        place = max(range(len(self._lines)), key=lambda one: self._nearness(one, call, text))
        used = ", which has answered a call already" if place in self._taken else ""
        diff = difflib.unified_diff(_lines(self._texts[place]), _lines(text), "recorded", "asked", lineterm="", n=3)
        return "\n".join([f"{said}; the nearest is line {place + 1}{used}:", *diff, self._advice])

    def _nearness(self, place: int, call: RecordedRequest, text: str) -> tuple[bool, float, bool]:
        matcher = difflib.SequenceMatcher(None, _lines(self._texts[place]), _lines(text), autojunk=False)
        return self._lines[place].path == call.path, matcher.ratio(), place not in self._taken


_LONG = 120  # characters: a longer line is a prompt, in which the difference would not be seen
_SENTENCE = re.compile(r"(?<=\\n)|(?<=[.!?;] )")


def _lines(text: str) -> list[str]:
    """The lines of a text to be compared, a prompt's sentences each in one."""
    lines = text.split("\n")
    return [part for line in lines for part in (_SENTENCE.split(line) if len(line) > _LONG else [line]) if part]


def _canonical_text(call: RecordedRequest, ignore: Sequence[str]) -> str:
    return json.dumps(canonical(call, ignore), ensure_ascii=False, indent=2, sort_keys=True)


def _request_summary(request: Any) -> str:
    text = json.dumps(request, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:100]}..."


# --- a recorded reply as the next turn of a fake server


def script_reply(fake: Any, line: Line) -> bool:
    """Whether the fake server has it as its next turn: a model's replies can be said, those of other calls cannot.

    Raises `CassetteError` for a reply of a model that no turn makes.
    """
    from llm_adapter.testing.turns import reply

    if line.path not in PATHS or line.status is None:
        return False
    whole = (
        line.reply if line.events is None else assemble_stream(line.path, [event_parts(one)[1] for one in line.events])
    )
    try:
        turn = reply(whole or {}, line.status if line.status >= 400 else None)
    except ValueError as error:
        raise CassetteError(f"{line.call} cannot be played on a fake server: {error}") from None
    fake.script(turn)
    return True


def assemble_stream(path: str, events: list[Any]) -> Json | None:
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
