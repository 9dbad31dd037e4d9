"""From settings to `Facts`: the only IO of the checks. No tokens are spent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import urlsplit

from llm_adapter.devtools.doctor import keys, servers
from llm_adapter.devtools.doctor.asking import Asker
from llm_adapter.devtools.doctor.facts import Answer, Facts, Route, Server, Wanted
from llm_adapter.devtools.doctor.way import route
from llm_adapter.provider import Started
from llm_adapter.providers import PROVIDERS
from llm_adapter.routing.connection import Connection, completed, connect
from llm_adapter.routing.unreachable import found
from llm_adapter.settings.hosts import is_openai
from llm_adapter.settings.settings import Settings, SettingsError
from llm_adapter.translation.model_names import names_embedding_model

_SHOWN = 8  # models that are asked about one by one


@dataclass(frozen=True, slots=True)
class Names:
    """The models that the command line names, beside those of the profile."""

    chat: str | None = None
    embedding: str | None = None
    fingerprint: str | None = None


NONE = Names()


def gathered(settings: Settings, environ: Mapping[str, str], names: Names = NONE, profile: str | None = None) -> Facts:
    """The facts of one destination."""
    settings = completed(settings, environ)
    connection, problem, barred = _connected(settings, environ)
    address = connection.address
    facts = Facts(
        settings=settings,
        address=address.rstrip("/"),
        profile=profile,
        key=replace(keys.chosen(connection, environ), problem=problem),
        environ=environ,
        around=found(Path("/"), environ),
        wanted=wanted(settings, names),
        packages={str(one.name).lower().replace("_", "-"): one.version for one in distributions() if one.name},
        now=datetime.now(timezone.utc),
        fingerprint=names.fingerprint,
    )
    if barred is not None:
        return replace(facts, route=Route("", "`local_only` is set", problem=barred))
    if isinstance(connection.provider, Started):
        return _started(facts, connection)
    return _reached(facts, connection)


def _connected(settings: Settings, environ: Mapping[str, str]) -> tuple[Connection, str | None, str | None]:
    """The connection, what is wrong with the key, and why the server may not be asked.

    Without a key the rest can be looked at. Where `local_only` forbids the host, nothing is sent there.
    """
    try:
        return connect(settings, environ), None, None
    except SettingsError as error:
        problem = str(error)
    keyless = settings.model_copy(update={"api_key_env": None})
    try:
        return connect(keyless, environ), problem, None
    except SettingsError:
        return connect(keyless.model_copy(update={"local_only": False}), environ), None, problem


def wanted(settings: Settings, names: Names) -> tuple[Wanted, ...]:
    """The models of the profile's map and of the command line, the latter first."""
    asked = [(name, settings.model(name), embedding) for name, embedding in _named(names)]
    asked += [(alias, name, any(map(names_embedding_model, (alias, name)))) for alias, name in settings.models.items()]
    asked += [(name, settings.model(name), names_embedding_model(settings.model(name))) for name in settings.preload]
    return tuple(Wanted(alias, *_local(settings, name, embedding)) for alias, name, embedding in asked)


def _named(names: Names) -> list[tuple[str, bool]]:
    return [(name, embedding) for name, embedding in ((names.chat, False), (names.embedding, True)) if name]


def _local(settings: Settings, name: str, embedding: bool) -> tuple[str, bool, bool]:
    """The name on this server, what it is for, and whether a prefix leads elsewhere. See `routing`."""
    for other in PROVIDERS:
        if name.startswith((f"{other}/", f"{other}:")):
            mine = other == settings.provider
            return (name[len(other) + 1 :] if mine and other != "openai" else name), embedding, not mine
    return name, embedding, False


def _started(facts: Facts, connection: Connection) -> Facts:
    """Of the provider in this process: its servers are started, and asked."""
    answers = []
    try:
        for path in ("/chat/completions", "/embeddings"):
            address = connection.provider.start(connection.resolved, path)  # type: ignore[attr-defined]
            asker = Asker(connection, address.api_key)
            answers.append({"/props": asker.get(f"{address.root}/props")})
            answers[-1]["models"] = asker.get(f"{address.root}/v1/models")
            asker.close()
    except SettingsError as error:
        return replace(facts, startup=str(error))
    return replace(facts, main=answers[0]["models"], server=servers.embedded(*answers))


