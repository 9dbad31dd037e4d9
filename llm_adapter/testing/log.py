"""What came to a fake, and assertions about it that say what came instead. Keys are never kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from llm_adapter.testing.personas.wire import Asked

_SECRET = ("authorization", "api-key", "x-api-key", "cookie", "proxy-authorization")
_SHOWN = 300  # characters of a request's body in a message
_LISTED = 10  # requests in a message
_ABSENT = object()


def masked(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by names in small letters; of those that carry a key, the scheme alone."""
    found = {}
    for name, value in headers:
        scheme, space, _ = value.partition(" ")
        hidden = f"{scheme} ***" if space else "***"
        found[name.lower()] = hidden if name.lower() in _SECRET else value
    return found


def at(body: Any, path: str) -> Any:
    """What stands at a dotted path, `messages.0.content`; `_ABSENT` if nothing does."""
    for name in path.split("."):
        if isinstance(body, Mapping) and name in body:
            body = body[name]
        elif isinstance(body, list) and name.lstrip("-").isdigit() and -len(body) <= int(name) < len(body):
            body = body[int(name)]
        else:
            return _ABSENT
    return body


def counted(many: int, one: str, several: str) -> str:
    """A number with its noun: "1 call", "2 calls"."""
    return f"{many} {one if many == 1 else several}"


def often(times: int) -> str:
    return {0: "not", 1: "once"}.get(times, f"{times} times")


class Log:
    """The requests in their order. `calls` are those that asked a model to speak, or to embed."""

    def __init__(self) -> None:
        self.requests: list[Asked] = []
        self._spoken: list[Asked] = []
        self._statuses: dict[int, int] = {}

    @property
    def calls(self) -> list[Asked]:
        """Calls of a model, without what clients ask beside them (/api/show, /v1/models ...)."""
        return list(self._spoken)

    @property
    def last(self) -> Asked:
        """The last call of a model; without any, the last request."""
        if not self.requests:
            raise AssertionError("no request came")
        return self._spoken[-1] if self._spoken else self.requests[-1]

    def assert_sent(self, path: str, value: Any = _ABSENT) -> None:
        """Some request had this field: `assert_sent("options.num_ctx", 8192)`. Without a value, any will do."""
        found = [at(asked.body, path) for asked in self.requests]
        given = [one for one in found if one is not _ABSENT]
        if value is _ABSENT:
            if not given:
                raise AssertionError(f"no request had `{path}`{self._came()}")
        elif not any(one == value for one in given):
            seen = f": it was {', '.join(f'{repr(one)[:_SHOWN]}' for one in given[-_LISTED:])}" if given else ""
            raise AssertionError(f"no request had `{path}` = {value!r}{seen}{self._came()}")

    def assert_not_sent(self, path: str) -> None:
        """No request had this field."""
        given = [one for one in (at(asked.body, path) for asked in self.requests) if one is not _ABSENT]
        if given:
            raise AssertionError(f"a request had `{path}`: {repr(given[0])[:_SHOWN]}{self._came()}")

    def assert_called(self, path: str, times: int | None = None) -> None:
        """A path was asked, so many times: `assert_called("/api/chat", times=1)`. /v1 may be left out."""
        path = "/" + path.removeprefix("/")
        count = sum(asked.path in (path, f"/v1{path}") for asked in self.requests)
        wanted = {None: "have been asked", 0: "not have been asked"}.get(times, f"have been asked {often(times or 0)}")
        fits = count > 0 if times is None else count == times
        if not fits:
            raise AssertionError(f"{path} should {wanted}, and was {often(count)}{self._came()}")

    def assert_not_called(self, path: str) -> None:
        self.assert_called(path, times=0)

    def noted(self, asked: Asked, status: int, *, spoken: bool) -> None:
        """Keeps a request with what was answered to it."""
        self.requests.append(asked)
        self._statuses[asked.number] = status
        if spoken:
            self._spoken.append(asked)

    def _came(self) -> str:
        """The requests, short, as the end of a message."""
        if not self.requests:
            return "\nno request came"
        count = len(self.requests)
        head = "what came:" if count <= _LISTED else f"the last {_LISTED} of {count} that came:"
        return "".join([f"\n{head}", *(f"\n  {self._shown(asked)}" for asked in self.requests[-_LISTED:])])

    def _shown(self, asked: Asked) -> str:
        body = json.dumps(asked.body, ensure_ascii=False, default=str) if asked.text is None else asked.text
        body = "" if body in ("", "null") else f" {body}"
        short = body if len(body) <= _SHOWN else body[:_SHOWN] + "…"
        return f"{asked.number}. {asked.method} {asked.path} -> {self._statuses.get(asked.number, 0) or 'cut'}{short}"
