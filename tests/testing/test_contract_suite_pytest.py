"""The contract suite in a user's own pytest, and what it says without: the class, what it is told, what it shows."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from drivers import HTTPX
from gateway import HEALTHY, client

from llm_adapter import AsyncOpenAI, Settings
from llm_adapter.testing import contract
from llm_adapter.testing.contract.player import Player

pytest_plugins = ["pytester"]
HEAD = """
import openai, pytest
from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.testing import contract
EMBEDDED = Settings(provider="embedded")
"""
MODELS = """
    model = "gpt-4o-mini"
    embedding_model = "text-embedding-3-small"
"""
FEW = """
    checks = tuple(one for one in contract.CHECKS if one.name in {names!r})
"""


class Tried:
    """A user's test module, run here."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester

    def __call__(self, body: str, *options: str, names: tuple[str, ...] = ("reply", "usage", "logprobs")) -> Any:
        self._pytester.makepyfile(HEAD + f"class TestGateway(contract.Suite):{FEW.format(names=names)}{body}")
        return self._pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist", "-rA", *options)


@pytest.fixture
def tried(pytester: pytest.Pytester) -> Tried:
    return Tried(pytester)


def checks(*names: str) -> list[contract.Check]:
    return [check for check in contract.CHECKS if check.name in names]


@pytest.mark.parametrize("kind", ["OpenAI", "AsyncOpenAI"])
def test_a_class_of_ones_own(tried: Tried, kind: str) -> None:
    """A test for each check, by its name; what is left out is skipped with the reason. Sync and async alike."""
    without = '    without = {"logprobs": "our gateway strips them"}\n'
    fixture = f"    @pytest.fixture\n    def client(self):\n        return {kind}(settings=EMBEDDED)\n"
    result = tried(f"{MODELS}{without}{fixture}", "-Werror")
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(
        ["PASSED*TestGateway::test_contract[[]usage]", "SKIPPED*: logprobs, skipped: our gateway strips them"]
    )


@pytest.mark.parametrize("scope", ["class", "module"])
def test_an_async_client_for_all_tests(tried: Tried, scope: str) -> None:
    """Its connections live in one event loop, and are closed with it."""
    fixture = f'@pytest.fixture(scope="{scope}")\ndef client():\n    return AsyncOpenAI(settings=EMBEDDED)\n'
    tried(f"{MODELS}{fixture}", "-Werror").assert_outcomes(passed=3)


def test_a_failure_says_what_came(tried: Tried) -> None:
    """What was asked, what was expected, what came, and what mends it."""
    fixture = """
    @pytest.fixture
    def client(self):
        return OpenAI(settings=EMBEDDED)
"""
    result = tried(MODELS + fixture, names=("unknown_model", "overlong_prompt"))
    result.assert_outcomes(failed=1, skipped=1)
    text = result.stdout.str()
    said = (
        "A model that is not there is NotFoundError, with the code model_not_found. expected NotFoundError; came a Chat"
    )
    assert said in text
    assert "What to do: set OpenAI's `code`" in text
    assert "overlong_prompt, skipped: `context`, the model's in tokens, is not given" in text
    assert "Traceback" not in text


WRONG = {
    "\n    model = 'm'": "fixture 'client' not found",
    "\n    pass": "TestGateway needs `model`, the chat model to try",
    "\n    model = 'm'\n    without = {'logprob': 'x'}": "TestGateway: `without` names 'logprob', which is no check "
    "and no need; did you mean 'logprobs'?",
}


@pytest.mark.parametrize("body", WRONG)
def test_a_class_that_says_too_little(tried: Tried, body: str) -> None:
    result = tried(body)
    assert WRONG[body] in result.stdout.str() + result.stderr.str()
    assert result.ret != 0


def test_the_table() -> None:
    """Without pytest: a list that prints as a table."""
    results = contract.run(
        client(), "gpt-4o-mini", without={"n": "one is enough"}, checks=checks("reply", "n", "usage")
    )
    *rows, empty, counts = str(results).splitlines()
    assert [row.split() for row in rows] == [
        ["reply", "passed"],
        ["usage", "passed"],
        ["n", "skipped", "one", "is", "enough"],
    ]
    assert (empty, counts.partition(" in ")[0]) == ("", "2 passed, 1 skipped")
    assert results.failed == []


