"""`llm-adapter doctor`: every check as a table of facts, then whole runs on servers that are scripted or absent."""

from __future__ import annotations

import io
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from commands import Command, Ollama, command

from llm_adapter import OpenAI, Settings, embedding_fingerprint
from llm_adapter.devtools.doctor import CHECKS, diagnose, diagnosis, network, servers, survey
from llm_adapter.devtools.doctor.facts import Answer, Attempt, Facts, Key, Model, Route, Server, Wanted
from llm_adapter.devtools.doctor.telemetry import TRACERS, Tracer
from llm_adapter.providers.embedded.models import CHAT_MODEL, EMBEDDING_MODEL
from llm_adapter.routing.unreachable import Surroundings

__all__ = ["command"]
SECRET = "sk-proj-T3BlbkFJ-not-to-be-shown"
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
LISTS = Answer("http://h:1/v1/models", 200, {"data": []})
THERE = Route("h:1", "no proxy is set", attempts=(Attempt("10.0.0.1"),))
REFUSED = Route("127.0.0.1:1", "no proxy is set", attempts=(Attempt("127.0.0.1", "Connection refused"),))
CHAT = Model("qwen3:8b", frozenset({"completion", "tools"}), 40960, 8192, digest="d", size=10, vram=10, in_memory=True)
PLAIN = Model("gemma:2b", frozenset({"completion"}), 8192)
EMBED = Model("nomic-embed-text:latest", frozenset({"embedding"}), 2048, dimensions=768, digest="e")
TABLE = {"provider": "embedded", "models": {"gpt-4o": "hf:o/r", "small": "ollama:tiny"}}
OLLAMA = Server("ollama", "0.24.0", (CHAT, PLAIN, EMBED))
MAP = (Wanted("gpt-4o", "qwen3:8b"), Wanted("text-embedding-3-small", "nomic-embed-text", embedding=True))


def facts(settings: dict[str, Any] | None = None, **changes: Any) -> Facts:
    """A healthy Ollama, but for the changes."""
    given = {"provider": "ollama", "num_ctx": 8192, **(settings or {})}
    given = {name: value for name, value in given.items() if value is not None}
    healthy = Facts(
        Settings(**given),
        "http://h:1/v1",
        route=THERE,
        model_list=LISTS,
        server=OLLAMA,
        wanted=MAP,
        packages={"openai": "3.52.0", "httpx2": "2.16.2"},
        now=NOW,
    )
    return replace(healthy, **changes)


V1 = {"provider": "openai", "base_url": "http://h:1/v1", "num_ctx": None}
LANGFUSE = {"LANGFUSE_PUBLIC_KEY": "p", "LANGFUSE_SECRET_KEY": "s"}
LANGFUSE_ZERO = {"LANGFUSE_TRACING_ENABLED": "0"}  # which leaves it on
MLFLOW, URI, MLFLOW_OFF = {"mlflow": "3"}, "MLFLOW_TRACKING_URI", {"MLFLOW_DISABLE_TELEMETRY": "1"}
LANGFUSE_OFF, LANGFUSE_HERE = {"LANGFUSE_TRACING_ENABLED": "False"}, {"LANGFUSE_BASE_URL": "http://localhost:3000"}
OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"

