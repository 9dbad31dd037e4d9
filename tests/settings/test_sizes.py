"""Amounts of memory, as the settings take them."""

from __future__ import annotations

from typing import Any

import pytest

from llm_adapter import Settings, SettingsError

AMOUNTS = {"8GB": 8 * 10**9, "1.5 kB": 1500, "1GiB": 1 << 30, "512m": 512 * 10**6, "1000": 1000, 77: 77}


@pytest.mark.parametrize(("given", "count"), AMOUNTS.items(), ids=map(str, AMOUNTS))
def test_an_amount_of_memory(given: Any, count: int) -> None:
    assert Settings(memory_limit=given).memory_limit == count


@pytest.mark.parametrize(("given", "said"), [("much", "no amount of memory"), ("-1", "no amount"), (0, "cannot do")])
def test_what_is_no_amount(given: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=f"memory_limit: .*{said}"):
        Settings(memory_limit=given)
