"""What never gets into a cassette: keys, wherever they stand, and pictures. No IO but the environment's, once.

Text that looks like a key, secrets in URLs, fields such as "authorization" and "password", the client's own key, and
the values of environment variables named *_KEY, *_TOKEN, *_SECRET and *_PASSWORD become `[scrubbed]`, in streams also
where several events hold a piece of it each. A data URL becomes its digest, by which calls are still told apart.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from llm_adapter.testing.cassettes.tape import Line, RecordedRequest

SCRUBBED = "[scrubbed]"
Hook: TypeAlias = Callable[[str], str]
_KEYS = re.compile(
    r"\bsk-[A-Za-z0-9_-]{8,}"  # OpenAI, Anthropic, OpenRouter, ...
    r"|\b[Bb]earer\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|\bgh[oprsu]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}"
    r"|\bhf_[A-Za-z0-9]{20,}|\bgsk_[A-Za-z0-9]{20,}|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|(?<=://)[^\s/@:\"']*:[^\s/@\"']+(?=@)"  # a user and a password in a URL
    r"|(?<=[?&])(?:api[_-]?key|access_token|key|token|sig|signature|secret|password)=[^\s&#\"']{8,}"  # or in its query
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+"
)
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)((?:;[\w=.+-]+)*?);base64,([A-Za-z0-9+/=_-]+)")
_NAMES = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD)$", re.IGNORECASE)
# Fields that hold a secret by their name, of a tool that is a server, say. `key` and `token` are words of many other
# things, but in an address.
_FIELD = re.compile(r"authorization|(x-)?api[_-]?key|(access|refresh|auth)_token|client_secret|secret|password", re.I)
_QUERY = re.compile(rf"{_FIELD.pattern}|key|token|sig|signature", re.I)
_LEAST = 8  # characters: a shorter value is a placeholder, and a word of many texts


class Scrubber:
    """Takes secrets out of calls and lines. scrub: the user's own, for each text that is left.

    The same is done to what a test asks, so that it is compared as it was recorded.
    """

    def __init__(self, environment: Mapping[str, str], scrub: Hook | None = None) -> None:
        self._secrets: set[str] = set()
        self._scrub = scrub
        self._pattern = _KEYS
        self.learn(value for name, value in environment.items() if _NAMES.search(name))

    def learn(self, secrets: Iterable[str]) -> None:
        """Keep these out, too."""
        new = {one for one in secrets if len(one) >= _LEAST} - self._secrets
        if new:
            self._secrets |= new
            known = sorted(map(re.escape, self._secrets), key=len, reverse=True)
            self._pattern = re.compile("|".join([*known, _KEYS.pattern]))

    def clean_request(self, call: RecordedRequest) -> RecordedRequest:
        return replace(call, request=self._clean(call.request), query=self._clean(call.query, _QUERY))

    def clean_line(self, line: Line) -> Line:
        cleaned = {
            name: self._clean(getattr(line, name))
            for name in ("request", "headers", "reply", "text", "failure", "meta")
        }
        cleaned["query"] = self._clean(line.query, _QUERY)
        events = line.events if line.events is None else self._clean(_scrub_across_events(line.events, self._pattern))
        return replace(line, events=events, **cleaned)

    def _clean(self, value: Any, secret: re.Pattern[str] = _FIELD) -> Any:
        """secret: the names of fields whose text is one."""
        if isinstance(value, str):
            return self._scrub_text(value)
        if isinstance(value, Mapping):
            return {
                self._scrub_text(str(name)): SCRUBBED
                if isinstance(one, str) and one and secret.fullmatch(str(name))
                else self._clean(one, secret)
                for name, one in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self._clean(one, secret) for one in value]
        return value

    def _scrub_text(self, text: str) -> str:
        text = self._pattern.sub(SCRUBBED, _DATA_URL.sub(_digest, text))
        return self._scrub(text) if self._scrub is not None else text


def _digest(found: re.Match[str]) -> str:
    return f"data:{found[1]}{found[2]};sha256,{hashlib.sha256(found[3].encode()).hexdigest()}"


def _scrub_across_events(events: Any, pattern: re.Pattern[str]) -> Any:
    """The events without the secrets that stand in several of them, a piece in each: in the first piece's place."""
    texts: dict[tuple[Any, ...], list[tuple[int, str]]] = {}
    for place, event in enumerate(events):
        for way, text in _texts_in(event, ()):
            texts.setdefault(way, []).append((place, text))
    changed = list(events)
    for way, found in texts.items():
        whole = "".join(text for _, text in found)
        spans = [match.span() for match in pattern.finditer(whole)]
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