CASES: dict[str, list[tuple[str, Facts, str, str, str]]] = {
    "configuration": [
        ("profile", facts(profile="local"), "OK", "profile 'local', provider ollama; from argument", ""),
        ("nothing", replace(facts(), settings=Settings()), "OK", "nothing is configured", ""),
    ],
    "address": [
        ("good", facts(), "OK", "http://h:1/v1", ""),
        ("embedded", facts({"provider": "embedded"}), "OK", "in this process", ""),
        ("no scheme", facts(address="h:1/v1"), "FAIL", "'h:1/v1' is not a URL", "host = http://host:port/v1"),
        (
            "without /v1",
            facts(
                V1,
                working_address="http://h:1/v1",
                model_list=Answer("http://h:1/models", 404, None, "404 page not found"),
            ),
            "FAIL",
            "http://h:1/models answers 404 in plain text; http://h:1/v1/models does",
            "base_url = http://h:1/v1",
        ),
        (
            "redirect",
            facts(model_list=Answer("u", 301, headers={"location": "https://h/v1"})),
            "FAIL",
            "https://h/v1",
            "host",
        ),
        (
            "old name",
            replace(facts(), settings=Settings(), environ={"OPENAI_API_BASE": "x"}),
            "WARN",
            "OPENAI_API_BASE",
            "OPENAI_BASE_URL",
        ),
        (
            "IPv6 first",
            facts(
                address="http://localhost:1/v1",
                route=replace(THERE, attempts=(Attempt("::1", "Connection refused"), Attempt("127.0.0.1"))),
            ),
            "WARN",
            "localhost is ::1 first",
            "host = http://127.0.0.1:1/v1",
        ),
    ],
    "network": [
        ("direct", facts(), "OK", "h:1 answers; no proxy is set", ""),
        ("embedded", facts({"provider": "embedded"}, route=None), "OK", "in this process", ""),
        ("no extra", facts(route=None, startup="install: pip install 'x'"), "FAIL", "install", "llm_adapter[embedded]"),
        ("no OpenMP", facts(route=None, startup="cannot be loaded: x"), "FAIL", "loaded: x", "library of the system"),
        ("refused", facts(address="http://127.0.0.1:1/v1", route=REFUSED), "FAIL", "refused", "ollama serve"),
        (
            "in a container",
            facts(address="http://127.0.0.1:1/v1", route=REFUSED, surroundings=Surroundings(container=True)),
            "FAIL",
            "this is a container, and its localhost is its own",
            "host = http://host.docker.internal:1, and OLLAMA_HOST=0.0.0.0 for the server",
        ),
        (
            "in WSL",
            facts(V1, address="http://127.0.0.1:1/v1", route=REFUSED, surroundings=Surroundings(wsl=True)),
            "FAIL",
            "this is WSL",
            "base_url = http://the-address-of-Windows:1/v1",
        ),
        (
            "dead proxy",
            facts(route=replace(REFUSED, proxy="http://p:3128", variable="HTTP_PROXY")),
            "FAIL",
            "the proxy http://p:3128 (HTTP_PROXY) cannot be reached: Connection refused",
            "unset HTTP_PROXY",
        ),
        (
            "proxy that fails",
            facts(route=replace(THERE, proxy="http://p:3128", variable="HTTP_PROXY"), model_list=Answer("u", 502)),
            "FAIL",
            "the proxy http://p:3128 (HTTP_PROXY) answers 502",
            "NO_PROXY",
        ),
        ("socks", facts(route=replace(THERE, problem="needs socksio")), "FAIL", "needs socksio", "trust_env"),
        (
            "certificate",
            facts(
                model_list=Answer("u", error="ConnectError: CERTIFICATE_VERIFY_FAILED"),
                environ={"SSL_CERT_FILE": "ca.pem"},
            ),
            "FAIL",
            "not trusted by SSL_CERT_FILE (ca.pem)",
            "SSL_CERT_FILE",
        ),
        ("https to http", facts(model_list=Answer("u", error="WRONG_VERSION_NUMBER")), "FAIL", "plain http", "http://"),
        ("hangs", facts(model_list=Answer("u", error="ReadTimeout: x")), "FAIL", "does not answer", "busy"),
        (
            "not HTTP",
            facts(model_list=Answer("u", error="RemoteProtocolError: x")),
            "FAIL",
            "not speak HTTP",
            "another service",
        ),
        (
            "local_only",
            facts({"local_only": True}, route=Route("", "", problem="not private")),
            "FAIL",
            "not private",
            "local_only = false",
        ),
    ],
    "server": [
        ("Ollama", facts(), "OK", "Ollama 0.24.0", ""),
        ("old", facts(server=replace(OLLAMA, version="0.6.2")), "WARN", "older than 0.24", "update"),
        ("from source", facts(server=replace(OLLAMA, version="0.0.0")), "OK", "Ollama 0.0.0", ""),
        (
            "not Ollama",
            facts(server=Server("vllm", "0.11")),
            "FAIL",
            "this is vLLM 0.11, not Ollama",
            'provider = "openai"',
        ),
        ("dialect", facts({**V1, "dialect": "vllm"}), "WARN", "`dialect` says vllm", 'dialect = "ollama"'),
        (
            "text 404",
            facts(server=None, model_list=Answer("http://h:1/v1/models", 404, None, "404 page not found")),
            "FAIL",
            "http://h:1/v1/models answers 404 in plain text: '404 page not found'",
            "host = the address of an LLM server",
        ),
        ("gone", facts(server=None, model_list=Answer("u")), "WARN", "not checked", ""),
    ],
    "key": [
        ("none", facts(), "OK", "no key is sent", ""),
        ("unset", facts(key=Key("x", problem="`api_key_env` names X, which is not set")), "FAIL", "names X", "set the"),
        (
            "OpenAI's own",
            facts(V1, address="https://api.openai.com/v1", key=Key("OPENAI_API_KEY", SECRET)),
            "OK",
            "",
            "",
        ),
        ("OpenAI's, elsewhere", facts(V1, key=Key("OPENAI_API_KEY", SECRET)), "FAIL", "would go to h", "api_key_env"),
        (
            "explicit, elsewhere",
            facts(V1, key=Key("MINE", SECRET, explicit=True)),
            "FAIL",
            "would go to h",
            "api_key_env",
        ),
        ("sk-, elsewhere", facts(V1, key=Key("OPENAI_API_KEY", "sk-1234567")), "FAIL", "would go to h", "api_key_env"),
        (
            "sk-, a gateway here",
            facts(V1, address="http://127.0.0.1:4000/v1", key=Key("OPENAI_API_KEY", "sk-1234567")),
            "WARN",
            "would go to 127.0.0.1",
            "api_key_env",
        ),
        ("a gateway's", facts(V1, key=Key("MINE", "sk-or-v1-1234", explicit=True)), "OK", "MINE goes to h", ""),
        ("missing", facts(address="https://api.openai.com/v1"), "FAIL", "OpenAI wants a key", "OPENAI_API_KEY"),
        ("cloud", facts(address="https://ollama.com/v1"), "FAIL", "wants a key", "OLLAMA_API_KEY"),
        ("401 without", facts(model_list=Answer("u", 401)), "FAIL", "wants a key (it answered 401)", "api_key_env"),
        (
            "401 with",
            facts(model_list=Answer("u", 401), key=Key("K", "abc")),
            "FAIL",
            "does not take the key from K",
            "key",
        ),
        (
            "signed out",
            facts(server=replace(OLLAMA, signed_in=False, signin_url="https://ollama.com/connect")),
            "FAIL",
            "not signed in",
            "https://ollama.com/connect",
        ),
        ("plain http", facts(address="http://a.com/v1", key=Key("K", "abc")), "WARN", "unencrypted", "https://"),
    ],
    "models": [
        ("there", facts(), "OK", "2 of 3 installed models are mapped", ""),
        (
            "missing",
            facts(wanted=(Wanted("gpt-4o", "qwen3:4b"),)),
            "FAIL",
            "not installed: qwen3:4b; near qwen3:4b: qwen3:8b",
            'ollama pull qwen3:4b, or map it: models = { "gpt-4o" = "qwen3:8b" }',
        ),
        ("pulled", facts({"pull": "missing"}, wanted=(Wanted("a", "b"),)), "WARN", "first call pulls", "ollama pull b"),
        ("unmapped", facts(wanted=()), "WARN", "'gpt-4o-mini' is not among", '"*" = "qwen3:8b"'),
        ("none", facts(server=replace(OLLAMA, models=())), "FAIL", "no model", "ollama pull qwen3:8b"),
        (
            "cloud",
            facts(wanted=(Wanted("a", "b-cloud"),), server=Server("ollama", models=(Model("b-cloud"),))),
            "WARN",
            "runs in Ollama's cloud",
            "local_only",
        ),
        (
            "cloud, local_only",
            facts(
                {"local_only": True},
                wanted=(Wanted("a", "b"),),
                server=Server("ollama", models=(Model("b", remote="https://ollama.com"),)),
            ),
            "FAIL",
            "prompts leave",
            "local",
        ),
        ("a table", facts(TABLE, server=Server("embedded", None, ())), "OK", "calls may name gpt-4o, small", ""),
        (
            "a table with a model that is not here",
            facts(TABLE, server=Server("embedded", None, ()), missing={"hf:o/r": "not found in the cache"}),
            "FAIL",
            "not found in the cache",
            "llm-adapter models pull hf:o/r",
        ),
        (
            "one that is pulled",
            facts(TABLE | {"pull": "missing"}, server=Server("embedded", None, ()), missing={"hf:o/r": "not found"}),
            "WARN",
            "not in the cache yet: hf:o/r; the first call pulls it",
            "llm-adapter models pull hf:o/r",
        ),
        ("any name", facts(server=Server("llamacpp", models=(Model("m"),), any_name=True)), "OK", "any name", ""),
        (
            "vLLM",
            facts(V1, wanted=(Wanted("a", "b"),), server=Server("vllm", models=(Model("m"),))),
            "FAIL",
            "b",
            "models =",
        ),
        ("OpenAI", facts(V1, wanted=(), server=Server("openai", models=(Model("gpt-4o"),))), "OK", "OpenAI's", ""),
        ("unlisted", facts(server=None), "WARN", "not checked", ""),
    ],
    "capabilities": [
        ("good", facts(), "OK", "qwen3:8b: completion, tools; nomic-embed-text:latest: embedding", ""),
        ("no tools", facts(wanted=(Wanted("a", "gemma:2b"),)), "WARN", "no tool calls with gemma:2b", "qwen3:8b"),
        (
            "no chat",
            facts(wanted=(Wanted("a", "nomic-embed-text"),)),
            "FAIL",
            "cannot do completion",
            '"a" = "qwen3:8b"',
        ),
        ("no vectors", facts(wanted=(Wanted("a", "gemma:2b", True),)), "FAIL", "cannot do embedding", "nomic-embed"),
        ("untold", facts(server=Server("vllm", models=(Model("qwen3:8b"),))), "OK", "does not tell", ""),
    ],
    "context": [
        ("fits", facts(), "OK", "qwen3:8b: trained for 40960, loaded with 8192, num_ctx = 8192", ""),
        ("too much", facts({"num_ctx": 99999}), "WARN", "was trained for 40960", "num_ctx = 40960"),
        ("reload", facts({"num_ctx": 4096}), "WARN", "the next call loads it anew", "the same num_ctx"),
        ("unset", facts({"num_ctx": None}), "WARN", "is loaded with 8192 of 40960 tokens", 'num_ctx = "auto"'),
        (
            "cold",
            facts({"num_ctx": None}, server=replace(OLLAMA, models=(replace(CHAT, loaded=None, in_memory=False),))),
            "WARN",
            "gets the server's own context",
            'num_ctx = "auto"',
        ),
        ("auto", facts({"num_ctx": "auto"}), "OK", "num_ctx = auto", ""),
        (
            "split",
            facts(server=replace(OLLAMA, models=(replace(CHAT, vram=6),))),
            "WARN",
            "40 % of it runs on the CPU",
            "",
        ),
        ("allow", facts({"overflow": "allow"}), "WARN", "cut without a word", 'overflow = "error"'),
        ("Ollama's /v1", facts(V1), "WARN", "Ollama's /v1 cuts long prompts at 8192", 'provider = "ollama"'),
        ("vLLM", facts(V1, server=Server("vllm", models=(Model("qwen3:8b", None, 4096, 4096),))), "OK", "4096", ""),
        ("untold", facts(V1, server=Server("openai", models=(Model("qwen3:8b"),))), "OK", "does not tell", ""),
    ],
    "keep_alive": [
        (
            "unset",
            facts(server=replace(OLLAMA, models=(replace(CHAT, expires=NOW + timedelta(minutes=4)),))),
            "OK",
            "the server's own, 5m by default; loaded: qwen3:8b (4 min left)",
            "",
        ),
        (
            "for ever",
            facts(
                {"keep_alive": -1}, server=replace(OLLAMA, models=(replace(CHAT, expires=NOW + timedelta(days=9999)),))
            ),
            "OK",
            "keep_alive = -1; loaded: qwen3:8b (stays)",
            "",
        ),
        ("never", facts({"keep_alive": 0}), "WARN", "every call loads the model anew", "30m"),
        (
            "full",
            facts(server=replace(OLLAMA, models=(replace(CHAT, vram=6), EMBED))),
            "WARN",
            "push each other out",
            "",
        ),
        ("other", facts(server=Server("vllm")), "OK", "the server's own matter", ""),
    ],
    "embeddings": [
        ("good", facts({"expected_dimensions": 768}), "OK", "nomic-embed-text:latest:768:", ""),
        (
            "length",
            facts({"expected_dimensions": 1536}),
            "FAIL",
            "768 dimensions, and `expected_dimensions` is 1536",
            "index",
        ),
        ("index", facts(fingerprint="nomic-embed-text:768:0123456789ab"), "FAIL", "the index is from", "anew"),
        ("same index", facts(fingerprint="nomic-embed-text:768:any"), "OK", "768", ""),
        ("none", facts(wanted=MAP[:1]), "OK", "no embedding model is mapped", ""),
    ],
    "pace": [
        ("default", facts(), "OK", "32 requests at once; 600 s", ""),
        ("no limit", facts({"max_concurrency": 0}), "WARN", "503", "max_concurrency = 32"),
        (
            "impatient",
            facts(
                {"load_timeout": 5},
                server=replace(OLLAMA, models=(replace(CHAT, in_memory=False, size=40_000_000_000),)),
            ),
            "WARN",
            "has 40 GB",
            "load_timeout = 400",
        ),
        ("slots", facts(server=replace(OLLAMA, slots=2)), "OK", "the server works on 2", ""),
    ],
    "libraries": [
        ("good", facts(), "OK", "openai 3.52.0, httpx2 2.16.2; openai sends by httpx2", ""),
        ("older", facts(packages={"openai": "2.45.0", "respx": "0.23"}), "OK", "sends by httpx", ""),
        ("respx", facts(packages={"openai": "3.52.0", "respx": "0.23"}), "WARN", "respx", "pytest-httpx2"),
        ("ours", facts(packages={"openai": "3.52.0", "respx": "0.23"}), "WARN", "mocked calls leave", "llm_mock"),
        (
            "vcrpy",
            facts(packages={"openai": "3.52.0", "vcrpy": "7", "respx": "0.23", "pytest-httpx2": "1"}),
            "WARN",
            "vcrpy for httpx is blind",
            "llm_mock",
        ),
        ("mended", facts(packages={"openai": "3.52.0", "respx": "0.23", "pytest-httpx2": "1"}), "OK", "", ""),
        ("too old", facts(packages={"openai": "1.99.0"}), "FAIL", "openai 1.99.0 is not supported", "pip install"),
        ("too new", facts(packages={"openai": "4.0.0"}), "FAIL", "not supported", "pip install"),
    ],
    "telemetry": [
        ("nothing", facts(), "OK", "nothing is known", ""),
        ("agents", facts(packages={"openai-agents": "1"}), "WARN", "api.openai.com", "OPENAI_AGENTS_DISABLE_TRACING=1"),
        ("agents, local_only", facts({"local_only": True}, packages={"openai-agents": "1"}), "FAIL", "traces", ""),
        (
            "agents, off",
            facts(packages={"openai-agents": "1"}, environ={"OPENAI_AGENTS_DISABLE_TRACING": "1"}),
            "OK",
            "",
            "",
        ),
        (
            "agents at OpenAI",
            facts(V1, address="https://api.openai.com/v1", packages={"openai-agents": "1"}),
            "OK",
            "",
            "",
        ),
        ("LangSmith", facts(environ={"LANGSMITH_TRACING": "true"}), "WARN", "LangSmith", "unset LANGSMITH_TRACING"),
        ("Langfuse", facts(packages={"langfuse": "5"}, environ=LANGFUSE), "WARN", "go to Langfuse", "TRACING_ENABLED"),
        ("Langfuse, no keys", facts(packages={"langfuse": "5"}), "OK", "", ""),
        ("Langfuse, off", facts(packages={"langfuse": "5"}, environ={**LANGFUSE, **LANGFUSE_OFF}), "OK", "", ""),
        ("Langfuse, here", facts(packages={"langfuse": "5"}, environ={**LANGFUSE, **LANGFUSE_HERE}), "OK", "", ""),
        (
            "Logfire",
            facts(packages={"logfire": "4"}, environ={"LOGFIRE_TOKEN": "t"}),
            "WARN",
            "go to Logfire",
            "LOGFIRE",
        ),
        (
            "Langfuse, 0",
            facts(packages={"langfuse": "5"}, environ={**LANGFUSE, **LANGFUSE_ZERO}),
            "WARN",
            "Langfuse",
            "",
        ),
        ("LangSmith, 1", facts(environ={"LANGSMITH_TRACING": "1"}), "OK", "", ""),
        ("LangSmith, old", facts(environ={"LANGCHAIN_TRACING": "true"}), "WARN", "LANGCHAIN_TRACING is on", ""),
        ("OTLP, 1", facts(environ={OTLP: "https://otel.example", "OTEL_SDK_DISABLED": "1"}), "WARN", "(OTLP)", ""),
        ("Phoenix, a key", facts(packages={"arize-phoenix": "13"}, environ={"PHOENIX_API_KEY": "k"}), "OK", "", ""),
        (
            "agents, yes",
            facts(packages={"openai-agents": "1"}, environ={"OPENAI_AGENTS_DISABLE_TRACING": "yes"}),
            "WARN",
            "traces",
            "",
        ),
        ("MLflow, a file", facts(packages=MLFLOW, environ=MLFLOW_OFF | {URI: "sqlite:///m.db"}), "OK", "", ""),
        ("MLflow, Databricks", facts(packages=MLFLOW, environ=MLFLOW_OFF | {URI: "databricks"}), "WARN", "MLflow", URI),
        (
            "Sentry, here",
            facts(packages={"sentry-sdk": "2"}, environ={"SENTRY_DSN": "http://k@10.0.0.9/1"}),
            "OK",
            "",
            "",
        ),
        (
            "CrewAI's service",
            facts(packages={"crewai": "1"}, environ={"CREWAI_TRACING_ENABLED": "1", "CREWAI_DISABLE_TELEMETRY": "on"}),
            "WARN",
            "prompts go to CrewAI's service",
            "CREWAI_TRACING_ENABLED=false",
        ),
        (
            "Logfire, its own file",
            facts(packages={"logfire": "4"}, files=frozenset({".logfire/logfire_credentials.json"})),
            "WARN",
            ".logfire/logfire_credentials.json is there: prompts go to Logfire",
            "LOGFIRE_SEND_TO_LOGFIRE=false",
        ),
        ("OTLP", facts(environ={OTLP: "https://otel.example"}), "WARN", "collector (OTLP)", "OTEL_SDK_DISABLED=true"),
        ("OTLP, here", facts(environ={OTLP: "http://localhost:4317"}), "OK", "", ""),
        (
            "two at once, local_only",
            facts({"local_only": True}, packages={"langfuse": "5"}, environ={**LANGFUSE, OTLP: "https://otel.example"}),
            "FAIL",
            "Langfuse; OTEL_EXPORTER_OTLP_ENDPOINT is set: prompts go to an OpenTelemetry",
            "LANGFUSE_TRACING_ENABLED=false; OTEL_SDK_DISABLED=true",
        ),
        ("statistics", facts(packages={"mem0ai": "2"}), "WARN", "mem0ai is installed", "MEM0_TELEMETRY=false"),
        ("statistics, off", facts(packages={"mem0ai": "2"}, environ={"MEM0_TELEMETRY": "0"}), "OK", "", ""),
        (
            "tiktoken",
            facts(packages={"langchain-openai": "1", "tiktoken": "1"}),
            "WARN",
            "OpenAIEmbeddings",
            "TIKTOKEN_CA",
        ),
        (
            "tiktoken, kept",
            facts(packages={"langchain-openai": "1", "tiktoken": "1"}, environ={"TIKTOKEN_CACHE_DIR": "/tables"}),
            "OK",
            "",
            "",
        ),
    ],
}


