"""Checks 12 and 13: the libraries of this environment, and what they tell others."""

from __future__ import annotations

import re

from llm_adapter.devtools.doctor.facts import CheckResult, Facts, fail, ok, warn
from llm_adapter.settings.hosts import is_openai

_SUPPORTED = ((2, 45), (4, 0))  # openai, as pyproject.toml has it
# Libraries that mock httpx alone, and what makes them see httpx2; none is known for the empty ones.
_MOCKS = {"respx": "pytest-httpx2", "pytest-httpx": "", "vcrpy": ""}
_RESPX = ", or for respx itself: pip install pytest-httpx2, and its fixture httpx2_mock"
_SHOWN = ("openai", "httpx2", "httpx", "pydantic", "ollama")
# Source: openai-agents-python src/agents/tracing; langsmith's own environment variables.
_AGENTS_OFF = "OPENAI_AGENTS_DISABLE_TRACING"
_LANGSMITH = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2")
_TRUE = ("1", "true", "yes")


def libraries(facts: Facts) -> CheckResult:
    """Whether the SDK is a supported one, and the tests' mocks see it."""
    have = facts.packages
    sdk = _version_numbers(have.get("openai", ""))
    if sdk and not _SUPPORTED[0] <= sdk < _SUPPORTED[1]:
        return fail(f"openai {have['openai']} is not supported", "pip install 'openai>=2.45,<4'")
    on_httpx2 = sdk >= (3, 0)
    blind = [name for name, mended in _MOCKS.items() if on_httpx2 and name in have and mended not in have]
    if blind:
        return warn(
            f"{', '.join(blind)} for httpx is blind to openai {have['openai']}, which is on httpx2: mocked calls leave",
            "in tests the fixture llm_mock, which sees both" + (_RESPX if "respx" in blind else ""),
        )
    shown = ", ".join(f"{name} {have[name]}" for name in _SHOWN if name in have)
    return ok(f"{shown}; openai sends by {'httpx2' if on_httpx2 else 'httpx'}")


def telemetry(facts: Facts) -> CheckResult:
    """Whether some library sends prompts elsewhere."""
    judge = fail if facts.settings.local_only else warn
    if "openai-agents" in facts.packages and not is_openai(facts.address) and not _is_on(facts, _AGENTS_OFF):
        return judge(
            "the Agents SDK sends traces, prompts in them, to api.openai.com",
            f"{_AGENTS_OFF}=1, or agents.set_tracing_disabled(True)",
        )
    if (name := next((name for name in _LANGSMITH if _is_on(facts, name)), None)) is not None:
        return judge(f"{name} is on: prompts go to LangSmith", f"unset {name}")
    return ok("nothing is known to send prompts elsewhere")


def _is_on(facts: Facts, name: str) -> bool:
    return facts.environ.get(name, "").lower() in _TRUE


def _version_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
