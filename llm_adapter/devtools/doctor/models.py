"""Checks 6 to 11, of the models that call sites ask for.

Whether they are installed, what they can do, how long a prompt may be, how long they stay loaded, whether vectors fit
an index, and how many requests at once and for how long.
"""

from __future__ import annotations

from datetime import datetime
from difflib import get_close_matches

from llm_adapter.devtools.doctor.facts import CheckResult, Facts, Model, Server, Wanted, fail, not_checked, ok, warn
from llm_adapter.providers.embedded.models import has_table, names
from llm_adapter.providers.embedded.names import HUB, PULL
from llm_adapter.routing.terms import terms_of
from llm_adapter.translation.embeddings import fingerprint
from llm_adapter.translation.model_names import CHAT_NAME, EMBEDDING_NAME

_CLOUD = ("-cloud", ":cloud")
_SLOW_DISK = 200e6  # bytes a second, from which a cold model is read
_OLLAMA_CONTEXT = 4096  # tokens: Ollama's own below 24 GiB of GPU memory


def models(facts: Facts) -> CheckResult:
    """Whether every mapped model is installed."""
    server = facts.server
    if server is None or server.models is None:
        return not_checked("the server did not list its models")
    if facts.missing:
        return _absent(facts)
    if facts.embedded and has_table(facts.settings):
        return ok(f"calls may name {', '.join(names(facts.settings))}; each model is loaded with its first call")
    if server.any_name:
        return ok(f"any name is answered by {', '.join(one.name for one in server.models)}")
    if not server.models:
        return fail(
            "the server has no model", _install_fix(facts, "a model" if not facts.wanted else facts.wanted[0].name)
        )
    mine = [one for one in facts.wanted if not one.elsewhere]
    if not mine:
        return _unmapped(facts, server)
    if missing := list(dict.fromkeys(one.name for one in mine if server.model(one.name) is None)):
        return _missing(facts, server, missing)
    if in_cloud := _in_cloud(facts, server, mine):
        return in_cloud
    return ok(f"{len({one.name for one in mine})} of {len(server.models)} installed models are mapped")


def _absent(facts: Facts) -> CheckResult:
    """Models of the embedded llama.cpp that are not on this machine: the first of them has the cure."""
    name, said = next(iter(facts.missing.items()))
    fix = f"{PULL} {name}" if name.startswith(HUB) else "another model, or without it"
    if facts.settings.pull == "missing" and all(one.startswith(HUB) for one in facts.missing):
        return warn(f"not in the cache yet: {', '.join(facts.missing)}; the first call pulls it", fix)
    return fail(said, fix)


def near(name: str, installed: list[str]) -> list[str]:
    """The installed models with the nearest names: those of the same family first."""
    family = name.partition(":")[0].rpartition("/")[2]
    kin = [one for one in installed if one.partition(":")[0].rpartition("/")[2] == family]
    return list(dict.fromkeys([*kin, *get_close_matches(name, installed, n=3, cutoff=0.5)]))[:3]


def _missing(facts: Facts, server: Server, missing: list[str]) -> CheckResult:
    listed, name = ", ".join(missing), missing[0]
    close = near(name, [one.name for one in server.models or ()])
    hint = f"; near {name}: {', '.join(close)}" if close else ""
    if facts.settings.pull == "missing" and server.kind == "ollama":
        return warn(f"not installed yet: {listed}{hint}; the first call pulls it", f"ollama pull {name}")
    return fail(f"not installed: {listed}{hint}", _install_fix(facts, name, close))


def _install_fix(facts: Facts, name: str, close: list[str] | None = None) -> str:
    instead = f' or map it: models = {{ "{_alias(facts, name)}" = "{close[0]}" }}' if close else ""
    match facts.server.kind if facts.server is not None else "":
        case "ollama":
            return f"ollama pull {name}{',' if instead else ''}{instead}"
        case "lmstudio":
            return f"lms get {name}{',' if instead else ''}{instead}"
        case _:
            return instead.removeprefix(" or ") or 'models = { "*" = "one that the server lists" }'


def _alias(facts: Facts, name: str) -> str:
    return next((one.alias for one in facts.wanted if one.name == name), name)