def switched_on(tracer: Tracer) -> Facts:
    environ = {group[0]: "https://service.example" for group in tracer.needs} | dict.fromkeys(tracer.switch[:1], "true")
    others = [one.off for one in TRACERS if one is not tracer and not one.needs and one.off]
    environ |= dict(off.split("=") for off in others)  # a package may send in two ways
    return facts(packages=dict.fromkeys(tracer.packages[:1], "1"), environ=environ)


@pytest.mark.parametrize("tracer", TRACERS, ids=lambda one: one.name)
def test_each_tracer_is_told_and_can_be_stopped(tracer: Tracer) -> None:
    known = switched_on(tracer)
    found = CHECKS["telemetry"](known)
    assert (found.status, tracer.name in found.line) == ("WARN", True)
    name, _, value = tracer.cure(known.environ).partition("=")
    left = {key: one for key, one in known.environ.items() if key != name.removeprefix("unset ")}
    cured = {**left, name: value} if value else left
    assert CHECKS["telemetry"](replace(known, environ=cured)).status == "OK"


ROWS = [(check, *case) for check, cases in CASES.items() for case in cases]


@pytest.mark.parametrize(
    ("check", "known", "status", "line", "fix"),
    [(check, *rest) for check, _, *rest in ROWS],
    ids=[f"{row[0]}: {row[1]}" for row in ROWS],
)
def test_check(check: str, known: Facts, status: str, line: str, fix: str) -> None:
    found = CHECKS[check](known)
    assert found.status == status, found
    assert line in found.line
    assert fix in (found.fix or "")
    assert "\n" not in f"{found.line}{found.fix}"
    # What is wrong has a line that mends it; what could not be looked at points to another check.
    assert (found.fix is not None) == (status != "OK" and found.checked)


