"""Which setting a client's destination comes from, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_adapter.routing.description import deciding_setting
from llm_adapter.routing.destination import resolve
from llm_adapter.settings.settings import Settings

FILE = """
[profiles.local]
provider = "ollama"
[profiles.far]
provider = "openai"
base_url = "https://llm.test/v1"
"""
CASES: dict[str, tuple[dict[str, str], str | None, dict[str, Any], str]] = {
    "nothing": ({}, None, {}, "no other host is configured"),
    "the SDK's variable": ({"OPENAI_BASE_URL": "http://x.test/v1"}, None, {}, "OPENAI_BASE_URL"),
    "the call site": ({}, None, {"base_url": "http://x.test/v1"}, "`base_url` at the call site"),
    "the call site beside a profile": ({}, "local", {"base_url": "http://x.test/v1"}, "`base_url` at the call site"),
    "a variable": ({"LLM_ADAPTER_PROVIDER": "ollama"}, None, {}, "`provider` from LLM_ADAPTER_PROVIDER"),
    "Ollama's variable": ({"OLLAMA_HOST": "gpu.test"}, "local", {}, "OLLAMA_HOST"),
    "a profile's provider": ({}, "local", {}, "`provider` from {folder}/llm_adapter.toml [profiles.local]"),
    "a profile's address": ({}, "far", {}, "`base_url` from {folder}/llm_adapter.toml [profiles.far]"),
    "other settings alone": ({"LLM_ADAPTER_UNSUPPORTED": "warn"}, None, {}, "no other host is configured"),
}


@pytest.mark.parametrize("case", CASES)
def test_deciding_setting(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables, profile, options, expected = CASES[case]
    (tmp_path / "llm_adapter.toml").write_text(FILE, encoding="utf-8")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    connection = resolve(profile, None, options)
    assert deciding_setting(connection, variables) == expected.format(folder=tmp_path)


def test_settings_that_were_given() -> None:
    assert deciding_setting(resolve(None, Settings(provider="embedded"), {}), {}) == "`provider` from argument"
