"""The marks: what they say of themselves, and what is wrong in one. It imports nothing but pytest."""

from __future__ import annotations

import pytest

MARKS = (
    "llm_providers(*names): run the test once on each of these: profiles of llm_adapter.toml, 'embedded', or a fake "
    "server such as 'fake:ollama@0.32'; all profiles without a name. OpenAI() goes there, too.",
    "llm_cassette(name, ignore=(), strict=False, scrub=None): another name for the test's cassette, and how calls are "
    "compared with it.",
    "live_ollama: skip the test where no Ollama runs.",
    "fake_llm(*personas, models=None, context=None, library=()): the server that the fixture fake_llm plays; with "
    "several personas the test runs once on each.",
    "llm_network(*hosts): let the test reach these hosts, or any host, though the network is closed.",
)
# The options that each mark knows.
OPTIONS: dict[str, tuple[str, ...]] = {
    "llm_providers": (),
    "llm_cassette": ("name", "ignore", "strict", "scrub"),
    "live_ollama": (),
    "fake_llm": ("models", "context", "library"),
    "llm_network": (),
}


def check(item: pytest.Item) -> None:
    """Fail for what a mark would pass over: `llm_network(hosts=["a"])` would open the network for all hosts."""
    for mark in item.iter_markers():
        known = OPTIONS.get(mark.name)
        if known is None:
            continue
        if unknown := [name for name in mark.kwargs if name not in known]:
            told = f"its options are {', '.join(known)}" if known else "it has no options"
            pytest.fail(f"@pytest.mark.{mark.name} does not know {unknown[0]!r}: {told}", pytrace=False)
        if wrong := [one for one in mark.args if not isinstance(one, str) and mark.name != "fake_llm"]:
            pytest.fail(f"@pytest.mark.{mark.name} takes names, not {wrong[0]!r}", pytrace=False)