def test_there_are_thirteen() -> None:
    assert list(CHECKS) == list(diagnosis(facts()).results)
    assert len(CHECKS) == 13
    assert CASES.keys() == CHECKS.keys()


@pytest.mark.parametrize(
    ("known", "code"),
    [(facts(), 0), (facts({"max_concurrency": 0}), 1), (facts(address="nonsense"), 2)],
    ids=["well", "warnings", "failures"],
)
def test_exit_code(known: Facts, code: int) -> None:
    assert diagnosis(known).exit_code == code


# --- recognising ------------------------------------------------------------------------------------------------------

OPENAIS = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "somebody"}]}
SHOW = {
    "capabilities": ["completion", "tools"],
    "model_info": {"general.architecture": "a", "a.context_length": 4096, "a.embedding_length": 64},
}
SCRIPTS: dict[str, dict[str, Any]] = {
    "ollama": {
        "/v1/models": OPENAIS,
        "/api/version": {"version": "0.24.0"},
        "/api/tags": {"models": [{"name": "m:latest", "digest": "d", "size": 9}]},
        "/api/ps": {
            "models": [
                {
                    "name": "m:latest",
                    "context_length": 2048,
                    "size": 9,
                    "size_vram": 0,
                    "expires_at": "2026-01-01T00:00:00.123456789Z",
                }
            ]
        },
        "/api/show": SHOW,
    },
    "llamacpp": {
        "/v1/models": {"data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx_train": 4096, "n_embd": 64}}]},
        "/props": {
            "default_generation_settings": {"n_ctx": 2048},
            "total_slots": 3,
            "build_info": "b6700-abc",
            "chat_template_caps": {"supports_tools": True},
        },
    },
    "vllm": {
        "/v1/models": {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 2048}]},
        "/version": {"version": "0.11.0"},
    },
    "lmstudio": {
        "/v1/models": {"data": [{"id": "m", "owned_by": "organization_owner"}]},
        # LM Studio says so, with 200, to whatever it does not know.
        **{
            path: {"error": f"Unexpected host_and_port or method. (GET {path})"}
            for path in ("/api/version", "/props", "/version")
        },
        "/api/v0/models": {
            "data": [
                {
                    "id": "m",
                    "type": "llm",
                    "state": "loaded",
                    "max_context_length": 4096,
                    "loaded_context_length": 2048,
                    "capabilities": ["tool_use"],
                }
            ]
        },
    },
    "unknown": {"/v1/models": OPENAIS},
}
RECOGNISED = {
    "ollama": "Ollama 0.24.0",
    "llamacpp": "llama.cpp b6700-abc",
    "vllm": "vLLM 0.11.0",
    "lmstudio": "LM Studio",
    "unknown": "a /v1 server of another kind",
}


