"""Code for OpenAI's Batch API, unchanged, on servers that have none: submitted here, polled there."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from loopback import Loopback, serving
from openai.types import Batch

from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.batch import resources, service

CHAT = "/v1/chat/completions"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(provider="embedded", batch_store=str(tmp_path / "store"))


@pytest.fixture
def client(settings: Settings) -> Iterator[OpenAI]:
    with OpenAI(settings=settings) as one:
        yield one
    for thread in list(service._running.values()):
        thread.join(10)


def requests(count: int = 3, **body: Any) -> bytes:
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], **body}
    lines = [{"custom_id": f"c{number}", "method": "POST", "url": CHAT, "body": asked} for number in range(count)]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def submitted(client: OpenAI, content: bytes, endpoint: Any = CHAT) -> Batch:
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")


def ended(client: OpenAI, batch: Batch) -> Batch:
    end = time.monotonic() + 20
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        assert time.monotonic() < end, batch
        time.sleep(0.01)
        batch = client.batches.retrieve(batch.id)
    return batch


def results(client: OpenAI, name: str | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in client.files.content(name or "").text.splitlines()]


def test_the_way_of_openais_cookbook(client: OpenAI, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(requests(3))
    with source.open("rb") as file:
        uploaded = client.files.create(file=file, purpose="batch")
    batch = client.batches.create(
        input_file_id=uploaded.id, endpoint=CHAT, completion_window="24h", metadata={"for": "a test"}
    )
    assert (batch.status, batch.metadata, uploaded.filename) == ("validating", {"for": "a test"}, "in.jsonl")
    batch = ended(client, batch)
    counts: Any = batch.request_counts
    assert (batch.status, counts.total, counts.completed, counts.failed) == ("completed", 3, 3, 0)
    assert batch.error_file_id is None
    assert [line["custom_id"] for line in results(client, batch.output_file_id)] == ["c0", "c1", "c2"]
    client.files.content(batch.output_file_id or "").write_to_file(tmp_path / "out.jsonl")
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3


def test_only_errors(client: OpenAI) -> None:
    batch = ended(client, submitted(client, requests(2, modalities=["audio"])))
    assert (batch.status, batch.output_file_id) == ("completed", None)
    assert [line["response"]["status_code"] for line in results(client, batch.error_file_id)] == [400, 400]


def test_an_input_that_is_none_is_a_batch_that_fails(settings: Settings) -> None:
    async def script() -> Any:
        async with AsyncOpenAI(settings=settings) as client:
            file = await client.files.create(file=b"{\n", purpose="batch")
            batch = await client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
            while batch.status != "failed":
                batch = await client.batches.retrieve(batch.id)
            return batch.errors

    errors = asyncio.run(script())
    assert [(error.code, error.line) for error in errors.data] == [("invalid_json_line", 1)]


def test_another_endpoint_than_the_lines(client: OpenAI) -> None:
    batch = ended(client, submitted(client, requests(1), "/v1/embeddings"))
    assert batch.errors is not None
    assert [problem.code for problem in batch.errors.data or []] == ["url_mismatch"]


def test_another_process_goes_on_with_it(client: OpenAI, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(resources, "ensure_running", lambda *work: None)  # as a process that ends at once
        batch = submitted(client, requests())
    with OpenAI(settings=settings.model_copy(update={"options": {"top_k": 1}})) as other:
        assert other.batches.retrieve(batch.id).status == "validating"  # it is not for this profile
    with OpenAI(settings=settings) as other:
        assert ended(other, batch).status == "completed"


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[OpenAI, Loopback]]:
    with serving() as server:
        settings = Settings(provider="ollama", host=server.root, batch_store=str(tmp_path / "store"), max_concurrency=1)
        with OpenAI(settings=settings) as one:
            yield one, server
        for thread in list(service._running.values()):
            thread.join(10)


def test_cancelled_in_the_middle(slow: tuple[OpenAI, Loopback], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_LOOK", 0.02)
    client, server = slow
    batch: list[Batch] = []

    def act(handler: Any) -> None:
        if len(server.asked) == 2:
            while not batch:
                time.sleep(0.001)
            assert client.batches.cancel(batch[0].id).status == "cancelling"
            time.sleep(2 * service._LOOK)  # for the runner to see it
        handler.chat()

    server.act = act
    batch.append(submitted(client, requests(5)))
    end = ended(client, batch[0])
    assert (end.status, end.cancelled_at is not None) == ("cancelled", True)
    errors = [line["error"]["code"] for line in results(client, end.error_file_id)]
    assert errors == ["batch_cancelled"] * (5 - len(results(client, end.output_file_id)))
    assert errors
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(end.id)


def test_a_process_that_ends_tells_of_what_runs(
    slow: tuple[OpenAI, Loopback], caplog: pytest.LogCaptureFixture
) -> None:
    client, server = slow
    goes_on = threading.Event()

    def act(handler: Any) -> None:
        goes_on.wait(10)
        handler.chat()

    server.act = act
    batch = submitted(client, requests(1))
    service._tell_of_running()
    goes_on.set()
    assert ended(client, batch).status == "completed"
    assert [message for message in caplog.messages if batch.id in message and "goes on with it" in message]


def test_too_late(client: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(resources, "ensure_running", lambda *work: None)
        patch.setattr(resources, "_DAY", -1)
        batch = submitted(client, requests(500))
    end = ended(client, batch)
    assert end.status == "expired"
    assert {line["error"]["code"] for line in results(client, end.error_file_id)} == {"batch_expired"}


UNKNOWN: dict[str, Callable[[OpenAI], Any]] = {
    "a file": lambda client: client.files.retrieve("file-000000000000000000000000"),
    "its content": lambda client: client.files.content("file-000000000000000000000000"),
    "a path": lambda client: client.files.content("file-/../../secret"),
    "a batch": lambda client: client.batches.retrieve("batch_000000000000000000000000"),
    "a batch as a file": lambda client: client.files.retrieve("batch_000000000000000000000000"),
    "another purpose": lambda client: client.files.create(file=b"x", purpose="assistants"),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_is_not_there(client: OpenAI, kind: str) -> None:
    with pytest.raises(openai.NotFoundError):
        UNKNOWN[kind](client)


WRONG: dict[str, dict[str, Any]] = {
    "input_file_id": {"input_file_id": "file-000000000000000000000000"},
    "endpoint": {"endpoint": "/v1/audio/speech"},
    "completion_window": {"completion_window": "1h"},
}


@pytest.mark.parametrize("param", WRONG)
def test_a_batch_that_is_none(client: OpenAI, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.batches.create(**{"input_file_id": "?", "endpoint": CHAT, "completion_window": "24h", **WRONG[param]})
    assert caught.value.param == param


def test_lists_and_raw_replies(client: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "ensure_running", lambda *work: None)
    batches = [submitted(client, requests(1)).id for _ in range(3)]
    assert sorted(batch.id for batch in client.batches.list(limit=2)) == sorted(batches)  # through all pages
    files = [file.id for file in client.files.list(purpose="batch", order="asc")]
    raw = client.files.with_raw_response.delete(files[0])
    assert (raw.status_code, raw.parse().deleted) == (200, True)
    assert len(list(client.files.list())) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_folder_is_its_owners_alone(client: OpenAI, settings: Settings) -> None:
    client.files.create(file=b"x", purpose="batch")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in Path(settings.batch_store or "").rglob("*")}
    assert modes == {0o700, 0o600}


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    client = OpenAI(settings=Settings(provider="embedded", batch_store=str(tmp_path / "file")), max_retries=0)
    with pytest.raises(openai.InternalServerError, match="batch_store"):
        client.files.create(file=b"x", purpose="batch")


def test_a_server_that_may_have_them_is_asked() -> None:
    with serving() as server:
        client = openai.OpenAI(base_url=f"{server.root}/v1", api_key="k")
        ours = OpenAI(base_url=f"{server.root}/v1", api_key="k")
        assert list(ours.files.list()) == list(client.files.list()) == []
        assert [path for path, _ in server.asked] == ["/v1/files"] * 2