def _unmapped(facts: Facts, server: Server) -> CheckResult:
    """No map: fine where call sites' names are the server's own."""
    if server.kind == "openai":
        return ok(f"{len(server.models or ())} models; the call sites' names are OpenAI's")
    chats = [one for one in server.models or () if one.can("completion") and not one.embeds]
    embeds = [one for one in server.models or () if one.embeds]
    pairs = [("*", chats[0].name)] if chats else []
    pairs += [(EMBEDDING_NAME, embeds[0].name)] if embeds else []
    written = ", ".join(f'"{alias}" = "{name}"' for alias, name in pairs)
    return warn(
        f"no `models` map: a call site's {CHAT_NAME!r} is not among the {len(server.models or ())} installed",
        f"models = {{ {written} }}",
    )


def _in_cloud(facts: Facts, server: Server, mine: list[Wanted]) -> CheckResult | None:
    """Whether calls leave for a cloud, though the server is near."""
    away = [one.name for one in mine if one.name.endswith(_CLOUD) or ((m := server.model(one.name)) and m.remote)]
    if not away:
        return None
    line = f"{', '.join(dict.fromkeys(away))} runs in Ollama's cloud: prompts leave this machine"
    return (
        fail(f"{line}, and `local_only` is set", "map a local model")
        if facts.settings.local_only
        else warn(line, "local_only = true")
    )


def capabilities(facts: Facts) -> CheckResult:
    """Whether the mapped models can do what they are mapped for."""
    if facts.server is None or facts.server.models is None:
        return not_checked("the server did not list its models")
    pairs = facts.mapped_models() or [(Wanted("", one.name, one.embeds), one) for one in facts.server.models]
    judged = [(one, model) for one, model in pairs if model.capabilities is not None]
    if not judged:
        return ok("the server does not tell what its models can do; `llm-adapter verify` tries it")
    for one, model in judged:
        need = "embedding" if one.embedding else "completion"
        if facts.server.kind != "llamacpp" and not model.can(need):
            able = _models_that_can(facts.server, need)
            return fail(
                f"{model.name} cannot do {need} ({_capability_names(model)}), which {one.alias or model.name!r} needs",
                f'models = {{ "{one.alias}" = "{able[0]}" }}' if able else "another model",
            )
    toolless = [model.name for one, model in judged if not one.embedding and not model.can("tools")]
    if toolless and facts.wanted:
        able = _models_that_can(facts.server, "tools")
        fix = f"for calls with tools: {', '.join(able[:3])}" if able else "a model with tools, such as qwen3"
        return warn(f"no tool calls with {', '.join(dict.fromkeys(toolless))}", fix)
    return ok("; ".join(dict.fromkeys(f"{model.name}: {_capability_names(model)}" for _, model in judged)))


def _models_that_can(server: Server, capability: str) -> list[str]:
    found = [one for one in server.models or () if one.capabilities is not None and one.can(capability)]
    return [one.name for one in found]


def _capability_names(model: Model) -> str:
    return ", ".join(sorted(model.capabilities or ())) or "nothing"


def context(facts: Facts) -> CheckResult:
    """What a prompt may hold: as the model was trained, as it is loaded, as it is configured."""
    if facts.server is None:
        return not_checked("the server was not recognised")
    if facts.settings.overflow == "allow":
        return warn('`overflow = "allow"`: prompts that do not fit are cut without a word', 'overflow = "error"')
    known = [model for _, model in _chat_models(facts) if model.trained or model.loaded]
    if facts.server.kind == "ollama" and not facts.native:
        cut = f" at {known[0].loaded}" if known and known[0].loaded else ""
        return warn(f"Ollama's /v1 cuts long prompts{cut} without a word", 'provider = "ollama"')
    if not known:
        return ok("the server does not tell its context; a prompt that does not fit is an error")
    for model in known:
        if (found := _context_problem(facts, model)) is not None:
            return found
    return ok("; ".join(_context_sizes(facts, model) for model in known))


def _context_problem(facts: Facts, model: Model) -> CheckResult | None:
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
    elif facts.native and num_ctx is None and trained and trained > (loaded or _OLLAMA_CONTEXT):
        have = (
            f"is loaded with {loaded}" if loaded else f"gets the server's own context, {_OLLAMA_CONTEXT} on small GPUs,"
        )
        return warn(
            f"{model.name} {have} of {trained} tokens: longer prompts are an error", 'num_ctx = "auto", or a number'
        )
    if model.in_memory and model.vram and model.size and model.vram < 0.98 * model.size:
        share = round(100 * (1 - model.vram / model.size))
        return warn(f"{model.name}: {share} % of it runs on the CPU", "a smaller num_ctx, or a smaller model")
    return None