@pytest.fixture
def scripted() -> Iterator[Ollama]:
    with Ollama() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("kind", SCRIPTS)
def test_recognised(kind: str, scripted: Ollama) -> None:
    scripted.answers = SCRIPTS[kind]
    settings = Settings(provider="openai", base_url=f"{scripted.url}/v1", models={"*": "m"})
    found = survey.gather_facts(settings, {})
    assert found.server is not None
    assert (found.server.kind, CHECKS["server"](found).line) == (kind, RECOGNISED[kind])
    assert [one.name.partition(":")[0] for one in found.server.models or ()] == ["m"]
    model = found.server.model("m")
    assert model is not None
    if kind != "unknown":
        assert model.loaded == 2048
    if kind in ("ollama", "llamacpp", "lmstudio"):
        assert (model.trained, model.can("tools"), model.in_memory) == (4096, True, True)
    assert CHECKS["models"](found).status == "OK"


def test_no_tokens_are_spent(scripted: Ollama) -> None:
    scripted.answers = SCRIPTS["ollama"]
    diagnose(environ=environ(scripted, "openai"))
    assert {path for method, path, _ in scripted.asked if method == "POST"} == {"/api/show"}


def test_ollama_cloud_models_are_asked_for_a_sign_in(scripted: Ollama) -> None:
    me = 401, {"error": "unauthorized", "signin_url": "https://ollama.com/connect?name=x"}
    scripted.answers = {**SCRIPTS["ollama"], "/api/me": me}
    found = diagnose(environ={**environ(scripted, "ollama"), "LLM_ADAPTER_MODELS": '{"*": "big:120b-cloud"}'})
    assert found.results["key"].fix == "https://ollama.com/connect?name=x"


