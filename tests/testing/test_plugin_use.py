"""`fake_llm` that nobody asks, and `fake_llm.use()`, which switches OpenAI() itself. pytest itself runs here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from llm_adapter.installation import clients
from llm_adapter.testing import Fake, serving, switching

assert clients, switching  # what a run of pytest within one imports for the first time goes with it, and the SDK stays
Tried: TypeAlias = Callable[..., pytest.RunResult]
HEAD = """
import asyncio, os
import openai, pytest
import llm_adapter
from llm_adapter.testing import text
HI = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
early = openai.OpenAI(api_key="k")  # line 6
def said(client):
    with client:
        return client.chat.completions.create(**HI).choices[0].message.content
"""


@pytest.fixture(autouse=True)
def other(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """Where clients go that are not switched."""
    with serving("openai") as fake:
        monkeypatch.setenv("OPENAI_BASE_URL", fake.base_url)
        yield fake


def source(body: str, mark: str = "") -> str:
    lines = body.replace("\n", "\n    ")
    return f"{HEAD}{mark}\ndef test_it(fake_llm):\n    {lines}\n"


NEVER: dict[str, tuple[str, str]] = {
    "calls went elsewhere": (
        "said(early)",
        "*fake_llm was never asked; 1 call went elsewhere:*the openai.OpenAI made at *:6 asked a /v1 server at *",
    ),
    "so do those that a script was written for": (
        "fake_llm.script('Hello')\nsaid(openai.OpenAI(api_key='k'))",
        "*fake_llm was never asked, and its script has 1 turn; 1 call went elsewhere:*",
    ),
    "a script, and no call": ("fake_llm.script('Hello')", "*fake_llm was never asked, and its script has 1 turn.*"),
}


@pytest.mark.parametrize("case", NEVER)
def test_a_fake_that_nobody_asks(tried: Tried, case: str) -> None:
    """It says so, and where the calls went instead."""
    body, told = NEVER[case]
    result = tried(source(body))
    result.assert_outcomes(failed=1)
    pytest.LineMatcher([" ".join(result.outlines)]).fnmatch_lines([told])
    result.stdout.fnmatch_lines(["*`fake_llm.client()` is a client of it. After `fake_llm.use()`*"])


def test_without_a_script_and_a_call_it_is_a_warning(tried: Tried) -> None:
    result = tried(source("pass"), "-W", "default")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*AdapterWarning: fake_llm was never asked.*"])


LOOKED = {
    "its log is read": "assert not fake_llm.requests",
    "a judgement": "fake_llm.assert_not_called('/chat/completions')",
    "its script is judged": "fake_llm.script('x')\nassert len(fake_llm.unused) == 1",
}


@pytest.mark.parametrize("case", LOOKED)
def test_a_test_that_looks_knows(tried: Tried, case: str) -> None:
    tried(source(LOOKED[case])).assert_outcomes(passed=1)


def test_a_failing_test_is_not_told(tried: Tried) -> None:
    tried(source("assert False")).assert_outcomes(failed=1)


SWITCHED = """
async def ask():
    async with openai.AsyncOpenAI() as client:
        return await client.chat.completions.create(**HI)
def test_it(fake_llm):
    fake_llm.script("Here.", repeat=True)
    assert said(openai.OpenAI()) == said(llm_adapter.OpenAI()) == "Here."
    assert said(openai.OpenAI(base_url="https://api.openai.com/v1", api_key="k")) == "Here."
    assert asyncio.run(ask()).choices[0].message.content == "Here."
    assert openai.chat.completions.create(**HI).choices[0].message.content == "Here."
"""
WAYS = {
    "use": HEAD
    + SWITCHED.replace("def test", '@pytest.mark.fake_llm("openai", "ollama@0.32")\ndef test').replace(
        "    fake_llm.script", "    fake_llm.use()\n    fake_llm.script"
    ),
    "mark": HEAD + SWITCHED.replace("def test", '@pytest.mark.fake_llm("openai", "ollama@0.32", use=True)\ndef test'),
}


@pytest.mark.parametrize("way", WAYS)
def test_use(tried: Tried, other: Fake, way: str) -> None:
    """All clients that are made from then on go there, whatever the server is that it plays; the mark is the same."""
    tried(WAYS[way]).assert_outcomes(passed=2)
    assert other.requests == []


def test_a_server_of_the_programs_own(tried: Tried) -> None:
    """It stays what it is, unless all are taken."""
    with serving("openai") as mine:
        mine.script("Mine.", repeat=True)
        asked = f"said(openai.OpenAI(base_url={mine.base_url!r}, api_key='k'))"
        tried(source(f"fake_llm.use(takes_all=True)\nassert {asked} != 'Mine.'")).assert_outcomes(passed=1)
        tried(source(f"fake_llm.use()\nassert {asked} == 'Mine.'\nassert not fake_llm.calls")).assert_outcomes(passed=1)


def test_it_ends_with_its_block_and_with_the_test(tried: Tried, other: Fake) -> None:
    body = (
        "fake_llm.script('Here.', repeat=True)\n"
        "with fake_llm.use():\n    assert said(openai.OpenAI(api_key='k')) == 'Here.'\n"
        "assert said(openai.OpenAI(api_key='k')) != 'Here.'\nfake_llm.use()\n"
    )
    after = (
        "def test_after():\n    for kind in (openai.OpenAI, llm_adapter.OpenAI):\n"
        "        assert said(kind(api_key='k')) != 'Here.'\n"
    )
    tried(source(body) + after).assert_outcomes(passed=2)
    assert len(other.requests) == 3


def test_the_mark_needs_no_argument(tried: Tried) -> None:
    """The fixture is there before those that make clients."""
    code = HEAD + (
        "@pytest.fixture(autouse=True)\ndef client():\n    return openai.OpenAI()\n"
        "@pytest.mark.fake_llm('openai', 'vllm', use=True)\ndef test_it(client):\n"
        "    assert said(client) == 'Hello from the fake server.'\n"
    )
    tried(code).assert_outcomes(passed=2)


def test_outside_pytest() -> None:
    from llm_adapter import OpenAI

    with serving("ollama@0.32") as fake:
        with fake.use(), OpenAI() as client:
            assert client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}]).choices
        with OpenAI(api_key="k") as client:
            assert client.settings.provider == "openai"
    fake.assert_called("/chat/completions", times=1)
