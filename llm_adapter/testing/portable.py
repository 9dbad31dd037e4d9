"""Whether a call can be moved: what each provider would make of it, found out without asking one.

The verdicts are those of the rows that the library itself goes by (`explanation`), and for OpenAI what OpenAI refuses
(`strictness`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from llm_adapter.devtools.endpoints import PATHS
from llm_adapter.devtools.explain import Explanation, explanation
from llm_adapter.devtools.openai_rules import refusals, refused_argument
from llm_adapter.provider import Json, Rejected
from llm_adapter.responses.parameters import RESPONSES
from llm_adapter.routing.connection import Connection, connect
from llm_adapter.routing.destination import destination
from llm_adapter.settings.errors import SettingsError, near
from llm_adapter.settings.hosts import OPENAI_URL
from llm_adapter.settings.settings import Settings
from llm_adapter.testing.cassettes import Cassette
from llm_adapter.testing.cassettes.tape import Line, load_lines

# "unknown": passed on to a server that is not known to read it; a misspelt name, mostly.
Loss: TypeAlias = Literal["refused", "left out", "unknown", "ignored", "emulated"]
_HARMLESS: tuple[Loss, ...] = ("emulated", "ignored")
_LOSSES = frozenset(get_args(Loss))
# Nobody is asked there, and nothing that is remembered of a real server is touched.
_SERVER = "http://server.invalid/v1"
_OLLAMA = "http://ollama.invalid:11434"

# What a name stands for that is no profile. A dialect is a /v1 server.
TARGETS: dict[str, dict[str, Any]] = {
    "openai": {"provider": "openai", "base_url": OPENAI_URL, "dialect": "openai"},
    "ollama": {"provider": "ollama", "host": _OLLAMA},
    "ollama-v1": {"provider": "openai", "base_url": f"{_OLLAMA}/v1", "dialect": "ollama"},
    "llamacpp": {"provider": "openai", "base_url": _SERVER, "dialect": "llamacpp"},
    "vllm": {"provider": "openai", "base_url": _SERVER, "dialect": "vllm"},
    "lmstudio": {"provider": "openai", "base_url": _SERVER, "dialect": "lmstudio"},
    "embedded": {"provider": "embedded"},
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one provider makes of one parameter of a call, where it is not what OpenAI would."""

    provider: str
    parameter: str
    verdict: str  # one of `Loss`
    note: str
    call: int = 1  # of several

    def __str__(self) -> str:
        return f"{self.provider}: `{self.parameter}` is {self.verdict}: {self.note}"


def assert_portable(
    request: Any,
    to: Iterable[str] | str = tuple(TARGETS),
    *,
    allow: Sequence[Loss] = _HARMLESS,
    path: str | None = None,
) -> None:
    """Fail if one of these providers would refuse a call, or lose something of it; with a table of what and why.

    request: a call's arguments, a request of a fake server's log, a cassette or one of its lines; or several of them.
    to: profiles, "openai", "ollama", "embedded", and for /v1 servers "ollama-v1", "llamacpp", "vllm", "lmstudio".
    allow: the verdicts that are fine. path: of the endpoint, where the arguments do not tell it. Nothing is sent.
    """
    bad = [one for one in findings(request, to, path=path) if one.verdict not in allow]
    if bad:
        raise AssertionError(f"the call cannot be moved as it is:\n\n{table(bad)}")


def findings(request: Any, to: Iterable[str] | str = tuple(TARGETS), *, path: str | None = None) -> list[Finding]:
    """All that would be refused, left out, not known, ignored or emulated of a call on each of these providers."""
    calls = list(_calls(request, path))
    if not calls:
        raise ValueError("there is no call of a model in this request: nothing to judge")
    found = []
    for name in (to,) if isinstance(to, str) else to:
        connection = target(name)
        for number, (where, body) in enumerate(calls, 1):
            found += [replace(one, provider=name, call=number) for one in _call_findings(connection, where, body)]
    return found


