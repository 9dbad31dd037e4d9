"""Check 12: the libraries of this environment."""

from __future__ import annotations

import re

from llm_adapter.devtools.doctor.facts import CheckResult, Facts, fail, ok, warn

_SUPPORTED = ((2, 45), (4, 0))  # openai, as pyproject.toml has it
# Libraries that mock httpx alone, and what makes them see httpx2; none is known for the empty ones.
_MOCKS = {"respx": "pytest-httpx2", "pytest-httpx": "", "vcrpy": ""}
_RESPX = ", or for respx itself: pip install pytest-httpx2, and its fixture httpx2_mock"
_SHOWN = ("openai", "httpx2", "httpx", "pydantic", "ollama")


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


def _version_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
