"""What never gets into a cassette: keys, wherever they stand, and pictures. No IO but the environment's, once.

Secrets that `secrets` finds in texts, fields such as "authorization" and "password", the client's own key, and the
values of environment variables named *_KEY, *_TOKEN, *_SECRET and *_PASSWORD become `[scrubbed]`, in streams also
where several events hold a piece of it each. A data URL becomes its digest, by which calls are still told apart.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from llm_adapter.testing.cassettes.secrets import (
    is_secret_field,
    is_secret_header,
    is_secret_parameter,
    is_secret_variable,
    pattern_of,
    secret_spans,
)
from llm_adapter.testing.cassettes.tape import Line, RecordedRequest

SCRUBBED = "[scrubbed]"
Hook: TypeAlias = Callable[[str], str]
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)((?:;[\w=.+-]+)*?);base64,([A-Za-z0-9+/=_-]+)")
_LEAST = 8  # characters: a shorter value is a placeholder, and a word of many texts


class Scrubber:
    """Takes secrets out of calls and lines. scrub: the user's own, for each text that is left.

    The same is done to what a test asks, so that it is compared as it was recorded.
    """

    def __init__(self, environment: Mapping[str, str], scrub: Hook | None = None) -> None:
        self._secrets: set[str] = set()
        self._scrub = scrub
        self._known: re.Pattern[str] | None = None
        self.learn(value for name, value in environment.items() if is_secret_variable(name))

    def learn(self, secrets: Iterable[str]) -> None:
        """Keep these out, too."""
        new = {one for one in secrets if len(one) >= _LEAST} - self._secrets
        if new:
            self._secrets |= new
            self._known = pattern_of(self._secrets)

    def clean_request(self, call: RecordedRequest) -> RecordedRequest:
        return replace(
            call,
            path=self._scrub_text(call.path),
            request=self._clean(call.request),
            query=self._clean(call.query, is_secret_parameter),
        )

    def clean_line(self, line: Line) -> Line:
        cleaned = {
            name: self._clean(getattr(line, name))
            for name in ("path", "request", "headers", "reply", "text", "failure", "meta")
        }
        cleaned["query"] = self._clean(line.query, is_secret_parameter)
        events = line.events if line.events is None else self._clean(_scrub_across_events(line.events, self._known))
        return replace(line, events=events, **cleaned)

    def _clean(self, value: Any, is_secret: Callable[[str], bool] = is_secret_field) -> Any:
        """is_secret: whether a field's text is a secret, by the field's name."""
        if isinstance(value, str):
            return self._scrub_text(value)
        if isinstance(value, Mapping):
            return {
                self._scrub_text(str(name)): self._clean_field(str(name), one, is_secret)
                for name, one in _named_pair(value).items()
            }
        if isinstance(value, (list, tuple)):
            return [self._clean(one, is_secret) for one in value]
        return value

    def _clean_field(self, name: str, value: Any, is_secret: Callable[[str], bool]) -> Any:
        if is_secret(name):
            if isinstance(value, str):
                return SCRUBBED if value else value
            if isinstance(value, (list, tuple)):
                return [SCRUBBED if isinstance(one, str) else self._clean(one, is_secret) for one in value]
        return self._clean(value, is_secret_header if name.lower() == "headers" else is_secret)

    def _scrub_text(self, text: str) -> str:
        text = _DATA_URL.sub(_digest, text)
        for start, end in reversed(secret_spans(text, self._known)):
            text = text[:start] + SCRUBBED + text[end:]
        return self._scrub(text) if self._scrub is not None else text


def _named_pair(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object that is one field, `{"name": "Authorization", "value": "..."}`, with its value scrubbed."""
    name = next((value[one] for one in ("name", "key", "header") if isinstance(value.get(one), str)), "")
    return {**value, "value": SCRUBBED} if isinstance(value.get("value"), str) and is_secret_field(name) else value


def _digest(found: re.Match[str]) -> str:
    return f"data:{found[1]}{found[2]};sha256,{hashlib.sha256(found[3].encode()).hexdigest()}"


def _scrub_across_events(events: Any, known: re.Pattern[str] | None) -> Any:
    """The events without the secrets that stand in several of them, a piece in each: in the first piece's place."""
    texts: dict[tuple[Any, ...], list[tuple[int, str]]] = {}
    for place, event in enumerate(events):
        for way, text in _texts_in(event, ()):
            texts.setdefault(way, []).append((place, text))
    changed = list(events)
    for way, found in texts.items():
        whole = "".join(text for _, text in found)
        spans = secret_spans(whole, known)
        start = 0
        for place, text in found:
            end = start + len(text)
            if cut := _without_spans(
                text, [(left - start, right - start) for left, right in spans if left < end and right > start]
            ):
                changed[place] = _replaced_at(changed[place], way, cut[0])
            start = end
    return changed


def _without_spans(text: str, spans: list[tuple[int, int]]) -> tuple[str] | None:
    """The text without the parts that belong to a secret of several pieces; None where there is none."""
    kept, at = "", 0
    for left, right in spans:
        if left >= 0 and right <= len(text):
            continue  # a whole one is found in its own text
        kept += text[at : max(left, 0)] + (SCRUBBED if left >= 0 else "")
        at = min(right, len(text))
    return (kept + text[at:],) if at else None


def _texts_in(value: Any, way: tuple[Any, ...]) -> Iterable[tuple[tuple[Any, ...], str]]:
    if isinstance(value, str):
        yield way, value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _texts_in(one, (*way, name))
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from _texts_in(one, (*way, place))


def _replaced_at(value: Any, way: tuple[Any, ...], text: str) -> Any:
    if not way:
        return text
    if isinstance(value, dict):
        return {**value, way[0]: _replaced_at(value[way[0]], way[1:], text)}
    return [_replaced_at(one, way[1:], text) if place == way[0] else one for place, one in enumerate(value)]