def _context_sizes(facts: Facts, model: Model) -> str:
    parts = [f"trained for {model.trained}"] if model.trained else []
    parts += [f"loaded with {model.loaded}"] if model.loaded else ["not loaded"] if facts.native else []
    parts += [f"num_ctx = {facts.settings.num_ctx}"] if facts.settings.num_ctx else []
    return f"{model.name}: {', '.join(parts)}"


def _chat_models(facts: Facts) -> list[tuple[Wanted, Model]]:
    if facts.wanted:
        return facts.mapped_models(embedding=False)
    models = facts.server.models if facts.server is not None else None
    return [(Wanted("", one.name), one) for one in models or () if one.can("completion")]


def keep_alive(facts: Facts) -> CheckResult:
    """How long models stay loaded, and which are."""
    if facts.embedded:
        kept = facts.settings.keep_alive
        return ok(f"keep_alive = {'5m by default' if kept is None else kept}, and at most as long as this process runs")
    if facts.server is None or facts.server.kind != "ollama":
        return not_checked("the server was not recognised") if facts.server is None else ok("the server's own matter")
    given = facts.settings.keep_alive
    if given in (0, "0", "0s"):
        return warn("`keep_alive = 0`: every call loads the model anew", 'keep_alive = "30m"')
    running = [one for one in facts.server.models or () if one.in_memory]
    shown = ", ".join(f"{one.name}{_time_left(one.expires, facts.now)}" for one in running) or "none"
    wished = f"keep_alive = {given}" if given is not None else "keep_alive is the server's own, 5m by default"
    if len(facts.mapped_models()) > 1 and any(one.size and one.vram and one.vram < one.size for one in running):
        return warn(f"{wished}; loaded: {shown}; memory is full: the models push each other out", "smaller models")
    return ok(f"{wished}; loaded: {shown}")


def _time_left(expires: datetime | None, now: datetime | None) -> str:
    if expires is None or now is None:
        return ""
    minutes = (expires - now).total_seconds() / 60
    return " (stays)" if minutes > 60 * 24 * 365 else f" ({minutes:.0f} min left)"


def embeddings(facts: Facts) -> CheckResult:
    """Whether vectors fit the index that they are compared with."""
    if facts.server is None:
        return not_checked("the server was not recognised")
    asked = facts.mapped_models(embedding=True)
    models = [model for _, model in asked] or ([] if facts.wanted else _embedding_models(facts))
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
        if facts.fingerprint and name and not _same_space(facts.fingerprint, name):
            return fail(
                f"the index is from {facts.fingerprint}, this is {name}", "build the index anew with this model"
            )
    return ok("; ".join(_fingerprint(model) or model.name for model in models))


def _embedding_models(facts: Facts) -> list[Model]:
    models = facts.server.models if facts.server is not None else None
    return [one for one in models or () if one.embeds]


def _fingerprint(model: Model) -> str | None:
    """As `embedding_fingerprint` names the space; nothing where the length is not known."""
    return fingerprint(model.name, model.dimensions, model.digest or "") if model.dimensions else None


def _same_space(one: str, other: str) -> bool:
    """Whether two fingerprints can be of one space; "any" build and the tag `latest` are left open."""
    (name, length, build), (name2, length2, build2) = (
        text.rsplit(":", 2) if text.count(":") > 1 else (text, "", "any") for text in (one, other)
    )
    builds = build == build2 or "any" in (build, build2)
    return builds and length == length2 and name.removesuffix(":latest") == name2.removesuffix(":latest")


def pace(facts: Facts) -> CheckResult:
    """How many requests at once, and how long they may take."""
    settings = facts.settings
    found = terms_of(settings)
    limit = found.limit if found is not None else None
    slots = facts.server.slots if facts.server is not None else None
    if facts.native and settings.max_concurrency == 0:
        return warn("`max_concurrency = 0`: Ollama answers 503 once 512 requests wait", "max_concurrency = 32")
    for _, model in facts.mapped_models():
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
