"""pytest -p swap: our classes take the place of the SDK's before any test module imports them.

Only the public names are swapped: a test that takes `openai._client.OpenAI` judges the SDK's own class in both runs.
"""

from __future__ import annotations

import sys

import openai
import pytest

import llm_adapter

# `Client` and `AsyncClient` are the SDK's second names for the same classes.
NAMES = {
    "OpenAI": llm_adapter.OpenAI,
    "Client": llm_adapter.OpenAI,
    "AsyncOpenAI": llm_adapter.AsyncOpenAI,
    "AsyncClient": llm_adapter.AsyncOpenAI,
}

for _name, _ours in NAMES.items():
    setattr(openai, _name, _ours)


def pytest_report_header() -> str:
    return f"openai.OpenAI is {openai.OpenAI.__module__}.{openai.OpenAI.__qualname__}"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fail loudly if the fixtures were made of the SDK's classes after all: such a run would prove nothing."""
    conftest = sys.modules.get("tests.conftest")
    for name in ("OpenAI", "AsyncOpenAI"):
        if getattr(conftest, name, NAMES[name]) is not NAMES[name]:
            raise pytest.UsageError(f"tests/conftest.py still has the SDK's {name}: the swap came too late")
