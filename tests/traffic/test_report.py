"""The report of all calls: what is written of each, by how many processes, and the table that is made of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from conftest import HI

from llm_adapter import OpenAI, Settings
from llm_adapter.testing import Fake, error, serving
from llm_adapter.traffic import report, watch

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": HI}
SECRETS = ("sk-secret", "Hello")


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    with serving("ollama@0.32") as fake:
        yield fake


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[report.Journal]:
    journal = report.Journal(tmp_path / "calls.txt")
    watch.add_watcher(journal)
    yield journal
    watch.remove_watcher(journal)


def client_of(fake: Fake, **options: Any) -> OpenAI:
    settings = fake.settings(models={"gpt-4o-mini": "qwen3:8b"})
    return OpenAI(settings=settings, api_key="sk-secret", max_retries=0, **options)


def table(journal: report.Journal, tmp_path: Path) -> list[list[str]]:
    """The cells of the table, and the lines below it."""
    journal.close()
    text = (tmp_path / "calls.txt").read_text("utf-8")
    assert not any(secret in text + (tmp_path / "calls.txt.jsonl").read_text("utf-8") for secret in SECRETS)
    return [[cell for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]


def cells(line: list[str]) -> list[str]:
    return [cell.strip() for cell in line]


def test_the_table(journal: report.Journal, fake: Fake, tmp_path: Path) -> None:
    """A line for each client, call site, answer and model; the calls, tokens, errors and adaptions are summed."""
    with client_of(fake) as client:
        for _ in range(2):
            client.chat.completions.create(**CHAT, user="me")
        with suppress(openai.BadRequestError):
            client.chat.completions.create(**CHAT, logit_bias={"1": 1})
    head, *lines = table(journal, tmp_path)
    there = f"ollama at {fake.url.removeprefix('http://')}"
    assert cells(head)[:3] == ["client", "call site", "answered by"]
    made, first, host, asked, used, *rest = cells(lines[0])
    assert (made.rpartition(":")[0], host) == (f"OpenAI {__file__}", there)
    assert (asked, used, *rest) == ("gpt-4o-mini", "qwen3:8b", "2", "12", "10", "ignored=user")
    assert cells(lines[1])[3:] == ["gpt-4o-mini", "1", "1 BadRequestError 400", "left_out=logit_bias"]
    assert int(cells(lines[1])[1].rpartition(":")[2]) == int(first.rpartition(":")[2]) + 2
    assert lines[2:] == [[], [f"3 calls to {there}; 1 with an error"]]


def test_clients_of_the_sdk_itself_and_such_that_are_not_called(
    journal: report.Journal, fake: Fake, tmp_path: Path
) -> None:
    with openai.OpenAI(base_url=fake.base_url, api_key="sk-secret") as client:
        client.chat.completions.create(**CHAT)
    OpenAI(settings=Settings(provider="embedded")).close()
    _, first, second, *_ = table(journal, tmp_path)
    assert cells(first)[0].startswith("openai.OpenAI ")
    assert cells(first)[2] == f"a /v1 server at {fake.url.removeprefix('http://')}"
    assert cells(second)[1:] == ["(no call)", "embedded in this process", "0"]


def test_tokens_that_a_stream_does_not_tell(journal: report.Journal, fake: Fake, tmp_path: Path) -> None:
    """A "+" says that the sum is of some calls alone; the loop is one line of the program."""
    with client_of(fake) as client:
        for options in ({}, {"stream_options": {"include_usage": True}}):
            list(client.chat.completions.create(**CHAT, stream=True, **options))
    assert cells(table(journal, tmp_path)[1])[-3:] == ["2", "6+", "5+"]


def test_a_stream_that_is_not_read_to_its_end(journal: report.Journal, fake: Fake, tmp_path: Path) -> None:
    client = client_of(fake)
    stream = client.chat.completions.create(**CHAT, stream=True)
    assert cells(table(journal, tmp_path)[1])[-1] == "1 not read to its end"
    stream.close()
    client.close()


def test_the_program_goes_on_where_no_report_can_be_written(
    fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = report.Journal(tmp_path / "nowhere" / "calls.txt")
    watch.add_watcher(journal)
    try:
        with client_of(fake) as client:
            assert client.chat.completions.create(**CHAT).choices
        journal.close()
    finally:
        watch.remove_watcher(journal)
    err = capsys.readouterr().err
    assert err.count("llm-adapter: no report is written to") == 1
    assert "No such file or directory" in err


def test_a_forked_process_does_not_end_what_its_parent_began(
    journal: report.Journal, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes its own calls, also where it ends at once. (It is played: a process of tests is not one to fork.)"""
    with client_of(fake) as client:
        stream = client.chat.completions.create(**CHAT, stream=True)
        with monkeypatch.context() as child:
            child.setattr(os, "getpid", lambda: 1)
            client.chat.completions.create(**CHAT)
            journal.close()
        list(stream)
    records = [one for one in report.read(tmp_path / "calls.txt.jsonl") if one["calls"]]
    assert [(one["process"], one["error"]) for one in records] == [(1, None), (os.getpid(), None)]


