"""Tool calls that a model wrote as text: where a text is nothing but such calls, they are taken for calls.

Models write them bare, in a Markdown fence, or between the tags of their template, one after another or in a list:
`{"name": "f", "arguments": {}}`, with "parameters" instead, or `{"type": "function", "function": {...}}` around it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from llm_adapter.provider import Json, parsed_json

_FENCE = "```"
_FENCED = re.compile(rf"^{_FENCE}(?:json|tool_call)?\s*(.*?)\s*{_FENCE}$", re.DOTALL)
_LANGUAGES = ("json", "tool_call")  # of a fence, which may have none
_TAGS = ("<tool_call>", "</tool_call>", "<tool_calls>", "</tool_calls>", "[TOOL_CALLS]", "[/TOOL_CALLS]")
_BETWEEN = re.compile(rf"(?:[\s,;]|{'|'.join(map(re.escape, _TAGS))})*")
_MARKS = re.compile(r'\\.|["{}]', re.DOTALL)


def constrained_call(content: str) -> Json | None:
    """The tool call that a constrained reply holds, or None. It has no id."""
    try:
        return _tool_call(parsed_json(content.strip()))
    except ValueError:
        return None


def calls_written_as_text(content: str, names: Collection[str]) -> list[Json]:
    """The tool calls that a reply's text is, if it is nothing else and names offered tools only; or none.

    They have no ids.
    """
    text = content.strip()
    fenced = _FENCED.match(text)
    try:
        calls = [_tool_call(one) for one in _json_values(fenced[1] if fenced else text)]
    except ValueError:
        return []
    found = [one for one in calls if one is not None and one["function"]["name"] in names]
    return found if len(found) == len(calls) else []


def _json_values(text: str) -> Iterator[Any]:
    """The JSON values that a text is made of, one after another, lists opened. Raises ValueError for anything else."""
    decoder, place = json.JSONDecoder(), _after_separators(text, 0)
    while place < len(text):
        value, place = decoder.raw_decode(text, place)
        yield from value if isinstance(value, list) else [value]
        place = _after_separators(text, place)


def _after_separators(text: str, place: int) -> int:
    found = _BETWEEN.match(text, place)
    return found.end() if found else place


def _tool_call(value: Any) -> Json | None:
    match value:
        case {"name": str() as name, "arguments": dict() as arguments} | {
            "name": str() as name,
            "parameters": dict() as arguments,
        }:
            text = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
            return {"type": "function", "function": {"name": name, "arguments": text}} if len(value) == 2 else None
        case {"type": "function", "function": dict() as function} if len(value) == 2:
            return _tool_call(function)
        case _:
            return None


class WrittenCallScanner:
    """Whether a text that comes in pieces may still turn out to be tool calls and nothing else.

    It never says no to what `calls_written_as_text` takes for calls once the text is whole.
    """

    def __init__(self, names: Collection[str]) -> None:
        self.text = ""
        self._names = names
        self._heads = [f'{{"{key}":{{' for key in ("arguments", "parameters", "function")]
        self._heads += ['{"type":"function"', *(_spaceless(f'{{"name":{_json(name)}') for name in names)]
        self._place = 0  # what stands before it has been looked at
        self._start = 0  # of the object under way
        self._depth = 0  # of braces in it
        self._in_string = False
        self._fenced = False
        # Looks at what comes next, and moves on: whether this may be a call, and None where that is not known yet.
        self._look: Callable[[], bool | None] = self._opening

    def may_be_calls(self, piece: str) -> bool:
        """Take the next piece of the text."""
        self.text += piece
        while self._place < len(self.text):
            verdict = self._look()
            if not verdict:
                return verdict is None
        return True

    def _opening(self) -> bool | None:
        """White space, and a fence with its language."""
        rest = self.text.lstrip()
        fences = [_FENCE + language for language in (*_LANGUAGES, "")]
        if any(one.startswith(rest) for one in fences):
            return None
        fence = next((one for one in fences if rest.startswith(one)), "")
        self._place, self._fenced = len(self.text) - len(rest) + len(fence), bool(fence)
        self._look = self._separator
        return True

    def _separator(self) -> bool | None:
        """What stands between calls, and what opens the next one."""
        rest = self.text[self._place :]
        marks = (*_TAGS, _FENCE) if self._fenced else _TAGS
        if any(one != rest and one.startswith(rest) for one in marks):
            return None
        mark = next((one for one in marks if rest.startswith(one)), rest[0])
        if mark == "{":
            self._start, self._look = self._place, self._head
            return True
        if mark == _FENCE:
            self._look = self._end
        self._place += len(mark)
        return len(mark) > 1 or mark in ",;[]" or mark.isspace()

    def _head(self) -> bool | None:
        """An object's first key, and what its value begins with."""
        head = _spaceless(self.text[self._start :])
        if "\\" in head or any(head.startswith(one) for one in self._heads):
            self._look = self._object
            return True
        return None if any(one.startswith(head) for one in self._heads) else False

    def _object(self) -> bool | None:
        """The rest of an object; at its end, whether it is a call."""
        for found in _MARKS.finditer(self.text, self._place):
            self._place = found.end()
            if found[0] == '"':
                self._in_string = not self._in_string
            elif found[0] in "{}" and not self._in_string:
                self._depth += 1 if found[0] == "{" else -1
                if self._depth == 0:
                    self._look = self._separator
                    return bool(calls_written_as_text(self.text[self._start : self._place], self._names))
        if self._place < len(self.text):  # a backslash at the end waits for what it escapes
            self._place = len(self.text) - self.text.endswith("\\")
        return None

    def _end(self) -> bool:
        """Behind the closing fence."""
        rest, self._place = self.text[self._place :], len(self.text)
        return not rest.strip()


def _spaceless(text: str) -> str:
    return "".join(text.split())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
