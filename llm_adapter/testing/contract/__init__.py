"""The contract suite: what an OpenAI call site relies on, asked of any client, a user's own gateway first.

    from llm_adapter.testing import contract

    class TestGateway(contract.Suite):
        model = "gpt-4o-mini"
        embedding_model = "text-embedding-3-small"
        without = {"logprobs": "our gateway strips them"}

        @pytest.fixture
        def client(self):
            return openai.OpenAI(base_url="http://localhost:8000/v1", api_key="...")

Without pytest: `print(contract.run(client, "gpt-4o-mini"))`. The structure of replies is judged, never their text. What
a weak model does not do is inconclusive; what a server has to do with any model is a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_adapter.testing.contract.case import Case, Check, expect
from llm_adapter.testing.contract.runner import CHECKS, EVERYDAY, NEEDS, Result, Results, run

if TYPE_CHECKING:
    from llm_adapter.testing.contract.suite import Suite

__all__ = ["CHECKS", "EVERYDAY", "NEEDS", "Case", "Check", "Result", "Results", "Suite", "expect", "run"]


def __getattr__(name: str) -> Any:
    """`Suite` alone needs pytest."""
    if name != "Suite":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from llm_adapter.testing.contract.suite import Suite

    return Suite
