"""Check 14: the live probes of one destination, on the client that an application would use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import openai

from llm_adapter.client.clients import OpenAI
from llm_adapter.devtools.doctor import gather, keys
from llm_adapter.devtools.doctor.asking import Asker
from llm_adapter.devtools.doctor.facts import Facts, Finding, Model, fail, ok, unknown, warn
from llm_adapter.devtools.doctor.probes import PROBES, Row, Subject, probed
from llm_adapter.devtools.reporting.text import Tell, silent
from llm_adapter.routing.connection import connect

SECONDS = 120.0  # for a probe: the first one loads the model
_CHAT, _EMBEDDING = "gpt-4o-mini", "text-embedding-3-small"
_USUAL = ("openai", "embedded")  # where the usual names are served


def probe(
    facts: Facts,
    names: gather.Names = gather.NONE,
    *,
    probes: Mapping[str, Callable[[Subject], str]] = PROBES,
    timeout: float = SECONDS,
    tell: Tell = silent,
) -> list[Row]:
    """The rows of the probes. A destination that cannot be used, or is not to have the key, is not asked."""
    if (why := _impossible(facts)) is not None:
        return _untried(probes, why)
    try:
        client = OpenAI(settings=facts.settings, timeout=timeout, max_retries=0)
    except openai.OpenAIError as error:
        return _untried(probes, str(error))
    with client:
        subject = Subject(
            client,
            model(facts, names, embedding=False),
            model(facts, names, embedding=True),
            lambda: names.context or _context(facts, names),
            facts.settings.overflow,
        )
        return probed(subject, probes, tell)


def _untried(names: Iterable[str], why: str) -> list[Row]:
    return [Row(name, "fail", f"not tried: {why}") for name in names]


def _impossible(facts: Facts) -> str | None:
    if keys.leak(facts) is not None:
        return "the key would go to a host that it is not for"
    if facts.startup is not None:
        return facts.startup
    if facts.better is not None:
        return f"the address is wrong: {facts.better} is meant"
    route = facts.route
    if route is not None and (route.problem is not None or not route.reached):
        return f"no connection to {route.target or facts.address}"
    return None


def model(facts: Facts, names: gather.Names, *, embedding: bool) -> str | None:
    """The name to call: the command line's, a call site's that is mapped, or one that the server has."""
    given = names.embedding if embedding else names.chat
    if given:
        return given
    usual = _EMBEDDING if embedding else _CHAT
    aliases = [one.alias for one in facts.wanted if one.embedding == embedding and one.alias != "*"]
    if usual in facts.settings.models or aliases:
        return usual if usual in facts.settings.models else aliases[0]
    if not embedding and "*" in facts.settings.models:
        return usual
    server = facts.server
    if server is None or server.kind in _USUAL or server.any_name:
        return usual
    found = _able(list(server.models or ()), embedding)
    return found[0].name if found else None


def _able(models: list[Model], embedding: bool) -> list[Model]:
    """The models for a purpose, those that are in memory and know tools first."""
    fit = [one for one in models if one.embeds == embedding and not one.remote]
    return sorted(fit, key=lambda one: (not one.can("tools"), not one.in_memory))


def _context(facts: Facts, names: gather.Names) -> int | None:
    """The context that the chat model has now, in tokens: what a server says of it changes as it is loaded."""
    asked = model(facts, names, embedding=False)
    if asked is None or facts.embedded:
        server = facts.server
    else:
        connection = connect(facts.settings, facts.environ)
        asker = Asker(connection, facts.key.value)
        try:
            server = gather.recognised(
                facts.better or facts.address, asker.get(f"{facts.address}/models"), facts.wanted, asker.get, asker.post
            )
        finally:
            asker.close()
    found = server.model(facts.settings.model(asked or _CHAT)) if server is not None else None
    return None if found is None else _room(facts, found)


def _room(facts: Facts, found: Model) -> int | None:
    """What certainly is no less than the context: a server may have put the model out of memory again."""
    num_ctx = facts.settings.num_ctx if facts.native else None
    asked = facts.settings.num_ctx_max if num_ctx == "auto" else num_ctx
    if num_ctx is None and found.loaded:
        return found.loaded
    return min((length for length in (asked, found.trained) if length), default=found.loaded)


def judged(rows: list[Row] | None) -> Finding:
    """The finding of check 14."""
    if rows is None:
        return ok("not run: --deep tries eight calls, for a few hundred tokens")
    tried = [row for row in rows if row.outcome != "skipped"]
    if not tried:
        return unknown("; ".join(dict.fromkeys(row.line for row in rows)))
    failed = [row.name for row in tried if row.outcome == "fail"]
    ignored = [row.name for row in tried if row.outcome == "ignored"]
    if len(failed) == len(tried) and len({row.line for row in tried}) == 1:
        return fail(tried[0].line, "what the checks above name")
    if failed:
        return fail(f"failed: {', '.join(failed)}", "see the rows")
    if ignored:
        return warn(f"accepted and ignored: {', '.join(ignored)}", "see the rows; another model, or another provider")
    return ok(f"{len(tried)} of {len(rows)} pass" if len(tried) < len(rows) else f"all {len(rows)} pass")
