"""What would be sent for a call, found out without sending it: an `Exchange`, driven by nobody."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from llm_adapter import responses
from llm_adapter.exchange import Exchange
from llm_adapter.provider import Call, Json, NativeReply, NativeRequest, Rejected, Report
from llm_adapter.providers.ollama.parameters import CHAT, COMPLETIONS, EMBEDDINGS
from llm_adapter.providers.v1.parameters import ROWS
from llm_adapter.responses.parameters import RESPONSES
from llm_adapter.routing.connection import Connection
from llm_adapter.routing.destination import destination
from llm_adapter.routing.privacy import asks_for_privacy, private, refusal_of_host, without_privacy
from llm_adapter.routing.profile_plan import Destination, ProfilePlan, Route, plan_of
from llm_adapter.routing.unread import unread
from llm_adapter.settings.errors import AdapterWarning
from llm_adapter.translation.parameters import Row, Rows
from llm_adapter.translation.process_cache import isolated_caches

_OLLAMA: dict[str, Rows] = {"/chat/completions": CHAT, "/completions": COMPLETIONS, "/embeddings": EMBEDDINGS}
# Instead of the image at an address, which nobody is asked for: the smallest PNG.
_IMAGE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c63600000000200015b0c5f930000000049454e44ae426082"
)
_KNOWS_NOTHING = NativeReply(200, {}, b"{}")
_ABSENT = NativeReply(404, {}, b"404 page not found")


@dataclass(frozen=True)
class Verdict:
    """What becomes of one parameter."""

    name: str
    verdict: str
    note: str


@dataclass
class Explanation:
    """One call, as far as it goes without a server."""

    connection: Connection
    call: Call
    questions: list[str] = field(default_factory=list)  # what a server would be asked before, and is not
    requests: Sequence[NativeRequest] = ()
    refusal: Rejected | None = None
    warnings: list[str] = field(default_factory=list)
    route: Route | None = None  # that leads the call to this connection
    fallback: Sequence[Destination] = ()  # where it goes when this server cannot take it

    def url(self, request: NativeRequest) -> str:
        if self.connection.starter is not None:  # its port is chosen when it starts
            return request.path or f"/v1{self.call.path}"
        return self.connection.url(request.path if request.path is not None else self.call.path.lstrip("/"))

    def verdicts(self) -> list[Verdict]:
        """Of every parameter, in the call's order."""
        known = parameter_rows(self.connection, self.call.path)
        return [self._verdict(name, value, known.get(name)) for name, value in self.call.body.items()]

    def _verdict(self, name: str, value: Any, row: Row | None) -> Verdict:
        if self.refusal is not None and self.refusal.error["param"] == name:
            return Verdict(name, "refused", str(self.refusal))
        if value is None:
            return Verdict(name, "left out", "null is the same as not given")
        if name in self.call.report.notes.get("left_out", ()):
            return Verdict(name, "left out", row.note if row else "the provider has no such parameter")
        if row is None:
            sent = any(name in (request.body or {}) for request in self.requests)
            unknown = name in self.call.report.notes.get("unknown", ())
            note = "the server is not known to read it" if unknown else ""
            return Verdict(name, "passed on" if sent else "left out", note)
        if row.harmless(value):
            return Verdict(name, "accepted", "this value is what happens anyway")
        return Verdict(name, row.verdict, row.note)

    def json(self) -> Json:
        call, settings = self.call, self.connection.resolved
        return {
            "provider": self.connection.provider.name,
            "address": settings.base_url,
            "path": call.path,
            "model": call.body.get("model"),
            "requested_model": call.report.requested_model,
            "parameters": {one.name: {"verdict": one.verdict, "note": one.note} for one in self.verdicts()},
            "warnings": self.warnings,
            "asked_before": self.questions,
            "requests": [
                {"method": one.method, "url": self.url(one), "stream": one.stream, "body": one.body}
                for one in self.requests
            ],
            "route": None if self.route is None else {"to": self.route.to.name, "by": self.route.key},
            "fallback": [{"to": one.name, "address": one.connection.address} for one in self.fallback],
            "refusal": None if self.refusal is None else {"status": self.refusal.status, **self.refusal.error},
        }