def _reached(facts: Facts, connection: Connection) -> Facts:
    try:
        way = route(facts.address, facts.settings.trust_env)
    except ValueError as error:
        return replace(facts, route=Route("", "it is not a URL", problem=str(error)))
    if not way.reached:
        return replace(facts, route=way)
    # A key that is not for this host is not sent by the doctor either.
    key = None if keys.leak(facts) is not None else facts.key.value
    try:
        asker = Asker(connection, key)
    except (ImportError, ValueError) as error:  # a proxy that needs more than is installed: socks5h://
        return replace(facts, route=replace(way, problem=str(error)))
    try:
        return _surveyed(replace(facts, route=way), asker.get, asker.post)
    finally:
        asker.close()


def _surveyed(facts: Facts, get: Callable[..., Answer], post: Callable[..., Answer]) -> Facts:
    main = get(f"{facts.address}/models")
    if main.error is not None:
        return replace(facts, main=main)
    better = None
    if not (_lists(main) or main.refused or (main.status or 0) >= 500 or is_openai(facts.address)):
        better = next((base for base in _candidates(facts.address) if _lists(get(f"{base}/models"))), None)
        # An Ollama may be reached by its own API alone.
        if better is None and facts.native and get(f"{_root(facts.address)}/api/version").good:
            main = Answer(main.url, 200, {"data": []})
    models = main if better is None else get(f"{better}/models")
    server = recognised(better or facts.address, models, facts.wanted, get, post)
    return replace(facts, main=main, better=better, server=server)


def recognised(
    base: str, models: Answer, wanted: tuple[Wanted, ...], get: Callable[..., Answer], post: Callable[..., Answer]
) -> Server | None:
    """The server at a base URL; None where nothing there looks like one."""
    if is_openai(base):
        return servers.listed("openai", models)
    root = _root(base)
    answers: dict[str, Answer] = {"models": models}
    for kind, path in servers.MARKS.items():
        answers[path] = get(f"{root}{path}")
        if servers.is_mark(kind, answers[path]) and _owned(models) in (None, _OWNERS.get(kind, _owned(models))):
            return _described(kind, root, answers, wanted, get, post)
        if answers[path].error is not None:  # it would only hang once more for each of the others
            break
    return servers.listed("unknown", models) if _lists(models) or models.refused else None


_OWNERS = {"vllm": "vllm", "llamacpp": "llamacpp"}


def _owned(models: Answer) -> str | None:
    data = models.dictionary().get("data")
    first = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
    return first.get("owned_by")


def _described(
    kind: str,
    root: str,
    answers: dict[str, Answer],
    wanted: tuple[Wanted, ...],
    get: Callable[..., Answer],
    post: Callable[..., Answer],
) -> Server:
    match kind:
        case "ollama":
            answers |= {path: get(f"{root}{path}") for path in ("/api/tags", "/api/ps")}
            for name in _of_interest(servers.ollama(answers), wanted):
                answers[f"/api/show {name}"] = post(f"{root}/api/show", {"model": name})
            if any(one.name.endswith(("-cloud", ":cloud")) for one in wanted):
                answers["/api/me"] = post(f"{root}/api/me", None)
            return servers.ollama(answers)
        case "llamacpp":
            return servers.llamacpp(answers)
        case "vllm":
            return servers.vllm(answers)
        case _:
            return servers.lmstudio(answers)


def _of_interest(server: Server, wanted: tuple[Wanted, ...]) -> list[str]:
    """The installed models that call sites ask for, or the first few when they name none."""
    asked = [model.name for one in wanted if not one.elsewhere and (model := server.model(one.name)) is not None]
    return list(dict.fromkeys([*asked, *(one.name for one in server.models or ())]))[:_SHOWN]


def _lists(answer: Answer) -> bool:
    return answer.good and isinstance(answer.body.get("data", answer.body.get("models")), list)


def _candidates(base: str) -> list[str]:
    """Base URLs that may have been meant."""
    parts = urlsplit(base)
    origin = f"{parts.scheme}://{parts.netloc}"
    above = base.rpartition("/")[0]
    meant = (f"{base}/v1", f"{above}/v1" if len(above) > len(origin) else "", f"{origin}/v1")
    return [one for one in dict.fromkeys(meant) if one and one != base]


def _root(base: str) -> str:
    return base.removesuffix("/v1")
