"""Forms with files at the gateway: they are calls like all others, with the client's rules for models and endpoints."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from drivers import HTTPX
from hypothesis import given
from hypothesis import strategies as st
from listening import listen, listening
from openai._qs import Querystring

from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.batch import resources, service
from llm_adapter.serve import gateway
from llm_adapter.serve.forms import read_form
from llm_adapter.testing import serving

__all__ = ["listen"]  # the fixture

LINE = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]},
}
PNG = ("a.png", b"\x89PNG", "image/png")
WAV = ("hello.wav", b"RIFF\0\0\0\0WAVE", "audio/wav")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(provider="embedded", batch_store=str(tmp_path / "store"))


def create(client: openai.OpenAI) -> Any:
    uploaded = client.files.create(file=("in.jsonl", json.dumps(LINE).encode()), purpose="batch")
    return client.batches.create(
        input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"a": "b"}
    )


def end_of(client: openai.OpenAI, name: str) -> Any:
    until = time.monotonic() + 60
    while (batch := client.batches.retrieve(name)).status not in ("completed", "failed"):
        assert time.monotonic() < until
        time.sleep(0.02)
    return batch


def test_a_batch_of_a_program_in_any_language(listen: Any, settings: Settings) -> None:
    client = openai.OpenAI(base_url=listen(settings=settings).base_url, api_key="any", max_retries=0)
    batch = end_of(client, create(client).id)
    assert batch.request_counts.completed == 1
    assert batch.metadata == {"a": "b"}
    (answer,) = client.files.content(batch.output_file_id).text.splitlines()
    assert json.loads(answer)["response"]["body"]["choices"][0]["message"]["content"]
    assert client.files.delete(batch.output_file_id).deleted


def test_a_gateway_goes_on_with_what_was_left(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "ensure_running", lambda *given: None)  # as a process that ended at once
    with OpenAI(settings=settings) as client:
        made = create(client)
    monkeypatch.undo()
    with listening(gateway(settings=settings)):
        for thread in list(service._running.values()):
            thread.join(60)
    with OpenAI(settings=settings) as client:
        assert client.batches.retrieve(made.id).status == "completed"


def test_a_gateway_whose_batches_cannot_be_read_answers(
    tmp_path: Path, settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*given: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(resources, "list_batches", unreadable)
    monkeypatch.setattr("llm_adapter.batch.store.Store.records", unreadable)
    with listening(gateway(settings=settings)) as server:
        assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert "not taken up" in caplog.text
    assert "Permission denied" in caplog.text


UPLOADS: dict[str, Any] = {
    "a transcription": lambda client: client.audio.transcriptions.create(
        model="whisper-1", file=WAV, temperature=0.5, timestamp_granularities=["word", "segment"], language="de"
    ),
    "images": lambda client: client.images.edit(image=[PNG, PNG], prompt="a = \u00fc", model="whisper-1", n=2),
    "a file that expires": lambda client: client.files.create(
        file=("a \u00e4.jsonl", b"{}"), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
    ),
    "a part of an upload": lambda client: client.uploads.parts.create("upload_1", data=b"\0\r\n--x\xff"),
}


@pytest.mark.parametrize("upload", UPLOADS.values(), ids=list(UPLOADS))
def test_a_form_is_what_the_client_sends(listen: Any, upload: Any) -> None:
    """The model too: a form once went on as it was, with a name that the profile's server does not know."""
    sent: list[bytes] = []

    def take(request: Any) -> Any:
        if request.method == "GET":
            return HTTPX.Response(404)
        boundary = request.headers["content-type"].partition("boundary=")[2]
        sent.append(request.content.replace(boundary.encode(), b"BOUNDARY"))
        return HTTPX.Response(200, json={})

    settings = Settings(provider="openai", base_url="http://127.0.0.1:9/v1", models={"whisper-1": "whisper-large"})
    http = HTTPX.MockTransport(take)
    with OpenAI(settings=settings, http_client=HTTPX.Client(transport=http)) as client:
        upload(client)
    behind = AsyncOpenAI(settings=settings, http_client=HTTPX.AsyncClient(transport=http))
    server = listen(client=behind)
    with openai.OpenAI(base_url=server.base_url, api_key="any", max_retries=0) as client:
        upload(client)
    direct, relayed = sent
    assert sorted(relayed.split(b"--BOUNDARY")) == sorted(direct.split(b"--BOUNDARY"))
    assert b"whisper-1" not in direct


def test_a_form_follows_the_rules_of_its_endpoint(listen: Any) -> None:
    """`temperature=0` is a number again, which Ollama's rows let pass; 0.5 they refuse."""
    with serving("ollama@0.32") as fake:
        server = listen(settings=fake.settings(), max_retries=0)
        client = openai.OpenAI(base_url=server.base_url, api_key="any", max_retries=0)
        with pytest.raises(openai.NotFoundError, match="not available on this Ollama"):
            client.audio.transcriptions.create(model="m", file=WAV, temperature=0)
        with pytest.raises(openai.BadRequestError, match="temperature"):
            client.audio.transcriptions.create(model="m", file=WAV, temperature=0.5)
        client.close()


FORM = b'--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--B'
BROKEN = {
    "no boundary": (FORM + b"--\r\n", "multipart/form-data"),
    "another boundary": (FORM + b"--\r\n", "multipart/form-data; boundary=C"),
    "breaks off": (FORM, "multipart/form-data; boundary=B"),
    "breaks off in a file": (
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf',
        "multipart/form-data; boundary=B",
    ),
    "a part without a name": (
        b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--\r\n",
        "multipart/form-data; boundary=B",
    ),
}


@pytest.mark.parametrize(("body", "kind"), BROKEN.values(), ids=list(BROKEN))
def test_what_is_no_form(listen: Any, settings: Settings, body: bytes, kind: str) -> None:
    server = listen(settings=settings)
    reply = httpx.post(f"{server.base_url}/files", content=body, headers={"content-type": kind})
    assert reply.status_code == 400
    assert "form" in reply.json()["error"]["message"]


NAMES = st.from_regex(r"[ab](\[[ab]?\]){0,2}|n|a\]\[", fullmatch=True)


@given(st.lists(st.tuples(NAMES, st.text("x1-", max_size=5)), max_size=6))
def test_no_field_is_lost(fields: list[tuple[str, str]]) -> None:
    """Whatever the names are, the SDK sends every value again."""
    parts = [f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields]
    body = "".join([*parts, "--B--\r\n"]).encode()
    arguments, _ = asyncio.run(read_form(body, "multipart/form-data; boundary=B"))
    again = Querystring().stringify_items(arguments, array_format="brackets")
    assert sorted(str(value) for _, value in again) == sorted(value for _, value in fields)
