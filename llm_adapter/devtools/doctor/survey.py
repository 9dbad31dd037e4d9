"""What is found out about a profile and its server, as `Facts`: the only IO of the checks, but for `network`.

No tokens are spent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai

from llm_adapter.devtools.doctor import keys, servers
from llm_adapter.devtools.doctor.facts import Answer, Facts, Route, Server, Wanted
from llm_adapter.devtools.doctor.network import route
from llm_adapter.devtools.doctor.telemetry import TRACERS
from llm_adapter.devtools.reporting.failures import first_cause
from llm_adapter.provider import Started
from llm_adapter.providers import PROVIDERS
from llm_adapter.providers.embedded.models import missing
from llm_adapter.providers.embedded.names import is_of_store
from llm_adapter.routing.connection import Connection, connect, credential_names, with_ollama_host
from llm_adapter.routing.proxies import http_client
from llm_adapter.routing.unreachable import surroundings_of
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.hosts import is_openai
from llm_adapter.settings.settings import Settings
from llm_adapter.translation.model_names import names_embedding_model

SECONDS = 3.0  # for a request: these are all cheap questions, and none waits for a model
_SHOWN_MODELS = 8  # that are asked about one by one
_TEXT = 300  # characters of an answer that is kept as text
# Who a server's models belong to: vLLM and llama.cpp answer some of each other's paths.
_OWNERS = {"vllm": "vllm", "llamacpp": "llamacpp"}


@dataclass(frozen=True, slots=True)
class Names:
    """The models that the command line names, beside those of the profile."""

    chat: str | None = None
    embedding: str | None = None
    fingerprint: str | None = None


NO_NAMES = Names()


def gather_facts(
    settings: Settings, environ: Mapping[str, str], names: Names = NO_NAMES, profile: str | None = None
) -> Facts:
    """What can be found out about a profile. names: models that are looked at beside those of its map."""
    settings = with_ollama_host(settings, environ)
    connection, problem, barred = _connected(settings, environ)
    facts = Facts(
        settings=settings,
        address=connection.address.rstrip("/"),
        profile=profile,
        key=replace(keys.key_for(connection, environ), problem=problem),
        environ=environ,
        surroundings=surroundings_of(Path("/"), environ),
        wanted=wanted_models(settings, names),
        packages={str(one.name).lower().replace("_", "-"): one.version for one in distributions() if one.name},
        files=frozenset(one.file for one in TRACERS if one.file and Path(one.file).exists()),
        now=datetime.now(timezone.utc),
        fingerprint=names.fingerprint,
    )
    if barred is not None:
        return replace(facts, route=Route("", "`local_only` is set", problem=barred))
    if isinstance(connection.provider, Started):
        return _embedded_facts(facts, connection)
    return _remote_facts(facts, connection)


def _connected(settings: Settings, environ: Mapping[str, str]) -> tuple[Connection, str | None, str | None]:
    """The connection, what is wrong with the key, and why the server may not be asked.

    Without a key the rest can be looked at. Where `local_only` forbids the host, nothing is sent there.
    """
    try:
        return connect(settings, environ), None, None
    except SettingsError as error:
        problem = str(error)
    keyless = settings.model_copy(update={"api_key_env": None, "headers": {}})
    try:
        return connect(keyless, environ), problem, None
    except SettingsError:
        return connect(keyless.model_copy(update={"local_only": False}), environ), None, problem


def wanted_models(settings: Settings, names: Names) -> tuple[Wanted, ...]:
    """The models of the profile's map and of the command line, the latter first."""
    given = ((names.chat, False), (names.embedding, True))
    asked = [(name, settings.model(name), embedding) for name, embedding in given if name]
    asked += [(alias, name, any(map(names_embedding_model, (alias, name)))) for alias, name in settings.models.items()]
    asked += [(name, settings.model(name), names_embedding_model(settings.model(name))) for name in settings.preload]
    return tuple(Wanted(alias, *_name_here(settings, name, embedding)) for alias, name, embedding in asked)


def _name_here(settings: Settings, name: str, embedding: bool) -> tuple[str, bool, bool]:
    """The name on this server, what it is for, and whether a prefix leads elsewhere. See `routing`."""
    for other in () if settings.provider == "embedded" and is_of_store(name) else PROVIDERS:
        if name.startswith((f"{other}/", f"{other}:")):
            mine = other == settings.provider
            return (name[len(other) + 1 :] if mine and other != "openai" else name), embedding, not mine
    return name, embedding, False


def _embedded_facts(facts: Facts, connection: Connection) -> Facts:
    """The facts of the provider in this process: its servers are started, and asked."""
    answers = []
    try:
        for path in ("/chat/completions", "/embeddings"):
            address = connection.provider.start(connection.resolved, path)  # type: ignore[attr-defined]
            client = ServerClient(connection, address.api_key)
            answers.append({"/props": client.get(f"{address.root}/props")})
            answers[-1]["models"] = client.get(f"{address.root}/v1/models")
            client.close()
    except SettingsError as error:
        return replace(facts, startup=str(error))
    absent = missing(facts.settings)
    return replace(facts, model_list=answers[0]["models"], server=servers.embedded(*answers), missing=absent)


