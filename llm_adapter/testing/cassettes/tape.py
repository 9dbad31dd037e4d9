"""The lines of a cassette: one call each, as OpenAI's API has it, whatever answered. No IO but the file's.

A line is a JSON object: `method`, `path` (below /v1), `query` and `request` (the arguments as the SDK got them: before
aliases and translation), `status`, `headers` (few), what came - `reply` (JSON), `events` (the `data` of a stream,
each parsed), `text` or `base64` -, `abandoned` for a stream that nobody read on, `failure` for one that broke off or
a call that got no reply, and `meta`, which nothing is matched by.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from base64 import b64decode, b64encode
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from llm_adapter.provider import Json
from llm_adapter.settings.errors import near

DONE = "[DONE]"
# The fields of a line, and what JSON may stand in them; in those of _NONE also null.
_KINDS: dict[str, Any] = {
    **dict.fromkeys(("method", "path", "text", "base64"), str),
    **dict.fromkeys(("query", "headers", "failure", "meta"), dict),
    **dict.fromkeys(("request", "reply"), object),
    "status": int,
    "events": list,
    "abandoned": bool,
}
_NONE = ("text", "base64", "failure", "request", "reply", "status", "events")


class CassetteError(AssertionError):
    """A test asked for what its cassette does not have, or the cassette cannot be read."""


@dataclass(frozen=True)
class RecordedRequest:
    """A call as the SDK got it."""

    method: str
    path: str
    request: Any = None  # the body; None where there is none
    query: Json = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Line:
    """One call and what came of it. Exactly one of `reply`, `events`, `text`, `base64` and `failure` begins it."""

    method: str
    path: str
    query: Json = field(default_factory=dict)
    request: Any = None
    status: int | None = None  # None: no reply came
    headers: Mapping[str, str] = field(default_factory=dict)
    reply: Any = None
    events: Sequence[Any] | None = None  # an object, text that is none, or {"event": name, "data": ...} of a named one
    text: str | None = None
    base64: str | None = None
    abandoned: bool = False
    failure: Json | None = None  # {"kind": the exception's class, "message": ...}
    meta: Json = field(default_factory=dict)

    @property
    def call(self) -> RecordedRequest:
        return RecordedRequest(self.method, self.path, self.request, self.query)

    def pieces(self) -> Iterator[bytes]:
        """The reply's body, as it came: a stream's events one by one."""
        if self.events is not None:
            yield from map(_event, self.events)
        elif self.base64 is not None:
            yield b64decode(self.base64)
        elif self.text is not None:
            yield self.text.encode()
        elif self.reply is not None:
            yield json.dumps(self.reply, ensure_ascii=False, separators=(",", ":")).encode()

    def to_json(self) -> str:
        """The line, without what it does not have."""
        kept = {one.name: getattr(self, one.name) for one in fields(self)}
        for one in fields(self):
            if kept[one.name] == (one.default if one.default_factory is MISSING else one.default_factory()):
                del kept[one.name]
        return json.dumps(kept, ensure_ascii=False)


def body(content_type: str, data: bytes) -> Json:
    """The fields of a line that hold a reply's body."""
    if content_type.startswith("text/event-stream"):
        return {"events": list(events(data.decode("utf-8", "replace")))}
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}
    if "json" in content_type and (parsed := _parse_json(text)) is not None:
        return {"reply": parsed}
    return {"text": text}


def events(text: str) -> Iterator[Any]:
    """The events of a stream. Source: the WHATWG's HTML standard, 9.2.6 "Interpreting an event stream"."""
    name, data = "", []
    for line in re.split(r"\r\n|\n|\r", text):
        kind, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if kind == "event":
            name = value
        elif kind == "data":
            data.append(value)
        elif not line and data:
            parsed = _parse_json("\n".join(data))
            display_path = parsed if isinstance(parsed, dict) else "\n".join(data)
            yield {"event": name, "data": display_path} if name else display_path
            name, data = "", []


def event_parts(event: Any) -> tuple[str, Any]:
    """An event's name, "" without one, and its data."""
    if isinstance(event, dict) and event.keys() == {"event", "data"}:
        return event["event"], event["data"]
    return "", event


def _event(event: Any) -> bytes:
    name, data = event_parts(event)
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    lines = [f"event: {name}"] if name else []
    return ("\n".join([*lines, *(f"data: {line}" for line in text.split("\n"))]) + "\n\n").encode()


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def load_lines(path: Path) -> list[Line]:
    """The lines of a file. Raises `CassetteError` that names the line which cannot be read, and why."""
    # Lines end at one byte: a reply may hold U+2028, at which splitlines would cut.
    texts = enumerate(path.read_bytes().removeprefix(BOM_UTF8).split(b"\n"), 1)
    return [_parse_line(text, f"{display_path(path)}, line {number}") for number, text in texts if text.strip()]


def _parse_line(data: bytes, where: str) -> Line:
    try:
        return Line(**_fields(data.decode()))
    except ValueError as error:
        cure = "mend it, or delete the file and record it anew"
        raise CassetteError(f"{where}: not a line of a cassette: {_reason(error)}; {cure}") from None


def _fields(text: str) -> Json:
    """What a line tells. Raises ValueError with the reason."""
    if text.startswith(("<<<<<<<", "=======", ">>>>>>>", "|||||||")):
        raise ValueError("a merge was not finished here")
    told = json.loads(text)
    if not isinstance(told, dict):
        raise ValueError("it is no JSON object")
    if unknown := told.keys() - _KINDS.keys():
        raise ValueError(f"it has no field {min(unknown)!r}{near(min(unknown), _KINDS)}")
    if missing := {"method", "path"} - told.keys():
        raise ValueError(f"{min(missing)!r} is missing")
    wrong = [name for name, value in told.items() if not (value is None and name in _NONE) and not _fits(name, value)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} cannot be {json.dumps(told[wrong[0]], ensure_ascii=False)[:40]}")
    return told


def _fits(name: str, value: Any) -> bool:
    return isinstance(value, _KINDS[name])


def _reason(error: ValueError) -> str:
    match error:
        case json.JSONDecodeError():
            return f"{error.msg} at column {error.colno}"
        case UnicodeDecodeError():
            return "it is not UTF-8"
        case _:
            return str(error)


def display_path(path: Path) -> str:
    """The file as a reader of the message finds it: from where the tests were started, if it is below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def save_lines(path: Path, lines: Sequence[Line]) -> None:
    """Write the file as a whole, or not at all: what was there before stays until the new one is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line.to_json()}\n" for line in lines)
        os.chmod(name, 0o644)  # mkstemp's file is its owner's alone; this one goes into version control
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
