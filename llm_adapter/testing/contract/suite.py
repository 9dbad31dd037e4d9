"""The checks as a class of tests to derive from. It needs a fixture `client`, of the class or from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest

from llm_adapter.testing.contract.case import Case, Check
from llm_adapter.testing.contract.player import Player
from llm_adapter.testing.contract.runner import CHECKS, Judge, Result, checked_names

_JUDGE: pytest.StashKey[Judge] = pytest.StashKey()


class Suite:
    """One test for each check. A class derived from it says which models; the fixture `client` gives the client."""

    model: ClassVar[str]
    embedding_model: ClassVar[str | None] = None
    context: ClassVar[int | None] = None  # tokens
    options: ClassVar[Mapping[str, Any]] = {}
    without: ClassVar[Mapping[str, str]] = {}
    checks: ClassVar[tuple[Check, ...]] = CHECKS

    @pytest.fixture
    def contract_judged(self, request: pytest.FixtureRequest, client: Any) -> Callable[[Check], Result]:
        case = Case(client, self.model, self.embedding_model, self.context, self.options)
        judge = _judge(request.node.getparent(pytest.Class))
        return lambda check: judge(check, case, self.without)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each check, by its name. Raises `pytest.UsageError` for what the class says wrongly."""
        if "contract_check" not in metafunc.fixturenames:
            return
        name = type(self).__name__
        if not hasattr(self, "model"):
            raise pytest.UsageError(f"{name} needs `model`, the chat model to try")
        try:
            checked_names(self.without)
        except ValueError as error:
            raise pytest.UsageError(f"{name}: {error}") from None
        metafunc.parametrize("contract_check", self.checks, ids=[check.name for check in self.checks])

    def test_contract(self, contract_check: Check, contract_judged: Callable[[Check], Result]) -> None:
        result = contract_judged(contract_check)
        if result.outcome == "failed":
            pytest.fail(f"{contract_check.asks} {result.advice}", pytrace=False)
        if result.outcome != "passed":
            pytest.skip(f"{contract_check.name}, {result.outcome}: {result.line}")


def _judge(node: pytest.Class | None) -> Judge:
    """One for all tests of a class: of its event loop, and of what it knows of the server."""
    assert node is not None, "a suite is a class"
    if _JUDGE not in node.stash:
        player = Player()
        node.addfinalizer(player.close)
        node.stash[_JUDGE] = Judge(player)
    return node.stash[_JUDGE]