def _remote_facts(facts: Facts, connection: Connection) -> Facts:
    try:
        found_route = route(facts.address, facts.settings.trust_env)
    except ValueError as error:
        return replace(facts, route=Route("", "it is not a URL", problem=str(error)))
    if not found_route.reached:
        return replace(facts, route=found_route)
    # A key that is not for this host is not sent by the doctor either.
    key = None if keys.leak(facts) is not None else facts.key.value
    try:
        client = ServerClient(connection, key)
    except (ImportError, ValueError) as error:  # a proxy that needs more than is installed: socks5h://
        return replace(facts, route=replace(found_route, problem=str(error)))
    try:
        return _server_facts(replace(facts, route=found_route), client)
    finally:
        client.close()


def _server_facts(facts: Facts, client: ServerClient) -> Facts:
    facts = replace(facts, model_list=client.get(f"{facts.address}/models"))
    if facts.model_list.error is not None:
        return facts
    base, models = facts.address, facts.model_list
    if not (_is_model_list(models) or models.refused or (models.status or 0) >= 500 or is_openai(base)):
        answers = ((one, client.get(f"{one}/models")) for one in _meant_addresses(base))
        base, models = next(((one, answer) for one, answer in answers if _is_model_list(answer)), (base, models))
        if base != facts.address:
            facts = replace(facts, working_address=base)
        elif facts.native and client.get(f"{_root(base)}/api/version").good:
            # An Ollama may be reached by its own API alone.
            models = Answer(models.url, 200, {"data": []})
            facts = replace(facts, model_list=models)
    return replace(facts, server=_recognised(base, models, facts.wanted, client))


def _recognised(base: str, models: Answer, wanted: tuple[Wanted, ...], client: ServerClient) -> Server | None:
    """The server at a base URL; None where nothing there looks like one. models: its list of models."""
    if is_openai(base):
        return servers.from_model_list("openai", models)
    root = _root(base)
    answers: dict[str, Answer] = {"models": models}
    for kind, path in servers.MARKS.items():
        answers[path] = client.get(f"{root}{path}")
        if servers.is_mark(kind, answers[path]) and _owner(models) in (None, _OWNERS.get(kind, _owner(models))):
            return _described_server(kind, root, answers, wanted, client)
        if answers[path].error is not None:  # it would only hang once more for each of the others
            break
    return servers.from_model_list("unknown", models) if _is_model_list(models) or models.refused else None


def _owner(models: Answer) -> str | None:
    data = models.dictionary().get("data")
    first = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
    return first.get("owned_by")


def _described_server(
    kind: str, root: str, answers: dict[str, Answer], wanted: tuple[Wanted, ...], client: ServerClient
) -> Server:
    match kind:
        case "ollama":
            answers |= {path: client.get(f"{root}{path}") for path in ("/api/tags", "/api/ps")}
            for name in _models_to_show(servers.ollama(answers), wanted):
                answers[f"/api/show {name}"] = client.post(f"{root}/api/show", {"model": name})
            if any(one.name.endswith(("-cloud", ":cloud")) for one in wanted):
                answers["/api/me"] = client.post(f"{root}/api/me", None)
            return servers.ollama(answers)
        case "llamacpp":
            return servers.llamacpp(answers)
        case "vllm":
            return servers.vllm(answers)
        case _:
            return servers.lmstudio(answers)


def _models_to_show(server: Server, wanted: tuple[Wanted, ...]) -> list[str]:
    """The installed models that call sites ask for, or the first few when they name none."""
    asked = [model.name for one in wanted if not one.elsewhere and (model := server.model(one.name)) is not None]
    return list(dict.fromkeys([*asked, *(one.name for one in server.models or ())]))[:_SHOWN_MODELS]


def _is_model_list(answer: Answer) -> bool:
    return answer.good and isinstance(answer.body.get("data", answer.body.get("models")), list)


def _meant_addresses(base: str) -> list[str]:
    """Base URLs that may have been meant."""
    parts = urlsplit(base)
    origin = f"{parts.scheme}://{parts.netloc}"
    above = base.rpartition("/")[0]
    meant = (f"{base}/v1", f"{above}/v1" if len(above) > len(origin) else "", f"{origin}/v1")
    return [one for one in dict.fromkeys(meant) if one and one != base]


def _root(base: str) -> str:
    return base.removesuffix("/v1")


class ServerClient:
    """Sends single requests, over the SDK's own HTTP library and with the rule about proxies of our clients.

    It follows no redirect: what is behind it is not what was configured.
    """

    def __init__(self, connection: Connection, key: str | None) -> None:
        self._client: Any = http_client(connection, openai.DefaultHttpxClient) or openai.DefaultHttpxClient()
        own = connection.headers
        if not credential_names(own):
            own = {**own, "Authorization": f"Bearer {key}"} if key else own
        self._headers = {"Accept": "application/json", **(own if key or not credential_names(own) else {})}

    def get(self, url: str) -> Answer:
        return self._answer("GET", url, None)

    def post(self, url: str, body: Any) -> Answer:
        return self._answer("POST", url, body)

    def _answer(self, method: str, url: str, body: Any) -> Answer:
        options: Any = {"headers": self._headers, "timeout": SECONDS, "follow_redirects": False}
        try:
            response = self._client.request(method, url, json=body, **options)
        except Exception as error:  # of either HTTP library, or of the URL
            return Answer(url, error=f"{type(error).__name__}: {first_cause(error)}")
        return Answer(
            url, response.status_code, _json(response.content), response.text[:_TEXT], dict(response.headers.items())
        )

    def close(self) -> None:
        self._client.close()


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