def target(name: str) -> Connection:
    """The destination that a name stands for; a profile's name goes first. Raises `SettingsError`."""
    if name in Settings.profiles(os.environ):
        return connect(Settings.load(profile=name), os.environ)
    known = name.partition("@")[0]  # a fake server's persona: "ollama@0.32"
    if known not in TARGETS:
        raise SettingsError(
            f"{name!r} is no profile and no provider{near(name, TARGETS)}; known: {', '.join(sorted(TARGETS))}"
        )
    return connect(Settings(**TARGETS[known]), {})


def table(found: Sequence[Finding]) -> str:
    """The findings in columns, each once, with the numbers of the calls where there are several."""
    several = any(one.call > 1 for one in found)
    head = ("provider", "parameter", "verdict", "note")
    rows: dict[tuple[str, ...], list[int]] = {}
    for one in found:
        rows.setdefault((one.provider, one.parameter, one.verdict, one.note), []).append(one.call)
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    shown = []
    for line in lines:
        where = f" (call {', '.join(map(str, rows[line]))})" if several and line in rows else ""
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        shown.append("  ".join([*cells, line[3]]) + where)
    return "\n".join(f"  {line}" for line in shown)


def _call_findings(connection: Connection, path: str, body: Json) -> Iterator[Finding]:
    """The findings of one call. A refused parameter is told and left out, to see what else there is."""
    left = {name: value for name, value in body.items() if name != "extra_body"} | (body.get("extra_body") or {})
    elsewhere = destination(connection, left)[0].provider.name
    if elsewhere != connection.provider.name:
        yield Finding("", "model", "refused", f"{left['model']!r} names provider {elsewhere!r}: the call goes there")
        return
    while (told := explanation(connection, path, left)).refusal is not None:
        refusal = told.refusal
        name = str(refusal.error["param"])
        yield Finding("", name, "refused", _refusal_reason(refusal))
        if name not in left:
            return  # it is about a part of the call that cannot be taken out
        del left[name]
    yield from _loss_findings(told)
    if connection.resolved.dialect == "openai":
        for refusal in refusals(path, _sent_body(told)):
            yield Finding("", refused_argument(refusal), "refused", str(refusal))


def _refusal_reason(refusal: Rejected) -> str:
    """Why, without what the table says already, and without the settings that would let it pass."""
    said = str(refusal).partition("; `unsupported = ")[0]
    before, found, reason = said.partition(": ")
    return reason if found and " is not available on " in before else said


def _loss_findings(told: Explanation) -> Iterator[Finding]:
    unknown = told.call.report.notes.get("unknown", ())
    for one in told.verdicts():
        verdict = "unknown" if one.name in unknown else one.verdict
        if verdict in _LOSSES and told.call.body.get(one.name) is not None:
            yield Finding("", one.name, verdict, one.note)


def _sent_body(told: Explanation) -> Json:
    return dict(told.requests[-1].body or {}) if told.requests else {}


def _calls(request: Any, path: str | None) -> Iterator[tuple[str, Json]]:
    """The calls of models in whatever holds them, each with its path."""
    match request:
        case Cassette() | os.PathLike():
            lines = request.lines if isinstance(request, Cassette) else load_lines(Path(request))
            yield from _calls(lines, path)
        case list() | tuple() | Iterator():
            for one in request:
                yield from _calls(one, path)
        case Line():
            if request.path in PATHS and isinstance(request.request, dict):
                yield request.path, request.request
        case Mapping():
            yield path or _path(request), dict(request)
        case _:
            yield _logged_call(request, path)


def _logged_call(request: Any, path: str | None) -> tuple[str, Json]:
    """A request of a fake server's log."""
    body = getattr(request, "body", None)
    if not isinstance(body, dict):
        raise TypeError(f"no call: {request!r}; give its arguments, a logged request, or a cassette")
    return path or _path(body), body


def _path(body: Mapping[str, Any]) -> str:
    if "messages" in body:
        return "/chat/completions"
    if "prompt" in body:
        return "/completions"
    own = body.keys() & (RESPONSES.keys() - {"model", "input", "user"})
    items = isinstance(body.get("input"), list) and any(isinstance(item, dict) for item in body["input"])
    return "/responses" if own or items else "/embeddings"
