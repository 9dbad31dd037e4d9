"""Check 13: what sends prompts elsewhere, and what fetches files from elsewhere before a call.

A tracer is told where it would send: where its package is here and its variables are set, or where it sends without
any. Its address is looked at, for many run on this machine. Nothing is imported and nothing is asked.
Sources of the variables: langfuse/_client/environment_variables.py (5.0.4); langsmith utils.py (tracing_is_enabled);
opentelemetry-sdk environment_variables; logfire's configuration page; agents/tracing (openai-agents 0.24.0); mem0
memory/telemetry.py (2.2.1); crewai events/listeners/tracing/utils.py (1.15.30); ragas _analytics.py (0.4.3);
langchain_openai embeddings/base.py (1.7.4); the others' own documentation, 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from llm_adapter.devtools.doctor.facts import CheckResult, Facts, fail, ok, warn
from llm_adapter.settings.hosts import is_openai, is_private

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")
AGENTS_OFF = "OPENAI_AGENTS_DISABLE_TRACING"


class Tracer(NamedTuple):
    """A library that sends prompts to a service."""

    name: str
    packages: tuple[str, ...]  # any of them; none: the variables alone tell
    needs: tuple[tuple[str, ...], ...] = ()  # of each group one variable is set to something
    switch: tuple[str, ...] = ()  # or, in their place, one of these is on
    off: str = ""  # the variable that stops it, with the value that does: "LANGFUSE_TRACING_ENABLED=false"
    addresses: tuple[str, ...] = ()  # variables that name another address than the service's own
    what: str = "prompts"

    def sends(self, facts: Facts) -> bool:
        """Whether prompts leave, as far as packages and variables tell."""
        environ = facts.environ
        if self.packages and not any(package in facts.packages for package in self.packages):
            return False
        if self.off and _is_off(environ, self.off):
            return False
        on = any(_is_on(environ, name) for name in self.switch) if self.switch else True
        return on and all(any(environ.get(name) for name in group) for group in self.needs)

    def is_here(self, environ: Mapping[str, str]) -> bool:
        """Whether it is sent to a private address."""
        given = [environ[name] for name in self.addresses if environ.get(name)]
        return bool(given) and all(is_private(address) for address in given)

    def cure(self, environ: Mapping[str, str]) -> str:
        if self.off:
            return self.off
        names = [name for name in (*self.switch, *(one for group in self.needs for one in group)) if environ.get(name)]
        return f"unset {names[0]}"


_OTLP = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT")
TRACERS = (
    Tracer(
        "LangSmith",
        (),
        switch=("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2"),
        addresses=("LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT"),
    ),
    Tracer(
        "Langfuse",
        ("langfuse",),
        needs=(("LANGFUSE_PUBLIC_KEY",), ("LANGFUSE_SECRET_KEY",)),
        off="LANGFUSE_TRACING_ENABLED=false",
        addresses=("LANGFUSE_BASE_URL", "LANGFUSE_HOST"),
    ),
    Tracer("Logfire", ("logfire",), needs=(("LOGFIRE_TOKEN",),), off="LOGFIRE_SEND_TO_LOGFIRE=false"),
    Tracer("an OpenTelemetry collector (OTLP)", (), needs=(_OTLP,), off="OTEL_SDK_DISABLED=true", addresses=_OTLP),
    Tracer("Helicone", (), needs=(("HELICONE_API_KEY",),), addresses=("HELICONE_BASE_URL",)),
    Tracer(
        "Phoenix",
        ("arize-phoenix", "arize-phoenix-otel", "openinference-instrumentation-openai"),
        needs=(("PHOENIX_COLLECTOR_ENDPOINT", "PHOENIX_API_KEY"),),
        addresses=("PHOENIX_COLLECTOR_ENDPOINT",),
    ),
    Tracer("Arize", ("arize", "arize-otel"), needs=(("ARIZE_API_KEY",), ("ARIZE_SPACE_ID", "ARIZE_SPACE_KEY"))),
    Tracer("W&B Weave", ("weave",), needs=(("WANDB_API_KEY",),), off="WEAVE_DISABLED=true"),
    Tracer(
        "Opik",
        ("opik",),
        needs=(("OPIK_API_KEY", "OPIK_URL_OVERRIDE"),),
        off="OPIK_TRACK_DISABLE=true",
        addresses=("OPIK_URL_OVERRIDE",),
    ),
    Tracer("AgentOps", ("agentops",), needs=(("AGENTOPS_API_KEY",),)),
    Tracer(
        "Traceloop",
        ("traceloop-sdk",),
        needs=(("TRACELOOP_API_KEY", "TRACELOOP_BASE_URL"),),
        off="TRACELOOP_TRACE_CONTENT=false",
        addresses=("TRACELOOP_BASE_URL",),
    ),
    Tracer("Braintrust", ("braintrust",), needs=(("BRAINTRUST_API_KEY",),), addresses=("BRAINTRUST_API_URL",)),
    Tracer("Sentry", ("sentry-sdk",), needs=(("SENTRY_DSN",),)),
    Tracer("Datadog LLM Observability", ("ddtrace",), switch=("DD_LLMOBS_ENABLED",), off="DD_LLMOBS_ENABLED=0"),
    Tracer(
        "PostHog", ("posthog",), needs=(("POSTHOG_API_KEY", "POSTHOG_PROJECT_API_KEY"),), addresses=("POSTHOG_HOST",)
    ),
    Tracer("MLflow", ("mlflow",), needs=(("MLFLOW_TRACKING_URI",),), addresses=("MLFLOW_TRACKING_URI",)),
    Tracer("Lunary", ("lunary",), needs=(("LUNARY_PUBLIC_KEY", "LUNARY_APP_ID"),), addresses=("LUNARY_API_URL",)),
    Tracer("PromptLayer", ("promptlayer",), needs=(("PROMPTLAYER_API_KEY",),)),
    Tracer("mem0", ("mem0ai",), off="MEM0_TELEMETRY=false", what="statistics of its use"),
    Tracer("ragas", ("ragas",), off="RAGAS_DO_NOT_TRACK=true", what="statistics of its use"),
    Tracer("CrewAI's service", (), switch=("CREWAI_TRACING_ENABLED",)),
    Tracer("CrewAI", ("crewai",), off="CREWAI_DISABLE_TELEMETRY=true", what="statistics of its use"),
)


def telemetry(facts: Facts) -> CheckResult:
    """Whether some library sends prompts elsewhere, or fetches what it needs from elsewhere."""
    judge = fail if facts.settings.local_only else warn
    found = [*_traces_of_agents(facts), *_tracers(facts), *_downloads(facts)]
    if not found:
        return ok("nothing is known to send prompts elsewhere")
    return judge("; ".join(line for line, _ in found), "; ".join(dict.fromkeys(cure for _, cure in found)))


def _traces_of_agents(facts: Facts) -> list[tuple[str, str]]:
    if "openai-agents" not in facts.packages or is_openai(facts.address) or _is_on(facts.environ, AGENTS_OFF):
        return []
    line = "the Agents SDK sends traces, prompts in them, to api.openai.com"
    return [(line, f"{AGENTS_OFF}=1, or agents.set_tracing_disabled(True)")]


def _tracers(facts: Facts) -> list[tuple[str, str]]:
    sending = [one for one in TRACERS if one.sends(facts) and not one.is_here(facts.environ)]
    return [(f"{_reason(one, facts.environ)}: {one.what} go to {one.name}", one.cure(facts.environ)) for one in sending]


def _reason(tracer: Tracer, environ: Mapping[str, str]) -> str:
    """What tells that it sends: the variables that are set, or its package."""
    names = [name for name in tracer.switch if _is_on(environ, name)]
    names += [next(name for name in group if environ.get(name)) for group in tracer.needs]
    if not names:
        return f"{tracer.packages[0]} is installed"
    return f"{' and '.join(names[:2])} {'is' if len(names) == 1 else 'are'} {'on' if tracer.switch else 'set'}"


def _downloads(facts: Facts) -> list[tuple[str, str]]:
    """OpenAIEmbeddings of LangChain counts tokens with tables that tiktoken fetches at the first call."""
    if {"langchain-openai", "tiktoken"} - facts.packages.keys() or is_openai(facts.address):
        return []
    if facts.environ.get("TIKTOKEN_CACHE_DIR") or facts.environ.get("DATA_GYM_CACHE_DIR"):
        return []
    line = "LangChain's OpenAIEmbeddings fetches tiktoken's tables from openaipublic.blob.core.windows.net"
    return [(line, "OpenAIEmbeddings(check_embedding_ctx_length=False), or TIKTOKEN_CACHE_DIR with the tables")]


def _is_on(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").strip().lower() in _TRUE


def _is_off(environ: Mapping[str, str], switch: str) -> bool:
    """Whether a variable has the value that stops something, or one that means the same."""
    name, _, value = switch.partition("=")
    given = environ.get(name, "").strip().lower()
    return given in (_TRUE if value in _TRUE else _FALSE)
