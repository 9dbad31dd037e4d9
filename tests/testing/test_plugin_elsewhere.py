"""A test that is marked for a provider fails when a call went elsewhere. pytest itself runs here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from llm_adapter.testing import Fake, serving

Tried: TypeAlias = Callable[..., pytest.RunResult]
HEAD = """
import asyncio, threading
import openai, pytest
from llm_adapter import AsyncOpenAI, OpenAI, Settings
HI = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
early = OpenAI(api_key="k")  # line 5: before the test, and so without its provider
plain = openai.OpenAI(api_key="k")  # line 6
"""


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """Where the clients of the SDK's own go, and ours while nothing is configured."""
    with serving("openai") as fake:
        monkeypatch.setenv("OPENAI_BASE_URL", fake.base_url)
        yield fake


def marked(body: str, mark: str = '"fake:ollama@0.32"') -> str:
    return f"{HEAD}\n@pytest.mark.llm_providers({mark})\ndef test_it(llm_client):\n    {body}\n"


ELSEWHERE: dict[str, tuple[str, str]] = {
    "a client that was imported": (
        "early.chat.completions.create(**HI)",
        "*the OpenAI made at *:5 asked openai at 127.0.0.1:* (OPENAI_BASE_URL): POST /chat/completions, called at *:10",
    ),
    "a copy of it": (
        "early.with_options(timeout=9).chat.completions.create(**HI)",
        "*the OpenAI made at *:5 asked openai at 127.0.0.1:*",
    ),
    "a client of the SDK's own": (
        "plain.chat.completions.create(**HI)",
        "*the openai.OpenAI made at *:6 asked a /v1 server at 127.0.0.1:*: POST /chat/completions, called at *:10",
    ),
    "one that is made in the test": (
        "[openai.OpenAI(api_key='k').models.list() for _ in range(2)]",
        "*the openai.OpenAI made at *:10 asked a /v1 server at *: GET /models, called at *:10 (2 times)",
    ),
    "an async one": (
        "client = AsyncOpenAI(settings=Settings(), api_key='k', default_headers={'Connection': 'close'}); "
        "asyncio.run(client.embeddings.create(model='m', input='x'))",
        "*the AsyncOpenAI made at *:10 asked openai at 127.0.0.1:* (OPENAI_BASE_URL): POST /embeddings*",
    ),
    "a stream": (
        "list(plain.chat.completions.create(**HI, stream=True))",
        "*the openai.OpenAI made at *:6 asked *",
    ),
    "in a thread": (
        "t = threading.Thread(target=lambda: plain.models.list()); t.start(); t.join()",
        "*the openai.OpenAI made at *:6 asked *",
    ),
    "beside one that went there": (
        "llm_client.chat.completions.create(**HI); plain.chat.completions.create(**HI)",
        "*the test runs on 'fake:ollama@0.32', and 1 call of it went elsewhere:*",
    ),
    "caught": (
        "pytest.raises(openai.NotFoundError, plain.get, '/nowhere', cast_to=object)",
        "*the openai.OpenAI made at *:6 asked *: GET /nowhere*",
    ),
}


@pytest.mark.parametrize("case", ELSEWHERE)
@pytest.mark.usefixtures("other")
def test_a_call_that_went_elsewhere(tried: Tried, case: str) -> None:
    """The test fails, though all its assertions hold, and names the client's line."""
    body, told = ELSEWHERE[case]
    result = tried(marked(body))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([told, "*llm_providers(..., elsewhere=True)*"])


THERE = {
    "the fixture's client": "llm_client.chat.completions.create(**HI)",
    "a client that the code makes": "OpenAI().chat.completions.create(**HI)",
    "a plain client on the same server": "openai.OpenAI(base_url=llm_client.base_url, api_key='k').models.list()",
    "a refusal, which is not sent": (
        "pytest.raises(openai.BadRequestError, OpenAI().chat.completions.create, **HI, logit_bias={'1': 1})"
    ),
    "no call at all": "pass",
}


@pytest.mark.parametrize("case", THERE)
@pytest.mark.usefixtures("other")
def test_calls_that_went_there(tried: Tried, case: str) -> None:
    tried(marked(THERE[case])).assert_outcomes(passed=1)


def test_an_embedded_model_is_elsewhere_too(tried: Tried, other: Fake) -> None:
    """A server of this process is told by the client, for its address is any."""
    source = marked("OpenAI().chat.completions.create(**HI)", '"embedded"') + "    if 0: pass\n"
    source += '\n@pytest.mark.llm_providers("embedded")\ndef test_other():\n    early.chat.completions.create(**HI)\n'
    tried(source).assert_outcomes(passed=1, failed=1)
    assert len(other.calls) == 1


def test_others_on_purpose(tried: Tried, other: Fake) -> None:
    tried(marked("early.chat.completions.create(**HI)", '"fake:ollama@0.32", elsewhere=True')).assert_outcomes(passed=1)
    assert len(other.calls) == 1


@pytest.mark.usefixtures("other")
def test_a_test_that_fails_by_itself(tried: Tried) -> None:
    """Its own error is shown, and below it where the call went, which may be why."""
    result = tried(marked("assert early.chat.completions.create(**HI).choices[0].message.content == 'x'"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E*AssertionError*", "*Captured llm_providers call*", "*the OpenAI made at *:5 asked *"]
    )


@pytest.mark.usefixtures("other")
def test_a_test_without_the_mark_may_call_anybody(tried: Tried) -> None:
    tried(f"{HEAD}\ndef test_it():\n    early.chat.completions.create(**HI)\n").assert_outcomes(passed=1)


@pytest.mark.usefixtures("other")
def test_a_call_of_a_fixture(tried: Tried) -> None:
    """What is done to set a test up is the test's, too."""
    source = HEAD + (
        "@pytest.fixture\ndef index():\n    return early.embeddings.create(model='m', input='x')\n"
        "@pytest.mark.llm_providers('fake:ollama@0.32')\ndef test_it(index):\n    pass\n"
    )
    tried(source).assert_outcomes(failed=1)