def test_a_name_that_is_none() -> None:
    with pytest.raises(ValueError, match="names 'tool', which is no check and no need; did you mean 'tools'"):
        contract.run(client(), "gpt-4o-mini", without={"tool": "x"})


def test_options_are_of_every_call() -> None:
    """None leaves one of the suite's own out."""
    case = contract.Case(client(), "m", options={"temperature": None, "top_p": 0.5, "max_completion_tokens": 9})
    assert case.arguments("Hi") == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "top_p": 0.5,
        "max_completion_tokens": 9,
    }


def test_openai_is_given_no_temperature() -> None:
    """Its reasoning models take none."""
    assert "temperature" not in contract.Case(openai.OpenAI(api_key="k"), "gpt-5").arguments()
    assert contract.Case(client(), "m").arguments()["temperature"] == 0


@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AsyncOpenAI])
def test_a_server_that_is_gone(kind: Any) -> None:
    """It is asked once."""
    asked = []

    def gone(request: Any) -> Any:
        asked.append(request)
        raise HTTPX.ConnectError("refused", request=request)

    http = HTTPX.Client if kind is openai.OpenAI else HTTPX.AsyncClient
    nowhere = kind(
        base_url="http://gateway.test/v1",
        api_key="k",
        max_retries=0,
        http_client=http(transport=HTTPX.MockTransport(gone)),
    )
    results = contract.run(nowhere, "m", checks=checks("reply", "usage", "models"))
    assert [result.line for result in results] == [
        "expected a reply; came APIConnectionError: Connection error. (refused)",
        *["not tried: expected a reply; came APIConnectionError: Connection error. (refused)"] * 2,
    ]
    assert results[0].cure == "start the server, or correct the client's base_url"
    assert len(asked) == 1


def test_an_endpoint_that_is_not_there() -> None:
    """What a gateway may do without can be left out, and the report says how."""
    nothing = HTTPX.Client(transport=HTTPX.MockTransport(lambda request: HTTPX.Response(404, text="<html>no</html>")))
    client = openai.OpenAI(base_url="http://gateway.test/v1", api_key="k", http_client=nothing)
    reply, response = contract.run(client, "m", checks=checks("reply", "response"))
    assert response.cure.endswith('; or leave it out: without={"responses": "why"}')
    assert "without" not in reply.cure


def test_no_key_in_a_line() -> None:
    """A gateway may send back what it was sent."""
    key = "k-3f9c-9d1e"

    def told(request: Any) -> Any:
        return HTTPX.Response(401, json={"error": {"message": f"Incorrect API key provided: {key}"}})

    http = HTTPX.Client(transport=HTTPX.MockTransport(told))
    refused = openai.OpenAI(base_url="http://gateway.test/v1", api_key=key, max_retries=0, http_client=http)
    (result,) = contract.run(refused, "m", checks=checks("reply"))
    assert "AuthenticationError (401): Incorrect API key provided: ***" in result.line


WEAK = {
    "tool_call": "the model did not call the tool",
    "stream_tool_call": "the model did not call the tool",
    "tool_calls_parallel": "the model did not call the tool",
    "stream_tool_calls": "the model did not call the tool",
    "max_tokens": "the model had no more to say than 2 tokens",
}