def explanation(connection: Connection, path: str, body: Json) -> Explanation:
    """What becomes of a call with these arguments."""
    asked = body.get("model")
    extra = body.get("extra_body")
    if isinstance(extra, dict):  # a call site's own keyword: the SDK merges it the same way
        body = {**{name: value for name, value in body.items() if name != "extra_body"}, **extra}
    connection, route, others = _elsewhere(connection, path, body)
    if asks_for_privacy(body):
        connection, body = private(connection), without_privacy(body)
    connection, body = destination(connection, body)
    report = Report(connection.provider.name, asked)
    call = Call("POST", path, body, connection.resolved, id="0" * 32, created=0, report=report)
    explained = Explanation(connection, call, route=route, fallback=others)
    if (refusal := refusal_of_host(connection)) is not None:
        explained.refusal = refusal
        return explained
    endpoint = (
        None
        if connection.is_unconfigured and connection.is_openai_itself
        else connection.provider.endpoint("POST", path)
    )
    with isolated_caches(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AdapterWarning)
        if endpoint is None:
            explained.requests = [NativeRequest("POST", None, body)]
        else:
            _drive(Exchange(call, endpoint), explained)
    without_effect = [one.message for one in unread(connection)]
    explained.warnings = list(dict.fromkeys([*without_effect, *(str(one.message) for one in caught)]))
    return explained


def _elsewhere(connection: Connection, path: str, body: Json) -> tuple[Connection, Route | None, Sequence[Destination]]:
    """Where a profile's `routes` lead the call, and where its `fallback` does."""
    settings = connection.configured
    if connection.is_programs_own or not (settings.routes or settings.fallback):
        return connection, None, ()
    plan: ProfilePlan | None = plan_of(settings)
    route = plan_of(settings).route(path, body.get("model"))
    if route is not None:
        connection, plan = route.to.connection, route.to.plan
    return connection, route, plan.candidates(connection, "POST", path, body) if plan else ()


def _drive(exchange: Exchange, explained: Explanation) -> None:
    """Go on to the call itself: questions are answered as by a server that knows nothing, loads as by one that did."""
    before: list[NativeRequest] = []
    while _comes_before_the_call(exchange):
        if exchange.long_work:
            exchange.resume(())
            continue
        if exchange.fetch is not None:
            explained.questions += [f"GET {url}" for url in exchange.fetch.urls]
            exchange.resume([NativeReply(200, {"content-type": "image/png"}, _IMAGE) for _ in exchange.fetch.urls])
            continue
        before += filter(_only_loads, exchange.pending)
        explained.questions += [f"{one.method} {explained.url(one)}" for one in exchange.pending if _only_asks(one)]
        exchange.resume(
            [_KNOWS_NOTHING if (one.path or "").startswith("/api/") else _ABSENT for one in exchange.pending]
        )
    explained.requests = [*before, *exchange.pending]
    if isinstance(exchange.answer, Rejected):
        explained.refusal = exchange.answer
        explained.requests = ()


def _comes_before_the_call(exchange: Exchange) -> bool:
    """Whether the exchange's next step is not the call itself yet."""
    before = exchange.long_work is not None or exchange.fetch is not None
    return before or any(_only_asks(one) or _only_loads(one) for one in exchange.pending)


def _only_asks(request: NativeRequest) -> bool:
    """Whether a request only asks the server about itself, its answer being the call's own beginning."""
    return request.method == "GET" or request.path == "/api/show"


def _only_loads(request: NativeRequest) -> bool:
    """Whether a request only loads a model: over /v1, Ollama is told `keep_alive` so."""
    return request.path == "/api/generate" and "prompt" not in (request.body or {})


def parameter_rows(connection: Connection, path: str) -> Rows:
    """The rows that the code goes by; none where everything is passed on."""
    name = connection.provider.name
    if responses.serves(path):
        return RESPONSES if name != "openai" or (connection.resolved.dialect or "openai") != "openai" else {}
    if name == "ollama":
        return _OLLAMA.get(path, {})
    dialect = "llamacpp" if name == "embedded" else connection.resolved.dialect
    return ROWS.get(dialect or "", {}).get(path, {})
