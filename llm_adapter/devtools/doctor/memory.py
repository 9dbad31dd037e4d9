"""Checks 8 to 11: context, keeping loaded, embeddings, pace (P1, P4, P15, P21, P22, P23)."""

from __future__ import annotations

from datetime import datetime

from llm_adapter.devtools.doctor.facts import Facts, Finding, Model, Wanted, fail, ok, unknown, warn
from llm_adapter.routing.terms import terms_of
from llm_adapter.translation.embeddings import fingerprint

_SLOW_DISK = 200e6  # bytes a second, from which a cold model is read
_OF_SERVER = 4096  # Ollama's own context below 24 GiB of GPU memory


def context(facts: Facts) -> Finding:
    """What a prompt may hold: as the model was trained, as it is loaded, as it is configured."""
    if facts.server is None:
        return unknown("the server was not recognised")
    if facts.settings.overflow == "allow":
        return warn('`overflow = "allow"`: prompts that do not fit are cut without a word', 'overflow = "error"')
    known = [model for _, model in _chats(facts) if model.trained or model.loaded]
    if facts.server.kind == "ollama" and not facts.native:
        cut = f" at {known[0].loaded}" if known and known[0].loaded else ""
        return warn(f"Ollama's /v1 cuts long prompts{cut} without a word", 'provider = "ollama"')
    if not known:
        return ok("the server does not tell its context; a prompt that does not fit is an error")
    for model in known:
        if (found := _judged(facts, model)) is not None:
            return found
    return ok("; ".join(_sizes(facts, model) for model in known))


def _judged(facts: Facts, model: Model) -> Finding | None:
    num_ctx, trained, loaded = facts.settings.num_ctx, model.trained, model.loaded
    if isinstance(num_ctx, int):
        if trained and num_ctx > trained:
            return warn(
                f"{model.name}: num_ctx = {num_ctx}, and it was trained for {trained}: more does not fit",
                f"num_ctx = {trained}",
            )
        if loaded and facts.native and loaded != num_ctx:
            return warn(
                f"{model.name} is loaded with {loaded}, and num_ctx = {num_ctx}: the next call loads it anew",
                "the same num_ctx for all who use this server",
            )
    elif facts.native and num_ctx is None and trained and trained > (loaded or _OF_SERVER):
        have = f"is loaded with {loaded}" if loaded else f"gets the server's own context, {_OF_SERVER} on small GPUs,"
        return warn(
            f"{model.name} {have} of {trained} tokens: longer prompts are an error", 'num_ctx = "auto", or a number'
        )
    if model.in_memory and model.vram and model.size and model.vram < 0.98 * model.size:
        share = round(100 * (1 - model.vram / model.size))
        return warn(f"{model.name}: {share} % of it runs on the CPU", "a smaller num_ctx, or a smaller model")
    return None


def _sizes(facts: Facts, model: Model) -> str:
    parts = [f"trained for {model.trained}"] if model.trained else []
    parts += [f"loaded with {model.loaded}"] if model.loaded else ["not loaded"] if facts.native else []
    parts += [f"num_ctx = {facts.settings.num_ctx}"] if facts.settings.num_ctx else []
    return f"{model.name}: {', '.join(parts)}"


def _chats(facts: Facts) -> list[tuple[Wanted, Model]]:
    if facts.wanted:
        return facts.asked(embedding=False)
    models = facts.server.models if facts.server is not None else None
    return [(Wanted("", one.name), one) for one in models or () if one.can("completion")]


def keep_alive(facts: Facts) -> Finding:
    """How long models stay loaded, and which are."""
    if facts.embedded:
        return ok("loaded as long as this process runs")
    if facts.server is None or facts.server.kind != "ollama":
        return unknown("the server was not recognised") if facts.server is None else ok("the server's own matter")
    given = facts.settings.keep_alive
    if given in (0, "0", "0s"):
        return warn("`keep_alive = 0`: every call loads the model anew", 'keep_alive = "30m"')
    running = [one for one in facts.server.models or () if one.in_memory]
    shown = ", ".join(f"{one.name}{_left(one.expires, facts.now)}" for one in running) or "none"
    wished = f"keep_alive = {given}" if given is not None else "keep_alive is the server's own, 5m by default"
    if len(facts.asked()) > 1 and any(one.size and one.vram and one.vram < one.size for one in running):
        return warn(f"{wished}; loaded: {shown}; memory is full: the models push each other out", "smaller models")
    return ok(f"{wished}; loaded: {shown}")


def _left(expires: datetime | None, now: datetime | None) -> str:
    if expires is None or now is None:
        return ""
    minutes = (expires - now).total_seconds() / 60
    return " (stays)" if minutes > 60 * 24 * 365 else f" ({minutes:.0f} min left)"


def embeddings(facts: Facts) -> Finding:
    """Whether vectors fit the index that they are compared with."""
    if facts.server is None:
        return unknown("the server was not recognised")
    asked = facts.asked(embedding=True)
    models = [model for _, model in asked] or ([] if facts.wanted else _only_embedding(facts))
    if not models:
        return ok("no embedding model is mapped")
    expected = facts.settings.expected_dimensions
    for model in models:
        if expected and model.dimensions and model.dimensions != expected:
            return fail(
                f"{model.name} gives {model.dimensions} dimensions, and `expected_dimensions` is {expected}",
                "the model that the index was built with, or a new index",
            )
        name = _fingerprint(model)
        if facts.fingerprint and name and not _same(facts.fingerprint, name):
            return fail(
                f"the index is from {facts.fingerprint}, this is {name}", "build the index anew with this model"
            )
    return ok("; ".join(_fingerprint(model) or model.name for model in models))


def _only_embedding(facts: Facts) -> list[Model]:
    models = facts.server.models if facts.server is not None else None
    return [one for one in models or () if one.embeds]


def _fingerprint(model: Model) -> str | None:
    """As `embedding_fingerprint` names the space; nothing where the length is not known."""
    return fingerprint(model.name, model.dimensions, model.digest or "") if model.dimensions else None


def _same(one: str, other: str) -> bool:
    """Whether two fingerprints can be of one space; "any" build and the tag `latest` are left open."""
    (name, length, build), (name2, length2, build2) = (
        text.rsplit(":", 2) if text.count(":") > 1 else (text, "", "any") for text in (one, other)
    )
    builds = build == build2 or "any" in (build, build2)
    return builds and length == length2 and name.removesuffix(":latest") == name2.removesuffix(":latest")


def pace(facts: Facts) -> Finding:
    """How many requests at once, and how long they may take."""
    settings = facts.settings
    found = terms_of(settings)
    limit = found.limit if found is not None else None
    slots = facts.server.slots if facts.server is not None else None
    if facts.native and settings.max_concurrency == 0:
        return warn("`max_concurrency = 0`: Ollama answers 503 once 512 requests wait", "max_concurrency = 4")
    for _, model in facts.asked():
        needed = (model.size or 0) / _SLOW_DISK
        if settings.load_timeout and not model.in_memory and needed > settings.load_timeout:
            return warn(
                f"load_timeout = {settings.load_timeout:g} s, and {model.name} has {(model.size or 0) / 1e9:.0f} GB",
                f"load_timeout = {max(60, round(2 * needed))}",
            )
    at_once = f"{limit} requests at once" if limit else "any number of requests at once"
    works = f", the server works on {slots}" if slots else ""
    waits = f"load_timeout = {settings.load_timeout:g} s" if settings.load_timeout else "600 s for a response"
    return ok(f"{at_once}{works}; {waits}")
