"""The checks on a profile: which models and what context they are given, and what one profile loses of another.

`llm-adapter verify` shows it. It lives here, and not beside `doctor`, since the developer tools import nothing of
`llm_adapter.testing`, while the tests may build on what doctor knows of a server. This needs no pytest.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import openai

from llm_adapter.client.clients import OpenAI
from llm_adapter.devtools.doctor import keys
from llm_adapter.devtools.doctor.facts import Facts, Model
from llm_adapter.devtools.doctor.survey import NO_NAMES, Names, gather_facts
from llm_adapter.devtools.reporting.text import Tell, silent
from llm_adapter.settings.hosts import is_openai
from llm_adapter.settings.settings import Settings
from llm_adapter.testing.contract.case import Case, Check
from llm_adapter.testing.contract.player import Player
from llm_adapter.testing.contract.runner import EVERYDAY, Judge, Result, Results
from llm_adapter.translation.model_names import CHAT_NAME, EMBEDDING_NAME

_SERVES_OPENAI_NAMES = ("openai", "embedded")
# Source: platform.openai.com/docs/models. The others' context is longer than a check tries, or not known.
_OPENAI_CONTEXT = {"gpt-4o": 128_000, "gpt-4-turbo": 128_000, "gpt-3.5": 16_385, "o1": 200_000, "o3": 200_000}


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of the checks on one profile."""

    profile: str | None
    address: str
    model: str | None  # the server's name
    embedding_model: str | None
    results: Results

    def json(self) -> dict[str, Any]:
        about = {"profile": self.profile, "address": self.address, "model": self.model}
        return {**about, "embedding_model": self.embedding_model, "rows": [one._asdict() for one in self.results]}


def verified(
    profile: str | None = None,
    names: Names = NO_NAMES,
    *,
    timeout: float,
    context: int | None = None,
    checks: Iterable[Check] = EVERYDAY,
    environ: Mapping[str, str] | None = None,
    tell: Tell = silent,
) -> Verified:
    """What came of the checks on a profile. Raises `SettingsError`.

    timeout: seconds for one call. context: the chat model's, in tokens, if its server does not tell it. tell: is told
    the name of each check before it runs.
    """
    environ = os.environ if environ is None else environ
    facts = gather_facts(Settings.load(environ, profile=profile), environ, names, profile)
    chat, embedding = (_model(facts, names, embedding=kind) for kind in (False, True))
    results = _results(facts, Case(None, chat or "", embedding, context), list(checks), timeout, tell)
    clean = Results([one._replace(line=keys.masked(one.line, facts, environ)) for one in results])
    chat, embedding = (name and facts.settings.model(name) for name in (chat, embedding))
    return Verified(profile or environ.get("LLM_ADAPTER_PROFILE"), facts.address, chat, embedding, clean)


def regressions(there: Results, here: Results) -> list[str]:
    """The checks that pass there, and not here. A model that is missing here is a loss; a prompt whose length is not
    known, or too long to try, is none.
    """
    passed = {one.name for one in there if one.outcome == "passed"}
    untried = {one.name for one in here if one.name == "overlong_prompt" and one.outcome != "failed"}
    return [one.name for one in here if one.name in passed - untried and one.outcome != "passed"]


def _results(facts: Facts, case: Case, checks: list[Check], timeout: float, tell: Tell) -> Results:
    """A server that cannot be used, or is not to have the key, is not asked."""
    if (why := _impossible(facts)) is not None:
        return _untried(checks, why)
    try:
        client = OpenAI(settings=facts.settings, timeout=timeout, max_retries=0)
    except openai.OpenAIError as error:
        return _untried(checks, str(error))
    with client, Player() as player:
        case, judge, results = replace(case, client=client), Judge(player), Results()
        for check in checks:
            tell(check.name)
            if "context" in check.needs and case.context is None:
                # A server tells another context once the model is loaded: the checks before have done that.
                case = replace(case, context=_context(facts, case.model))
            results.append(judge(check, case, _left_out(facts, case, check)))
        return results


def _untried(checks: list[Check], why: str) -> Results:
    return Results([Result(check.name, "failed", f"not tried: {why}", asks=check.asks) for check in checks])


def _impossible(facts: Facts) -> str | None:
    if keys.leak(facts) is not None:
        return "the key would go to a host that it is not for"
    if facts.startup is not None:
        return facts.startup
    if facts.working_address is not None:
        return f"the address is wrong: {facts.working_address} is meant"
    route = facts.route
    if route is not None and (route.problem is not None or not route.reached):
        return f"no connection to {route.target or facts.address}"
    return None


def _left_out(facts: Facts, case: Case, check: Check) -> Mapping[str, str]:
    """What this profile cannot be asked, and why: needs and names of checks."""
    settings, left_out = facts.settings, {}
    if not case.model and not {"embeddings", "models"} & {*check.needs}:
        left_out[check.name] = "no chat model is known: --model names one"
    if case.embedding_model is None:
        left_out["embeddings"] = "no embedding model is known: --embedding-model names one"
    if "*" in settings.models or facts.embedded or (facts.server is not None and facts.server.any_name):
        left_out["unknown_models"] = "any name is served"
    if settings.overflow != "error":
        left_out["context"] = f'`overflow = "{settings.overflow}"`: it is not to be an error'
    elif case.context is None:
        left_out["context"] = "the server does not tell its context: --context names it"
    return left_out


def _model(facts: Facts, names: Names, *, embedding: bool) -> str | None:
    """The name to call: the command line's, a call site's that is mapped, or one that the server has."""
    given = names.embedding if embedding else names.chat
    if given:
        return given
    usual = EMBEDDING_NAME if embedding else CHAT_NAME
    aliases = [one.alias for one in facts.wanted if one.embedding == embedding and one.alias != "*"]
    if usual in facts.settings.models or aliases:
        return usual if usual in facts.settings.models else aliases[0]
    if not embedding and "*" in facts.settings.models:
        return usual
    server = facts.server
    if server is None or server.kind in _SERVES_OPENAI_NAMES or server.any_name:
        return usual
    fit = [one for one in server.models or () if one.embeds == embedding and not one.remote]
    # Those that know tools and are in memory first.
    fit.sort(key=lambda one: (not one.can("tools"), not one.in_memory))
    return fit[0].name if fit else None


def _context(facts: Facts, chat: str) -> int | None:
    """The context that the chat model has now, in tokens."""
    if is_openai(facts.address):
        return next((length for name, length in _OPENAI_CONTEXT.items() if chat.startswith(name)), None)
    server = gather_facts(facts.settings, facts.environ, Names(chat)).server
    found = server.model(facts.settings.model(chat)) if server is not None else None
    return None if found is None else _shortest_context(facts, found)


def _shortest_context(facts: Facts, found: Model) -> int | None:
    """What the context certainly is not above: a server may have put the model out of memory again."""
    num_ctx = facts.settings.num_ctx if facts.native else None
    asked = facts.settings.num_ctx_max if num_ctx == "auto" else num_ctx
    if num_ctx is None and found.loaded:
        return found.loaded
    return min((length for length in (asked, found.trained) if length), default=found.loaded)
