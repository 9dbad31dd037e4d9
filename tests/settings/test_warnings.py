"""Where a warning points: at the line of the program, once for each line and message."""

from __future__ import annotations

import asyncio
import inspect
import threading
import warnings
from contextvars import copy_context
from typing import Any

import pytest
from conftest import HI

from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.settings.errors import SettingsError, caller_kept, warn_caller
from llm_adapter.testing import serving, text

POLICY: Any = {"verbosity": "warn", "*": "error"}
ASK: Any = {"model": "m", "messages": HI, "verbosity": "low"}


def sync_calls(fake: Any) -> None:
    with OpenAI(settings=fake.settings(unsupported=POLICY)) as client:
        for _ in range(2):
            client.chat.completions.create(**ASK)  # warned
            list(client.chat.completions.create(**ASK, stream=True))  # warned
            client.chat.completions.with_raw_response.create(**ASK)  # warned


async def async_calls(fake: Any) -> None:
    async with AsyncOpenAI(settings=fake.settings(unsupported=POLICY)) as client:
        for _ in range(2):
            await client.chat.completions.create(**ASK)  # warned
            await client.chat.completions.create(**ASK, stream=True)  # warned


def warned_lines(function: Any) -> list[tuple[str, int]]:
    source, first = inspect.getsourcelines(function)
    return [(__file__, first + place) for place, text in enumerate(source) if text.endswith("# warned\n")]


@pytest.mark.parametrize("calls", [sync_calls, async_calls])
@pytest.mark.parametrize("server", ["ollama@0.32", "vllm"])
def test_the_callers_line(server: str, calls: Any) -> None:
    with serving(server) as fake, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fake.script(text("Hi"), repeat=True)
        if inspect.iscoroutinefunction(calls):
            asyncio.run(calls(fake))
        else:
            calls(fake)
    assert [(one.filename, one.lineno) for one in told] == warned_lines(calls)


def in_a_thread() -> None:
    with caller_kept():  # warned
        thread = threading.Thread(target=copy_context().run, args=(warn_caller, "from a thread"))
    thread.start()
    thread.join()


def test_a_thread_of_ours_knows_the_caller() -> None:
    """An image is fetched in a thread, on whose stack the caller is not."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        in_a_thread()
    assert [(one.filename, one.lineno) for one in told] == warned_lines(in_a_thread)


def test_where_warnings_are_errors_each_is_one() -> None:
    with serving("vllm") as fake, OpenAI(settings=fake.settings(unsupported="warn"), max_retries=0) as client:
        for _ in range(2):
            with pytest.raises(UserWarning, match="verbosity"):
                client.chat.completions.create(**ASK)


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ({"verbosty": "ignore"}, "'verbosty', which is no parameter; did you mean 'verbosity'"),
        ({"verbosity": "drop"}, "verbosity: Input should be 'error', 'warn' or 'ignore'"),
        ({"verbosity": "wran"}, "did you mean 'warn'"),
    ],
    ids=["name", "word", "near word"],
)
def test_a_misspelt_policy_is_named(policies: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        OpenAI(settings=Settings(provider="ollama", unsupported=policies))


def test_a_servers_own_parameter_may_have_a_policy() -> None:
    settings = Settings(provider="ollama", unsupported={"an_unheard_of_one": "ignore"})
    assert OpenAI(settings=settings).settings.policy("an_unheard_of_one") == "ignore"


@pytest.mark.parametrize(("given", "policy"), [("warn", "warn"), ('{"verbosity": "warn", "*": "ignore"}', "warn")])
def test_the_environment_has_a_word_or_a_table(given: str, policy: str) -> None:
    assert Settings.load({"LLM_ADAPTER_UNSUPPORTED": given}).policy("verbosity") == policy