@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AsyncOpenAI])
def test_a_weak_model_is_no_failure(kind: Any) -> None:
    """A model that says "Yes." to all: nothing is known of its server."""

    def yes(request: Any) -> Any:
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        head = {"id": "c", "created": 1, "model": "m"}
        message = {"role": "assistant", "content": "Yes."}
        if b'"stream":true' not in request.content.replace(b" ", b""):
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            return HTTPX.Response(200, json={**head, "object": "chat.completion", "choices": choices, "usage": usage})
        choices = [{"index": 0, "delta": message, "finish_reason": "stop"}]
        chunk = json.dumps({**head, "object": "chat.completion.chunk", "choices": choices})
        return HTTPX.Response(
            200, headers={"content-type": "text/event-stream"}, content=f"data: {chunk}\n\ndata: [DONE]\n\n"
        )

    http = HTTPX.Client if kind is openai.OpenAI else HTTPX.AsyncClient
    weak = kind(base_url="http://weak.test/v1", api_key="k", http_client=http(transport=HTTPX.MockTransport(yes)))
    results = contract.run(weak, "m", checks=checks(*WEAK))
    assert {result.name: (result.outcome, result.line) for result in results} == {
        name: ("inconclusive", line) for name, line in WEAK.items()
    }


def test_a_parameter_that_is_refused_by_name() -> None:
    """It is not silent."""

    def refused(request: Any) -> Any:
        error = {"message": "Unsupported parameter: 'stop' is not supported with this model.", "param": "stop"}
        return HTTPX.Response(400, json={"error": error})

    http = HTTPX.Client(transport=HTTPX.MockTransport(refused))
    (result,) = contract.run(
        openai.OpenAI(base_url="http://gateway.test/v1", api_key="k", http_client=http), "m", checks=checks("stop_text")
    )
    assert result.outcome == "inconclusive"
    assert result.line.startswith("`stop` is refused by name: Unsupported parameter: 'stop'")


def test_a_warning_reports_a_parameter() -> None:
    """Our client drops what a policy says, and tells."""

    def hello(request: Any) -> Any:
        message = {"role": "assistant", "content": "Hello"}
        return HTTPX.Response(200, json={"model": "m", "message": message, "done": True, "done_reason": "stop"})

    settings = Settings(provider="ollama", host="http://ollama.test:11434", unsupported="warn")
    http = HTTPX.AsyncClient(transport=HTTPX.MockTransport(hello))
    ours = AsyncOpenAI(settings=settings, http_client=http)
    (result,) = contract.run(ours, "m", checks=checks("unknown_parameter"))
    assert result.outcome == "passed", result


def test_an_async_client_is_closed() -> None:
    """With the event loop that its connections are part of."""
    asked = client(HEALTHY, openai.AsyncOpenAI)
    contract.run(asked, "gpt-4o-mini", checks=checks("reply"))
    assert asked.is_closed()


def test_a_sync_client_stays_open() -> None:
    asked = client()
    contract.run(asked, "gpt-4o-mini", checks=checks("reply"))
    assert not asked.is_closed()


def test_checks_of_ones_own() -> None:
    """A check is a generator over a case: a gateway's owner adds more."""

    def header(case: contract.Case) -> Any:
        """Replies name the cluster."""
        got = yield case.client.chat.completions.with_raw_response.create(**case.arguments())
        contract.expect("x-cluster" in got.headers, "x-cluster", "none")

    own = contract.Check("cluster", header, "send x-cluster")
    (result,) = contract.run(client(), "gpt-4o-mini", checks=[own])
    assert (result.outcome, result.line, result.cure) == ("failed", "expected x-cluster; came none", "send x-cluster")
    assert result.advice == "expected x-cluster; came none. What to do: send x-cluster"


def test_every_check_is_told_about() -> None:
    """Each has a sentence, a cure, and a name of its own."""
    assert all(check.asks.endswith(".") and check.cure for check in contract.CHECKS)
    assert len({check.name for check in contract.CHECKS}) == len(contract.CHECKS)
    assert {need for check in contract.CHECKS for need in check.needs} == set(contract.NEEDS)


def test_a_script_may_go_on_after_an_error() -> None:
    """With sync and async clients an error comes where the script waits."""

    def script(case: Any) -> Any:
        try:
            yield case.client.models.retrieve("no-such-model-here")
        except openai.NotFoundError:
            seen.append((yield case.client.models.retrieve("gpt-4o-mini")).id)

    seen: list[str] = []
    with Player() as player:
        for kind in (openai.OpenAI, openai.AsyncOpenAI):
            one = client(HEALTHY, kind)
            player(script(contract.Case(one, "m")), one)
    assert seen == ["gpt-4o-mini"] * 2
