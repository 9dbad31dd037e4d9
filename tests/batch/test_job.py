"""A batch from file to file, on servers that answer, that are away, and that let nobody in."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback, serving
from openai.types.chat import ChatCompletion

from llm_adapter import AsyncOpenAI, Settings
from llm_adapter.batch import running
from llm_adapter.batch.job import ANSWER_SETTINGS, InvalidInputError, Job, fingerprint
from llm_adapter.batch.running import Progress, StoppedError

CHAT = "/v1/chat/completions"


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serving() as one:
        yield one


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_FIRST_WAIT", 0.001)


def job(folder: Path, *bodies: dict[str, Any]) -> Job:
    source = folder / "in.jsonl"
    lines = [
        {"custom_id": f"c{number}", "method": "POST", "url": CHAT, "body": {"model": "m", **body}}
        for number, body in enumerate(bodies)
    ]
    source.write_text("".join(json.dumps(line) + "\n\n" for line in lines))  # an empty line is none
    return Job.to(source, folder / "out.jsonl")


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def run(of: Job, server: Loopback, *, stop_at: int | None = None, **options: Any) -> Any:
    """The counts of answers and errors, and the progress."""

    async def run() -> Any:
        settings = Settings(provider="ollama", host=server.root)
        async with AsyncOpenAI(settings=settings, max_retries=0) as client:
            begun = of.begin(client, settings, **options)

            def tell(now: Progress) -> None:
                if now.sent == stop_at:
                    begun.batch.stop()

            begun.batch._tell = tell
            return await begun.run(), begun.progress

    return asyncio.run(run())


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def asked(server: Loopback) -> list[str]:
    return [body["messages"][0]["content"] for path, body in server.asked if path == "/api/chat"]


def test_answers_and_errors_in_the_order_of_the_input(server: Loopback, tmp_path: Path) -> None:
    one = job(tmp_path, said("a"), {**said("b"), "modalities": ["audio"]}, said("c"), said("d"))
    counts, progress = run(one, server)
    assert (counts, progress.done, progress.failed) == ((3, 1), 4, 1)
    assert [line["custom_id"] for line in lines(one.output)] == ["c0", "c2", "c3"]
    for line in lines(one.output):
        assert line.keys() == {"id", "custom_id", "response", "error"}
        assert line["response"].keys() == {"status_code", "request_id", "body"}
        ChatCompletion.model_validate(line["response"]["body"], strict=True)
    error = lines(one.errors)[0]["response"]
    assert (error["status_code"], error["body"]["error"]["param"]) == (400, "modalities")
    assert not one.journal_path.exists()


def test_what_is_recorded_is_never_asked_again(server: Loopback, tmp_path: Path) -> None:
    one = job(tmp_path, *map(said, "abcdef"))
    counts, progress = run(one, server, stop_at=2, concurrency=1)
    assert (counts, progress.done, one.output.exists()) == (None, 2, False)
    with one.journal_path.open("ab") as file:
        file.write(b'{"id": "torn')
    counts, progress = run(one, server)
    assert (counts, progress.done, progress.sent) == ((6, 0), 6, 4)
    assert sorted(asked(server)) == [*"abcdef"]


def test_errors_of_an_earlier_run_are_counted(server: Loopback, tmp_path: Path) -> None:
    one = job(tmp_path, {**said("a"), "modalities": ["audio"]}, said("b"), said("c"))
    run(one, server, stop_at=2, concurrency=1)
    counts, progress = run(one, server)
    assert (counts, progress.done, progress.failed, progress.sent) == ((2, 1), 3, 1, 1)


def test_a_line_that_has_changed_is_asked_again(server: Loopback, tmp_path: Path) -> None:
    run(job(tmp_path, said("a"), said("b"), said("z")), server, stop_at=2, concurrency=1)
    assert run(job(tmp_path, said("a"), said("other")), server)[0] == (2, 0)
    assert asked(server) == ["a", "b", "other"]


def test_an_outage_is_no_result(server: Loopback, tmp_path: Path) -> None:
    lock, failures = threading.Lock(), iter([503, 429, None, 502, None])

    def act(handler: Any) -> None:
        with lock:
            failure = next(failures, 200)
        if failure is None:
            handler.close_connection = True  # without an answer
        elif failure != 200:
            handler.reply({"error": "busy"}, failure)
        else:
            handler.chat()

    server.act = act
    assert run(job(tmp_path, *map(said, "abc")), server)[0] == (3, 0)


STOPS = {
    "nobody answers": (503, 0.0, "nobody answers for 0 seconds"),
    "nobody is let in": (401, 600.0, "lets nobody in"),
}


@pytest.mark.parametrize("kind", STOPS)
def test_it_stops(server: Loopback, tmp_path: Path, kind: str) -> None:
    status, patience, told = STOPS[kind]
    one = job(tmp_path, said("a"), said("b"))
    run(one, server, stop_at=1, concurrency=1)
    server.act = lambda handler: handler.reply({"error": "no"}, status)
    with pytest.raises(StoppedError, match=told):
        run(one, server, patience=patience)
    assert len(lines(one.journal_path)) == 1


def test_a_fault_at_one_request_is_its_result(server: Loopback, tmp_path: Path) -> None:
    """A server may fail at what it is asked; it is asked three times."""

    def act(handler: Any) -> None:
        if handler.body["messages"][0]["content"] == "b":
            handler.reply({"error": "model runner has crashed"}, 500)
        else:
            handler.chat()

    server.act = act
    one = job(tmp_path, *map(said, "abc"))
    assert run(one, server)[0] == (2, 1)
    assert asked(server).count("b") == 3
    assert "crashed" in json.dumps(lines(one.errors))


def test_models_one_after_the_other(server: Loopback, tmp_path: Path) -> None:
    one = job(tmp_path, *({**said("a"), "model": name} for name in "xyxyxy"))
    run(one, server, concurrency=1)
    assert [body["model"] for path, body in server.asked if path == "/api/chat"] == [*"xxxyyy"]
    assert [line["custom_id"] for line in lines(one.output)] == [f"c{number}" for number in range(6)]


def test_an_input_that_is_none_is_refused_before_the_first_request(server: Loopback, tmp_path: Path) -> None:
    one = job(tmp_path, said("a"))
    one.source.write_text(one.source.read_text() + "{\n")
    with pytest.raises(InvalidInputError) as caught:
        run(one, server)
    assert [(problem.code, problem.line) for problem in caught.value.found.problems] == [("invalid_json_line", 3)]
    assert (server.asked, one.journal_path.exists()) == ([], False)


def test_settings_that_answers_depend_on() -> None:
    assert set(ANSWER_SETTINGS) <= Settings.model_fields.keys()
    here = Settings(provider="ollama", host="a:1")
    assert fingerprint(here) == fingerprint(here.model_copy(update={"host": "http://b:1", "load_timeout": 3.0}))
    assert fingerprint(here) != fingerprint(here.model_copy(update={"num_ctx": 99}))
