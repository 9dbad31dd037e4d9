"""Checks 6 and 7: whether the mapped models are there, and can do what they are mapped for (P12, P28, P34)."""

from __future__ import annotations

from difflib import get_close_matches

from llm_adapter.devtools.doctor.facts import Facts, Finding, Model, Server, Wanted, fail, ok, unknown, warn
from llm_adapter.translation.model_names import CHAT_NAME, EMBEDDING_NAME

_CLOUD = ("-cloud", ":cloud")


def models(facts: Facts) -> Finding:
    """Whether every mapped model is installed."""
    server = facts.server
    if server is None or server.models is None:
        return unknown("the server did not list its models")
    if server.any_name:
        return ok(f"any name is answered by {', '.join(one.name for one in server.models)}")
    if not server.models:
        return fail("the server has no model", _get(facts, "a model" if not facts.wanted else facts.wanted[0].name))
    mine = [one for one in facts.wanted if not one.elsewhere]
    if not mine:
        return _unmapped(facts, server)
    if missing := list(dict.fromkeys(one.name for one in mine if server.model(one.name) is None)):
        return _missing(facts, server, missing)
    if abroad := _abroad(facts, server, mine):
        return abroad
    return ok(f"{len({one.name for one in mine})} of {len(server.models)} installed models are mapped")


def near(name: str, installed: list[str]) -> list[str]:
    """The installed models with the nearest names: those of the same family first."""
    family = name.partition(":")[0].rpartition("/")[2]
    kin = [one for one in installed if one.partition(":")[0].rpartition("/")[2] == family]
    return list(dict.fromkeys([*kin, *get_close_matches(name, installed, n=3, cutoff=0.5)]))[:3]


def _missing(facts: Facts, server: Server, missing: list[str]) -> Finding:
    listed, name = ", ".join(missing), missing[0]
    close = near(name, [one.name for one in server.models or ()])
    hint = f"; near {name}: {', '.join(close)}" if close else ""
    if facts.settings.pull == "missing" and server.kind == "ollama":
        return warn(f"not installed yet: {listed}{hint}; the first call pulls it", f"ollama pull {name}")
    return fail(f"not installed: {listed}{hint}", _get(facts, name, close))


def _get(facts: Facts, name: str, close: list[str] | None = None) -> str:
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


def _unmapped(facts: Facts, server: Server) -> Finding:
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


def _abroad(facts: Facts, server: Server, mine: list[Wanted]) -> Finding | None:
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


def capabilities(facts: Facts) -> Finding:
    """Whether the mapped models can do what they are mapped for."""
    if facts.server is None or facts.server.models is None:
        return unknown("the server did not list its models")
    pairs = facts.asked() or [(Wanted("", one.name, one.embeds), one) for one in facts.server.models]
    judged = [(one, model) for one, model in pairs if model.capabilities is not None]
    if not judged:
        return ok("the server does not tell what its models can do; `llm-adapter verify` tries it")
    for one, model in judged:
        need = "embedding" if one.embedding else "completion"
        if facts.server.kind != "llamacpp" and not model.can(need):
            able = _able(facts.server, need)
            return fail(
                f"{model.name} cannot do {need} ({_listed(model)}), which {one.alias or model.name!r} needs",
                f'models = {{ "{one.alias}" = "{able[0]}" }}' if able else "another model",
            )
    toolless = [model.name for one, model in judged if not one.embedding and not model.can("tools")]
    if toolless and facts.wanted:
        able = _able(facts.server, "tools")
        fix = f"for calls with tools: {', '.join(able[:3])}" if able else "a model with tools, such as qwen3"
        return warn(f"no tool calls with {', '.join(dict.fromkeys(toolless))}", fix)
    return ok("; ".join(dict.fromkeys(f"{model.name}: {_listed(model)}" for _, model in judged)))


def _able(server: Server, capability: str) -> list[str]:
    found = [one for one in server.models or () if one.capabilities is not None and one.can(capability)]
    return [one.name for one in found]


def _listed(model: Model) -> str:
    return ", ".join(sorted(model.capabilities or ())) or "nothing"
