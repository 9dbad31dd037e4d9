"""Check 13: what sends prompts elsewhere, and what fetches files from elsewhere before a call.

A tracer is told where it would send: where its package is here and its variables are set, or where it sends without
any. Its address is looked at, for many run on this machine. Nothing is imported and nothing is asked.
Each row names the release whose source its variables, and the values that they take, were read from. A value that a
package does not take stops nothing: `LANGFUSE_TRACING_ENABLED=0` leaves Langfuse on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from llm_adapter.devtools.doctor.facts import CheckResult, Facts, fail, ok, warn
from llm_adapter.settings.hosts import is_openai, is_private

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")
_AT_HOME = ("sqlite:", "file:", ".", "/")  # how an address begins that is a file's
AGENTS_OFF = "OPENAI_AGENTS_DISABLE_TRACING"


class Tracer(NamedTuple):
    """A library that sends prompts to a service."""

    name: str
    packages: tuple[str, ...]  # any of them; none: the variables alone tell
    needs: tuple[tuple[str, ...], ...] = ()  # of each group one variable is set to something
    switch: tuple[str, ...] = ()  # or, in their place, one of these is on
    on: tuple[str, ...] = _TRUE  # the values for which it is, in small letters
    off: str = ""  # the variable that stops it, with the value that does: "LANGFUSE_TRACING_ENABLED=false"
    off_too: tuple[str, ...] = ()  # other values that do, in small letters
    addresses: tuple[str, ...] = ()  # variables that name another address than the service's own
    what: str = "prompts"
    file: str = ""  # in the working directory, which has the key where the variables do not

    def sends(self, facts: Facts) -> bool:
        """Whether prompts leave, as far as packages and variables tell."""
        environ = facts.environ
        if self.packages and not any(package in facts.packages for package in self.packages):
            return False
        name, _, value = self.off.partition("=")
        if name and _value(environ, name) in (value, *self.off_too):
            return False
        on = not self.switch or any(self.is_on(environ, name) for name in self.switch)
        known = self.file in facts.files or all(any(environ.get(name) for name in group) for group in self.needs)
        return on and known

    def is_on(self, environ: Mapping[str, str], name: str) -> bool:
        return _value(environ, name) in self.on

    def is_here(self, environ: Mapping[str, str]) -> bool:
        """Whether it is sent to a private address, or to a file."""
        given = [environ[name] for name in self.addresses if environ.get(name)]
        return bool(given) and all(is_private(address) or address.startswith(_AT_HOME) for address in given)

    def cure(self, environ: Mapping[str, str]) -> str:
        if self.off:
            return self.off
        names = [name for name in (*self.switch, *(one for group in self.needs for one in group)) if environ.get(name)]
        return f"unset {names[0]}"


_OTLP = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT")
TRACERS = (
    Tracer(  # langsmith 0.15.1: utils.py tracing_is_enabled, get_env_var, get_api_url
        "LangSmith",
        (),
        switch=("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2", "LANGCHAIN_TRACING"),
        on=("true",),
        addresses=("LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT"),
    ),
    Tracer(  # langfuse 5.0.4: _client/client.py
        "Langfuse",
        ("langfuse",),
        needs=(("LANGFUSE_PUBLIC_KEY",), ("LANGFUSE_SECRET_KEY",)),
        off="LANGFUSE_TRACING_ENABLED=false",
        addresses=("LANGFUSE_BASE_URL", "LANGFUSE_HOST"),
    ),
    Tracer(  # logfire-sdk 5.4.0: _internal/config_params.py, _internal/config.py CREDENTIALS_FILENAME
        "Logfire",
        ("logfire", "logfire-sdk"),
        needs=(("LOGFIRE_TOKEN",),),
        off="LOGFIRE_SEND_TO_LOGFIRE=false",
        off_too=("0", "f"),
        addresses=("LOGFIRE_BASE_URL",),
        file=".logfire/logfire_credentials.json",
    ),
    Tracer(  # opentelemetry-sdk 1.45.2: trace/__init__.py TracerProvider
        "an OpenTelemetry collector (OTLP)", (), needs=(_OTLP,), off="OTEL_SDK_DISABLED=true", addresses=_OTLP
    ),
    # helicone 1.0.14: globals/helicone.py. It is called at an address of its own more often than by its package.
    Tracer("Helicone", (), needs=(("HELICONE_API_KEY",),)),
    Tracer(  # arize-phoenix-otel 0.17.2: otel/settings.py; without the variable it sends to this machine
        "Phoenix",
        ("arize-phoenix", "arize-phoenix-otel"),
        needs=(("PHOENIX_COLLECTOR_ENDPOINT",),),
        addresses=("PHOENIX_COLLECTOR_ENDPOINT",),
    ),
    Tracer(  # arize-otel 0.14.1: otel/settings.py
        "Arize",
        ("arize-otel",),
        needs=(("ARIZE_API_KEY",), ("ARIZE_SPACE_ID",)),
        addresses=("ARIZE_COLLECTOR_ENDPOINT",),
    ),
    Tracer(  # weave 0.54.0: trace/settings.py _parse_bool, trace/env.py
        "W&B Weave",
        ("weave",),
        needs=(("WANDB_API_KEY",),),
        off="WEAVE_DISABLED=true",
        off_too=_TRUE,
        addresses=("WF_TRACE_SERVER_URL", "WANDB_BASE_URL"),
    ),
    Tracer(  # opik 2.2.122: config.py OpikConfig, whose values Pydantic reads
        "Opik",
        ("opik",),
        needs=(("OPIK_API_KEY", "OPIK_URL_OVERRIDE"),),
        off="OPIK_TRACK_DISABLE=true",
        off_too=(*_TRUE, "t", "y"),
        addresses=("OPIK_URL_OVERRIDE",),
    ),
    Tracer(  # agentops 0.4.21: config.py, helpers/env.py get_env_bool
        "AgentOps",
        ("agentops",),
        needs=(("AGENTOPS_API_KEY",),),
        off="AGENTOPS_INSTRUMENT_LLM_CALLS=false",
        off_too=_FALSE,
        addresses=("AGENTOPS_EXPORTER_ENDPOINT",),
    ),
    Tracer(  # traceloop-sdk 0.62.4: __init__.py, config/__init__.py is_content_tracing_enabled
        "Traceloop",
        ("traceloop-sdk",),
        needs=(("TRACELOOP_API_KEY", "TRACELOOP_BASE_URL"),),
        off="TRACELOOP_TRACE_CONTENT=false",
        off_too=_FALSE,
        addresses=("TRACELOOP_BASE_URL",),
    ),
    Tracer(  # braintrust 0.48.1: env.py, logger.py
        "Braintrust",
        ("braintrust",),
        needs=(("BRAINTRUST_API_KEY",),),
        addresses=("BRAINTRUST_API_URL",),
    ),
    # sentry-sdk 2.75.0: client.py; prompts are in it where the program says `send_default_pii=True`
    Tracer("Sentry", ("sentry-sdk",), needs=(("SENTRY_DSN",),), addresses=("SENTRY_DSN",)),
    Tracer(  # ddtrace 4.16.0: llmobs/_llmobs.py, internal/utils/formats.py asbool
        "Datadog LLM Observability",
        ("ddtrace",),
        switch=("DD_LLMOBS_ENABLED",),
        on=("true", "1"),
        off="DD_LLMOBS_ENABLED=0",
    ),
    # posthog 7.91.1 reads none of these: they are the names by which its documentation has programs hand it a key
    Tracer(
        "PostHog", ("posthog",), needs=(("POSTHOG_API_KEY", "POSTHOG_PROJECT_API_KEY"),), addresses=("POSTHOG_HOST",)
    ),
    Tracer(  # mlflow 3.18.0: environment_variables.py
        "MLflow",
        ("mlflow", "mlflow-skinny", "mlflow-tracing"),
        needs=(("MLFLOW_TRACKING_URI",),),
        addresses=("MLFLOW_TRACKING_URI",),
    ),
    Tracer(  # lunary 1.4.41: config.py
        "Lunary",
        ("lunary",),
        needs=(("LUNARY_PRIVATE_KEY", "LUNARY_PUBLIC_KEY", "LUNARY_APP_ID"),),
        addresses=("LUNARY_API_URL",),
    ),
    Tracer(  # promptlayer 1.5.16: tracing.py
        "PromptLayer", ("promptlayer",), needs=(("PROMPTLAYER_API_KEY",),), addresses=("PROMPTLAYER_BASE_URL",)
    ),
    Tracer(  # crewai 1.15.30: events/listeners/tracing/utils.py
        "CrewAI's service",
        ("crewai",),
        switch=("CREWAI_TRACING_ENABLED",),
        on=("true", "1"),
        off="CREWAI_TRACING_ENABLED=false",
    ),
    # mem0ai 2.2.1: memory/telemetry.py; ragas 0.4.3: _analytics.py; haystack-ai 3.4.1: telemetry/_telemetry.py;
    # crewai-core 1.15.30: telemetry.py; mlflow 3.18.0: telemetry/utils.py
    Tracer("mem0", ("mem0ai",), off="MEM0_TELEMETRY=false", off_too=_FALSE, what="statistics of its use"),
    Tracer("ragas", ("ragas",), off="RAGAS_DO_NOT_TRACK=true", what="statistics of its use"),
    Tracer(
        "Haystack",
        ("haystack-ai",),
        off="HAYSTACK_TELEMETRY_ENABLED=false",
        off_too=_FALSE,
        what="statistics of its use",
    ),
    Tracer("CrewAI", ("crewai",), off="CREWAI_DISABLE_TELEMETRY=true", off_too=_TRUE, what="statistics of its use"),
    Tracer(
        "MLflow's makers",
        ("mlflow", "mlflow-skinny", "mlflow-tracing"),
        off="MLFLOW_DISABLE_TELEMETRY=true",
        off_too=("1",),
        what="statistics of its use",
    ),
)


def telemetry(facts: Facts) -> CheckResult:
    """Whether some library sends prompts elsewhere, or fetches what it needs from elsewhere."""
    judge = fail if facts.settings.local_only else warn
    found = [*_traces_of_agents(facts), *_tracers(facts), *_downloads(facts)]
    if not found:
        return ok("nothing is known to send prompts elsewhere")
    return judge("; ".join(line for line, _ in found), "; ".join(dict.fromkeys(cure for _, cure in found)))


def _traces_of_agents(facts: Facts) -> list[tuple[str, str]]:
    if (
        "openai-agents" not in facts.packages
        or is_openai(facts.address)
        or _value(facts.environ, AGENTS_OFF) in ("true", "1")
    ):
        return []
    line = "the Agents SDK sends traces, prompts in them, to api.openai.com"
    return [(line, f"{AGENTS_OFF}=1, or agents.set_tracing_disabled(True)")]


def _tracers(facts: Facts) -> list[tuple[str, str]]:
    sending = [one for one in TRACERS if one.sends(facts) and not one.is_here(facts.environ)]
    return [(f"{_reason(one, facts)}: {one.what} go to {one.name}", one.cure(facts.environ)) for one in sending]


def _reason(tracer: Tracer, facts: Facts) -> str:
    """What tells that it sends: the variables that are set, its file, or its package."""
    environ = facts.environ
    if tracer.file in facts.files:
        return f"{tracer.file} is there"
    names = [name for name in tracer.switch if tracer.is_on(environ, name)]
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


def _value(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip().lower()
