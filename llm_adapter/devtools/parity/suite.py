"""A suite: the calls to compare, and what is expected of them. YAML, or lines of the Batch API as JSONL.

Every mistake names its file, the line, the prompt and the field; a misspelt name gets the nearest one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from llm_adapter.devtools.endpoints import PATHS, endpoint_of
from llm_adapter.devtools.openai_rules import known_arguments
from llm_adapter.devtools.parity.fields import Expect, File, Given, Price, Similarity, Thresholds
from llm_adapter.devtools.parity.thresholds import OF_STREAMS
from llm_adapter.provider import Json
from llm_adapter.settings.errors import near

_ENDPOINTS = dict(zip(("chat", "completions", "embeddings", "responses"), PATHS, strict=True))  # as a suite names them
_COUNTED = ("/chat/completions", "/completions")
# What the SDK's methods take beside OpenAI's arguments; headers, and the keys in them, stay out of a suite.
_OF_THE_SDK = frozenset({"extra_body", "extra_query"})


def known(path: str) -> frozenset[str]:
    """The names of the arguments that a call to this endpoint may have."""
    return known_arguments(path) | _OF_THE_SDK


def whole_or_streamed(path: str, body: Json, own: Json) -> Json:
    """The arguments of a call with those that fit its `stream`. own: those that are not a default.

    A stream counts its tokens only where it is asked to; what is left out with the defaults means nothing to others.
    """
    if body.get("stream"):
        counted = {"stream_options": {"include_usage": True}} if path in _COUNTED else {}
        return {**counted, **body}
    return {name: value for name, value in body.items() if name != "stream_options" or name in own}


_Path = tuple[str | int, ...]  # to a value in the file: ("prompts", 2, "expect")
_ONLY_STREAMS = "only streams are judged by it: give `stream: true` here or under `defaults`"
_MERGE = "<<"  # YAML's key for what an anchor holds


class SuiteError(Exception):
    """What is wrong with a suite's file, and where."""


@dataclass(frozen=True)
class Prompt:
    """One call, made several times on both sides."""

    name: str
    path: str  # below /v1
    body: Json  # its arguments, as the SDK takes them
    expect: Expect = field(default_factory=Expect)
    thresholds: Mapping[str, float | None] = field(default_factory=dict)  # the suite's and its own; None: not judged

    @property
    def streamed(self) -> bool:
        return self.body.get("stream") is True


@dataclass(frozen=True)
class Suite:
    """All calls of a file."""

    prompts: tuple[Prompt, ...]
    runs: int = 3
    prices: Mapping[str, Price] = field(default_factory=dict)  # by the name of a model, the call sites' or a server's
    similarity: Similarity | None = None

    def only(self, names: list[str]) -> Suite:
        """The suite with these prompts alone. Raises `SuiteError`."""
        have = [one.name for one in self.prompts]
        for name in names:
            if name not in have:
                raise SuiteError(f"no prompt is named {name!r}{near(name, have)}; there are {', '.join(have)}")
        chosen = tuple(one for one in self.prompts if not names or one.name in names)
        return Suite(chosen, self.runs, self.prices, self.similarity)


class _Fault(NamedTuple):
    path: _Path
    text: str