def test_an_answer_can_be_anything() -> None:
    """Nothing that a server says ends a diagnosis."""
    odd: list[Any] = [
        None,
        [],
        {},
        {"models": 3},
        {"models": [1, {}]},
        {"data": [None, {"id": 3, "meta": "x", "capabilities": 3, "max_context_length": "9"}]},
        {"models": [{"size": "x"}]},
        "text",
    ]
    for body in odd:
        answer = Answer("u", 200, body)
        names = ("models", "/api/tags", "/api/ps", "/api/version", "/props", "/version", "/api/v0/models", "/api/me")
        answers = dict.fromkeys(names, answer)
        for kind in servers.MARKS:
            servers.is_mark(kind, answer)
        for server in (
            servers.ollama(answers),
            servers.vllm(answers),
            servers.lmstudio(answers),
            servers.llamacpp(answers),
        ):
            diagnosis(facts(server=server, model_list=answer))
    for text in (None, 3, "soon", "2026-01-01T00:00:00Z"):
        servers.parsed_time(text)


# --- whole runs -------------------------------------------------------------------------------------------------------


def environ(server: Any, provider: str, **more: str) -> dict[str, str]:
    url = server if isinstance(server, str) else server.url
    where = {"LLM_ADAPTER_HOST": url} if provider == "ollama" else {"LLM_ADAPTER_BASE_URL": url}
    return {"LLM_ADAPTER_PROVIDER": provider, **where, **more}