def test_several_processes_make_one_report(tmp_path: Path, fake: Fake) -> None:
    """Calls of an earlier one stay; a line that was broken off is left out."""
    for _ in range(2):
        journal = report.Journal(tmp_path / "calls.txt")
        watch.add_watcher(journal)
        with client_of(fake) as client:
            client.chat.completions.create(**CHAT)
        journal.close()
        watch.remove_watcher(journal)
        with open(tmp_path / "calls.txt.jsonl", "a", encoding="utf-8") as lines:
            lines.write('{"process": 1, "cli\n')
    assert "2 calls to" in (tmp_path / "calls.txt").read_text("utf-8")


def test_a_file_of_lines_has_no_table(tmp_path: Path, fake: Fake) -> None:
    journal = report.Journal(tmp_path / "calls.jsonl")
    watch.add_watcher(journal)
    with client_of(fake) as client:
        client.chat.completions.create(**CHAT)
    journal.close()
    watch.remove_watcher(journal)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("calls")] == ["calls.jsonl"]
    made, called = map(json.loads, (tmp_path / "calls.jsonl").read_text("utf-8").splitlines())
    assert (made["calls"], made["setting"]) == (0, "`host` from argument")
    assert (called["request"], called["model_asked"], called["tokens_in"]) == (
        "POST /chat/completions",
        "gpt-4o-mini",
        6,
    )


def test_no_clients(tmp_path: Path) -> None:
    report.Journal(tmp_path / "calls.txt").close()
    assert (tmp_path / "calls.txt").read_text("utf-8") == "No client of the openai SDK was made.\n"


def test_a_public_host_is_told_and_no_name_orders_a_terminal_about() -> None:
    record = {
        **{"process": 1, "client": "OpenAI", "made_at": ["/x/app.py", 2], "called_at": ["/x/app.py", 3], "calls": 1},
        **{"provider": "openai", "host": "api.openai.com", "profile": "cloud", "error": None},
        **{"model_asked": "m\x1b[2J\n", "model_used": None},
    }
    text = report.table([record])
    assert "1 call to openai at api.openai.com (cloud), a public host\n" in text
    assert "m?[2J?" in text


def test_the_environment_asks_for_it(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Child processes get the file's absolute path. Each line that makes clients is told once."""
    monkeypatch.setattr(watch, "_watchers", ())
    monkeypatch.setattr(report.atexit, "register", lambda *_: None)
    environ = {"LLM_ADAPTER_REPORT": "calls.txt", "LLM_ADAPTER_VERBOSE": "1"}
    report.begin(environ)
    assert environ["LLM_ADAPTER_REPORT"] == str(tmp_path / "calls.txt")
    for _ in range(2):
        OpenAI(settings=fake.settings()).close()
    openai.AzureOpenAI(azure_endpoint="https://me.openai.azure.com", api_key="sk-secret", api_version="1").close()
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"llm-adapter: OpenAI made at {__file__}:")
    assert first.endswith(f": goes to ollama at {fake.url.removeprefix('http://')} (`host` from argument)")
    assert "openai.AzureOpenAI made at " in second
    assert second.endswith("goes to a /v1 server at me.openai.azure.com (a client of the SDK's own: no profile)")
    assert len(report.read(tmp_path / "calls.txt.jsonl")) == 3


@pytest.mark.parametrize("name", ["LLM_ADAPTER_REPORT", "LLM_ADAPTER_VERBOSE"])
def test_its_variables_are_no_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert not Settings.load().configured


def test_an_error_that_came_back(journal: report.Journal, fake: Fake, tmp_path: Path) -> None:
    fake.script(error(429, "slow down"))
    with client_of(fake) as client, suppress(openai.RateLimitError):
        client.chat.completions.create(**CHAT)
    assert cells(table(journal, tmp_path)[1])[-1] == "1 RateLimitError 429"