def load(file: Path) -> Suite:
    """The suite in a file. Raises `SuiteError`."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SuiteError(f"{file} cannot be read: {why}") from None
    return lines(text, str(file)) if file.suffix == ".jsonl" else parse(text, str(file))


def parse(text: str, name: str) -> Suite:
    """The suite that some YAML describes. Raises `SuiteError`."""
    import yaml

    try:
        node, content = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}, line {mark.line + 1}" if mark else name
        raise SuiteError(f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    marks = dict(_marks(node, ())) if node is not None else {}
    found = _duplicate(node, ()) if node is not None else None
    if found is None:
        try:
            return _suite(File.model_validate(content))
        except ValidationError as error:
            found = _first(error)
        except _Mistake as mistake:
            found = mistake.fault
    raise SuiteError(f"{_where(name, found.path, marks, content)}: {found.text}")


def lines(text: str, name: str) -> Suite:
    """The suite of lines of the Batch API, or of a cassette; what was streamed is streamed.

    {"custom_id": ..., "url": "/v1/chat/completions", "body": {...}} or {"path": "/chat/completions", "request": {...}}
    """
    numbered = ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
    found = [_prompt_of_line(line, f"{name}, line {number}", number) for number, line in numbered]
    prompts = [one for one in found if one is not None]
    names = [one.name for one in prompts]
    if not prompts or len(set(names)) < len(names):
        raise SuiteError(
            f"{name}: " + ("two lines have the same `custom_id`" if prompts else "it has no calls to make")
        )
    return Suite(tuple(prompts))


def _prompt_of_line(line: str, where: str, number: int) -> Prompt | None:
    """The prompt of one line; None for a call in a cassette that no model answers, such as a list of models."""
    try:
        match json.loads(line):
            case {"url": str() as url, "body": {"model": str()} as body, **rest}:
                path = "/" + url.strip("/").removeprefix("v1/")
                if path not in PATHS:
                    raise SuiteError(f"{where}: {url!r} is none of {', '.join(PATHS)}")
                return Prompt(str(rest.get("custom_id") or f"line {number}"), path, whole_or_streamed(path, body, body))
            case {"path": str() as path, "request": {"model": str()} as body} if path in PATHS:
                return Prompt(f"line {number}", path, whole_or_streamed(path, body, body))
            case {"path": str(), "method": str()}:
                return None
    except ValueError as error:
        raise SuiteError(f"{where}: not JSON: {error}") from None
    raise SuiteError(f"{where}: a line of the Batch API has `url`, and `body` with a `model`")


class _Mistake(Exception):  # noqa: N818 - it becomes a `SuiteError`
    def __init__(self, path: _Path, text: str) -> None:
        self.fault = _Fault(path, text)


def _suite(file: File) -> Suite:
    prompts = tuple(_prompt(one, file, place) for place, one in enumerate(file.prompts))
    used = {one.path for one in prompts}
    takes = set().union(*(known(path) for path in used))
    for name in file.defaults:
        if name not in takes:
            raise _Mistake(("defaults", name), f"no call takes {name!r}{near(name, takes)}")
    if not any(one.streamed for one in prompts) and (idle := _of_streams(_limits_given(file.thresholds))):
        raise _Mistake(("thresholds", idle), _ONLY_STREAMS)
    return Suite(prompts, file.runs, file.prices, file.similarity)


def _prompt(given: Given, file: File, place: int) -> Prompt:
    own = dict(given.model_extra or {})
    if any(one.name == given.name for one in file.prompts[:place]):
        raise _Mistake(("prompts", place, "name"), "another prompt has this name")
    if given.user is not None:
        own["messages"] = _messages(given, own, place)
    elif given.system is not None:
        raise _Mistake(("prompts", place, "system"), "`system` goes with `user`; `messages` holds a system message")
    try:
        path = _ENDPOINTS[given.endpoint] if given.endpoint else endpoint_of(own)
    except ValueError as error:
        raise _Mistake(("prompts", place), str(error)) from None
    takes = known(path)
    for name in own:
        if name not in takes:
            hint = near(name, (*takes, *Given.model_fields)) or "; `extra_body` holds what only some servers know"
            raise _Mistake(("prompts", place, name), f"{path} does not take {name!r}{hint}")
    body = {name: value for name, value in file.defaults.items() if name in takes} | own
    if not isinstance(body.get("model"), str):
        raise _Mistake(("prompts", place), "`model` is missing: give it here or under `defaults`")
    if not isinstance(body.get("stream"), bool | None):
        raise _Mistake(("prompts", place, "stream"), "`stream` is true or false")
    limits = _limits_given(given.thresholds)
    prompt = Prompt(
        given.name, path, whole_or_streamed(path, body, own), given.expect, {**_limits_given(file.thresholds), **limits}
    )
    if not prompt.streamed and (idle := _of_streams(limits)):
        raise _Mistake(("prompts", place, "thresholds", idle), _ONLY_STREAMS)
    return prompt


def _messages(given: Given, own: Json, place: int) -> list[Json]:
    if double := own.keys() & {"messages", "prompt", "input"}:
        raise _Mistake(
            ("prompts", place, "user"), f"`user` is a short form of `messages`, and goes without `{min(double)}`"
        )
    before = [] if given.system is None else [{"role": "system", "content": given.system}]
    return [*before, {"role": "user", "content": given.user}]


def _of_streams(limits: Mapping[str, float | None]) -> str | None:
    """The first threshold that only a stream can meet or break."""
    return next((name for name in OF_STREAMS if limits.get(name) is not None), None)


def _limits_given(thresholds: Thresholds) -> dict[str, float | None]:
    return thresholds.model_dump(exclude_unset=True)


# --- where a mistake is ----------------------------------------------------------------------------------------------


def _first(error: ValidationError) -> _Fault:
    found = error.errors(include_url=False, include_input=False)
    # What is lacking may be there under a misspelt name.
    item = min(found, key=lambda one: one["type"] != "extra_forbidden")
    path, said = tuple(item["loc"]), item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        known_names: dict[str, type[BaseModel]] = {
            "expect": Expect,
            "thresholds": Thresholds,
            "similarity": Similarity,
            "prices": Price,
        }
        kind = next((known_names[str(step)] for step in reversed(path[:-1]) if step in known_names), File)
        said = f"unknown field {path[-1]!r}{near(str(path[-1]), kind.model_fields)}"
    elif item["type"] == "missing":
        said = f"`{path[-1]}` is missing"
        path = path[:-1]
    return _Fault(path, said)


def _where(name: str, path: _Path, marks: Mapping[_Path, int], content: Any) -> str:
    """`parity.yaml, line 7, prompt 'weather', expect.tool`: as much of it as is known."""
    line = next((marks[path[:end]] for end in range(len(path), -1, -1) if path[:end] in marks), None)
    parts = [name] if line is None else [name, f"line {line}"]
    match path:
        case ("prompts", int() as place, *rest):
            title = content["prompts"][place].get("name") if isinstance(content["prompts"][place], dict) else None
            parts.append(f"prompt {title!r}" if title else f"prompt {place + 1}")
        case _:
            rest = list(path)
    if rest:
        parts.append(".".join(map(str, rest)))
    return ", ".join(parts)


def _marks(node: Any, path: _Path) -> Iterator[tuple[_Path, int]]:
    """The line of every value, from 1."""
    yield path, node.start_mark.line + 1
    match node.value:
        case [(_, _), *_] as pairs:
            for key, value in pairs:
                yield from _marks(value, (*path, key.value))
                yield (*path, key.value), key.start_mark.line + 1
        case list() as items:
            for place, item in enumerate(items):
                yield from _marks(item, (*path, place))


def _duplicate(node: Any, path: _Path) -> _Fault | None:
    """A key that is given twice: YAML keeps the last and says nothing."""
    children: list[tuple[str | int, Any]] = []
    match node.value:
        case [(_, _), *_] as pairs:
            children = [(key.value, value) for key, value in pairs]
        case list() as items:
            children = list(enumerate(items))
    seen: set[Any] = set()
    for key, _ in children:
        if key in seen and key != _MERGE:
            return _Fault((*path, key), "given twice")
        seen.add(key)
    return next((found for key, value in children if (found := _duplicate(value, (*path, key)))), None)