NOBODY = "http://127.0.0.1:9"  # nothing listens on the discard port


def test_refused_port() -> None:
    found = diagnose(environ=environ(NOBODY, "ollama"))
    assert found.results["network"].line.startswith("no connection to 127.0.0.1:9 (127.0.0.1: ")
    assert "ollama serve" in str(found.results["network"].fix)
    assert (found.exit_code, found.results["models"].checked) == (2, False)


@pytest.mark.parametrize("path", ["", "/api", "/llm/api"])
def test_wrong_path(path: str, scripted: Ollama) -> None:
    scripted.answers = SCRIPTS["ollama"]
    # Unlike a profile's, the SDK's own variable is taken as it is.
    found = diagnose(environ={"OPENAI_BASE_URL": scripted.url + path, "OPENAI_API_KEY": "unused"})
    assert found.results["address"].line == (
        f"{scripted.url}{path}/models answers 404 in plain text; {scripted.url}/v1/models does"
    )
    assert found.results["address"].fix == f"OPENAI_BASE_URL = {scripted.url}/v1"
    assert found.results["server"].line == "Ollama 0.24.0"


def test_text_404(scripted: Ollama) -> None:
    found = diagnose(environ=environ(scripted, "openai"))
    assert found.results["server"].status == "FAIL"
    assert found.results["server"].line == f"{scripted.url}/v1/models answers 404 in plain text: '404 page not found'"
    assert "base_url = the address of an LLM server" in str(found.results["server"].fix)


def test_dead_proxy(scripted: Ollama, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted.answers = SCRIPTS["vllm"]
    monkeypatch.setenv("HTTP_PROXY", "http://user:password@127.0.0.1:9")
    through = environ(scripted, "openai", LLM_ADAPTER_TRUST_ENV="true")
    found = diagnose(environ=through)
    assert found.results["network"].line.startswith("the proxy http://127.0.0.1:9 (HTTP_PROXY) cannot be reached: ")
    assert "unset HTTP_PROXY" in str(found.results["network"].fix)
    assert "password" not in json.dumps(found.json())
    # This machine is reached without one.
    assert "no proxy for this machine" in diagnose(environ=environ(scripted, "openai")).results["network"].line


@pytest.mark.parametrize(
    ("url", "no_proxy", "trust_env", "expected"),
    [
        ("https://a.test/v1", "", None, ("http://p:1", "ALL_PROXY", "the environment's proxy")),
        ("https://a.test/v1", "a.test", None, (None, None, "NO_PROXY names the host")),
        ("https://a.test/v1", "", False, (None, None, "`trust_env` is false: no proxy")),
        ("http://localhost/v1", "", None, (None, None, "no proxy for this machine")),
        ("http://localhost/v1", "", True, ("http://p:1", "ALL_PROXY", "the environment's proxy")),
    ],
)
def test_proxy(url: str, no_proxy: str, trust_env: bool | None, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "p:1")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert network.proxy_for(url, trust_env) == expected


def test_a_name_that_is_none() -> None:
    assert "cannot be resolved" in str(network.connection_attempts("nobody.invalid", 1)[0].error)


def test_local_only_asks_nobody_else() -> None:
    found = diagnose(environ={"LLM_ADAPTER_LOCAL_ONLY": "true", "OPENAI_API_KEY": SECRET})
    assert "`local_only` is set" in found.results["network"].line
    assert "`local_only` is set" not in found.results["address"].line


def test_a_key_that_would_leak_is_not_sent(scripted: Ollama) -> None:
    scripted.answers = SCRIPTS["ollama"]
    found = diagnose(environ={"OPENAI_BASE_URL": f"{scripted.url}/v1", "OPENAI_API_KEY": SECRET})
    assert "an OpenAI key (OPENAI_API_KEY) would go to 127.0.0.1" in found.results["key"].line
    assert found.results["key"].status == "FAIL"
    assert SECRET not in json.dumps(found.json())


def test_keys_are_masked(scripted: Ollama) -> None:
    """Also where a server repeats them."""
    scripted.answers = {"/v1/models": (404, f"no such path for {SECRET} and hunter2-token and hf_abcdefghijkl")}
    given = environ(scripted, "openai", LLM_ADAPTER_API_KEY="hunter2-token", SOME_TOKEN=SECRET)
    found = json.dumps(diagnose(environ=given).json())
    assert "no such path for" in found
    for secret in (SECRET, "hunter2", "hf_abc"):
        assert secret not in found


def test_a_missing_key_is_told_and_the_rest_looked_at(scripted: Ollama) -> None:
    scripted.answers = SCRIPTS["vllm"]
    found = diagnose(environ=environ(scripted, "openai", LLM_ADAPTER_API_KEY_ENV="CLUSTER_KEY"))
    assert "names CLUSTER_KEY, which is not set" in found.results["key"].line
    assert found.results["server"].line == "vLLM 0.11.0"


@pytest.mark.parametrize("given", [{"LLM_ADAPTER_PROFILE": "nope"}, {"LLM_ADAPTER_PROVIDER": "olama"}])
def test_configuration_that_cannot_be_read(given: dict[str, str]) -> None:
    found = diagnose(environ=given)
    assert (list(found.results), found.exit_code) == (["configuration"], 2)


# --- the embedded server, and the command -----------------------------------------------------------------------------


def test_embedded(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "embedded")
    shown = command("doctor", "--json").json
    assert shown.keys() == {"profile", "address", "settings", "checks", "exit_code"}
    assert [one["number"] for one in shown["checks"]] == list(range(1, 14))
    assert all(one.keys() == {"number", "check", "status", "line", "fix"} for one in shown["checks"])
    assert [one["check"] for one in shown["checks"] if one["status"] != "OK" and one["check"] != "libraries"] == []
    assert shown["settings"] == {"provider": {"value": "embedded", "from": "LLM_ADAPTER_PROVIDER"}}


def test_a_table_of_embedded_models(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The one that embeds is asked for its length, and one that is not there is told."""
    shutil.copy(CHAT_MODEL, tmp_path / "chat.gguf")
    shutil.copy(EMBEDDING_MODEL, tmp_path / "embed.gguf")
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "none"))
    Path("llm_adapter.toml").write_text(
        f'profile = "mine"\n[profiles.mine]\nprovider = "embedded"\n[profiles.mine.models]\n'
        f'text-embedding-3-small = "{tmp_path.as_posix()}/embed.gguf"\n"gpt-4o" = "{tmp_path.as_posix()}/chat.gguf"\n'
        'gone = "ollama:gone"\n',
        encoding="utf-8",
    )
    result = command("doctor")
    assert result.code == 2
    assert "FAIL models        model 'ollama:gone' not found" in result.out
    assert "OK   embeddings    embed:96" in result.out


def test_a_missing_gguf(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_ADAPTER_MODEL_PATH", "/nowhere/model.gguf")
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "embedded")
    result = command("doctor")
    assert (result.code, "FAIL network       no GGUF file at /nowhere/model.gguf" in result.out) == (2, True)


def test_profile_and_its_file(command: Command, scripted: Ollama) -> None:
    scripted.answers = SCRIPTS["ollama"]
    Path("llm_adapter.toml").write_text(
        f'profile = "mine"\n[profiles.mine]\nprovider = "ollama"\nhost = "{scripted.url}"\napi_key = "hunter2-token"\n'
        'models = { "gpt-4o" = "n" }\nkeep_alive = "1h"\n',
        encoding="utf-8",
    )
    result = command("doctor")
    assert result.code == 2
    assert "OK   configuration profile 'mine', provider ollama; from " in result.out
    assert "FAIL models        not installed: n" in result.out
    assert "                   fix: ollama pull n" in result.out
    assert "keep_alive = 1h; loaded: m:latest" in result.out
    assert "hunter2" not in result.out + command("doctor", "--json").out
    assert command("doctor", "--json").json["settings"]["api_key"]["value"] == "**********"
    assert "'m:latest' " not in command("doctor", "--model", "m").out
    assert command("doctor", "--profile", "nope").code == 2


@pytest.mark.parametrize("columns", [40, 80])
def test_a_terminal_of_any_width(columns: int) -> None:
    from rich.console import Console

    from llm_adapter.cli.doctor import _show

    screen = Console(width=columns, force_terminal=True, color_system=None, file=io.StringIO(), record=True)
    _show(screen, diagnosis(facts(server=None, model_list=Answer("u"), wanted=MAP, address="x" * 90)))
    text = screen.export_text()
    assert max(map(len, text.splitlines())) <= columns
    assert "not checked" in text


def test_the_fingerprint_is_that_of_embedding_fingerprint() -> None:
    from llm_adapter.devtools.doctor.models import _fingerprint

    with OpenAI(settings=Settings(provider="embedded")) as client:
        reply = client.embeddings.create(model="tiny-embed", input="a")
    assert _fingerprint(Model("tiny-embed", dimensions=96)) == embedding_fingerprint(reply)


def test_a_tracers_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`logfire projects use` writes it where the program is started."""
    monkeypatch.chdir(tmp_path)
    assert survey.gather_facts(Settings(provider="embedded"), {}).files == frozenset()
    (tmp_path / ".logfire").mkdir()
    (tmp_path / ".logfire" / "logfire_credentials.json").write_text("{}", "utf-8")
    assert survey.gather_facts(Settings(provider="embedded"), {}).files == {".logfire/logfire_credentials.json"}
