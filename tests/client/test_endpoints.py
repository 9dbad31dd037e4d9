"""OpenAI's other endpoints on Ollama: passed on where a server can have them, else refused by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import openai
import pytest
from conftest import HOST
from drivers import said
from openai.types import image_generate_params
from openai.types.audio import transcription_create_params

from llm_adapter import Settings
from llm_adapter.providers.ollama import Ollama
from llm_adapter.providers.ollama.media import IMAGES, TRANSCRIPTIONS
from llm_adapter.testing import serving
from llm_adapter.translation.parameters import Rows
from llm_adapter.translation.unavailable import UNAVAILABLE, refuse

FILE = ("a.wav", b"RIFF\0\0\0\0WAVE", "audio/wav")
TEXT = {"text": "hello"}
# What is translated or passed on; everything else that the SDK can ask has its refusal.
SERVED = (
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/models",
    "/responses",
    "/conversations",
    "/audio/transcriptions",
    "/images/generations",
)


def sdk_paths() -> set[str]:
    """Every path in the SDK's resources, ids and f-strings cut off."""
    resources = Path(openai.__file__).parent / "resources"
    found = set()
    for file in resources.rglob("*.py"):
        found |= set(re.findall(r"""["'](/[a-z_]+(?:/[a-z_]+)*)[/"'{?]""", file.read_text("utf-8")))
    return found


def test_every_endpoint_of_the_sdk_is_served_or_refused() -> None:
    """A new SDK with a new endpoint turns this red, instead of a 404 in plain text."""
    ollama = Ollama()
    silent = [
        path
        for path in sdk_paths()
        if not any(path == one or path.startswith(f"{one}/") for one in SERVED)
        and ollama.endpoint("POST", path) is None
    ]
    assert len(sdk_paths()) > 30
    assert not silent


def test_every_refusal_gives_its_reason() -> None:
    """No refusal without a word on why; and none of what is served."""
    assert all(UNAVAILABLE.values())
    assert not {path for path in SERVED if Ollama().endpoint("POST", path) is refuse}


REFUSED: dict[str, Any] = {
    "/moderations": lambda client: client.moderations.create(input="x"),
    "/files": lambda client: client.files.create(file=b"x", purpose="assistants"),
    "/uploads": lambda client: client.uploads.create(bytes=1, filename="a", mime_type="text/plain", purpose="batch"),
    "/vector_stores": lambda client: client.vector_stores.create(),
    "/vector_stores/v": lambda client: client.vector_stores.delete("v"),
    "/fine_tuning/jobs": lambda client: client.fine_tuning.jobs.create(model="m", training_file="f"),
    "/evals/e": lambda client: client.evals.retrieve("e"),
    "/containers": lambda client: client.containers.create(name="c"),
    "/audio/speech": lambda client: client.audio.speech.create(input="x", model="m", voice="alloy"),
    "/audio/translations": lambda client: client.audio.translations.create(file=FILE, model="m"),
    "/images/edits": lambda client: client.images.edit(image=b"x", prompt="y"),
    "/images/variations": lambda client: client.images.create_variation(image=b"x"),
    "/chat/completions/c": lambda client: client.chat.completions.retrieve("c"),
    "/realtime/client_secrets": lambda client: client.realtime.client_secrets.create(),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the newest SDK's, for two of them
@pytest.mark.parametrize("path", REFUSED)
def test_refused_offline(path: str, run: Any, ollama: Any) -> None:
    """The SDK's NotFoundError, with the endpoint, the provider and what to do; nothing is sent, uploads neither."""
    with pytest.raises(openai.NotFoundError, match=f"`{path}` is not available on provider 'ollama'") as caught:
        run(REFUSED[path])
    assert (caught.value.code, ollama.count) == ("unsupported_endpoint", 0)
    assert "another profile" in str(caught.value)


# What the library does itself for servers that are known to lack it: these are only known by their answers.
KEPT_HERE_ALONE: dict[str, Any] = {
    "/files": lambda client: client.files.create(file=b"x", purpose="batch"),
    "/files/f": lambda client: client.files.retrieve("f"),
    "/files/f/content": lambda client: client.files.content("f"),
    "/batches": lambda client: client.batches.create(
        input_file_id="f", endpoint="/v1/chat/completions", completion_window="24h"
    ),
}
FAKES = ("ollama@0.24", "llamacpp", "vllm", "lmstudio", "openai")
WORDS = "`{}` is not available on provider '{}'.*: .*; make such calls with a client of another profile"


@pytest.fixture(scope="module", params=["embedded", *FAKES])
def without(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The settings of a provider that has none of these endpoints, and is not native Ollama."""
    if request.param == "embedded":
        yield Settings(provider="embedded")
        return
    with serving(request.param) as fake:
        yield Settings(base_url=f"{fake.url}/v1")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_same_refusal_everywhere(without: Settings, run: Any) -> None:
    """Each server has other words for a path that it lacks, or none: LM Studio says 200. Here they are one error."""

    def ask(client: Any) -> Any:
        if run.mode == "sync":
            return [_refusal(action, client) for action in elsewhere.values()]
        return _refusals(elsewhere.values(), client)

    elsewhere = REFUSED | ({} if without.provider == "embedded" else KEPT_HERE_ALONE)
    refusals = run(ask, settings=without)
    assert [(one.status_code, one.code) for one in refusals] == [(404, "unsupported_endpoint")] * len(elsewhere)
    for path, refusal in zip(elsewhere, refusals, strict=True):
        assert re.search(WORDS.format(path, without.provider), str(refusal))


def _refusal(action: Any, client: Any) -> Any:
    with pytest.raises(openai.NotFoundError) as caught:
        action(client)
    return caught.value


async def _refusals(actions: Any, client: Any) -> list[Any]:
    found = []
    for action in actions:
        with pytest.raises(openai.NotFoundError) as caught:
            await action(client)
        found.append(caught.value)
    return found


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (404, {"error": {"message": "No such File object: f", "type": "t", "param": "id", "code": None}}, "t", None),
        (404, {"error": {"message": "No such file", "code": "gone", "more": 1}}, None, "gone"),
        (429, {"error": {"message": "slow down", "type": "insufficient_quota"}}, "insufficient_quota", None),
        (404, {"detail": "no file f"}, "not_found_error", None),
        (500, "boom", "api_error", None),
    ],
    ids=str,
)
def test_a_gateway_that_has_it(status: int, body: Any, kind: Any, code: Any, run: Any, ollama: Any) -> None:
    """A server that keeps files says itself which one it does not have."""
    ollama.answer("/v1/models", body={"data": []}, method="GET")
    ollama.answer("/v1/files/f", status, body, method="GET")
    with pytest.raises(openai.APIStatusError) as caught:
        run(lambda client: client.files.retrieve("f"), settings=Settings(base_url=f"{HOST}/v1"))
    error = caught.value
    assert (error.status_code, error.type, error.code) == (status, kind, code)
    words = body if isinstance(body, str) else body.get("detail") or body["error"]["message"]
    assert words in said(error)


def test_refused_list(ollama: Any) -> None:
    """A page of a list, which the async client only asks for when it is read."""
    from llm_adapter import OpenAI

    client = OpenAI(settings=Settings(provider="ollama", host=HOST))
    with pytest.raises(openai.NotFoundError, match="is not available on provider 'ollama'"):
        client.chat.completions.list()
    assert ollama.count == 0


def test_refused_as_a_stream(ollama: Any) -> None:
    """The binary endpoints are read as streams."""
    from llm_adapter import OpenAI

    client = OpenAI(settings=Settings(provider="ollama", host=HOST))
    speech = client.audio.speech.with_streaming_response.create(input="x", model="m", voice="alloy")
    with pytest.raises(openai.NotFoundError, match="no speech is made there"), speech:
        pass


@pytest.mark.filterwarnings("ignore:model 'openai/:llm_adapter.AdapterWarning")
def test_another_provider_by_the_models_prefix(run: Any, ollama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the refusal recommends works, for a form as for JSON."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-o")
    router = ollama._router
    url = "https://api.openai.com/v1"
    moderated = router.post(f"{url}/moderations").respond(json={"id": "x", "model": "o", "results": []})
    heard = router.post(f"{url}/audio/transcriptions").respond(json=TEXT)
    run(lambda client: client.moderations.create(input="x", model="openai/omni-moderation-latest"))
    assert b'"omni-moderation-latest"' in moderated.calls.last.request.content
    run(lambda client: client.audio.transcriptions.create(file=FILE, model="openai/whisper-1"))
    request = heard.calls.last.request
    assert b"\r\n\r\nwhisper-1\r\n" in request.read()
    assert request.headers["authorization"] == "Bearer sk-o"


def test_transcription(run: Any, ollama: Any) -> None:
    """The form goes on as it is, but for the model's real name."""
    ollama.answer("/v1/audio/transcriptions", body=TEXT)
    settings = Settings(provider="ollama", host=HOST, models={"whisper-1": "gemma4"})
    heard = run(
        lambda client: client.audio.transcriptions.create(file=FILE, model="whisper-1", language="en"),
        settings=settings,
    )
    assert heard.text == "hello"
    sent = ollama.request.read()
    assert b"\r\n\r\ngemma4\r\n" in sent
    assert b"\r\n\r\nen\r\n" in sent
    assert b"RIFF\0\0\0\0WAVE" in sent
    assert ollama.request.headers["content-type"].startswith("multipart/form-data; boundary=")


def test_transcription_as_text(run: Any, ollama: Any) -> None:
    """A success is the server's own, whatever its type."""
    ollama.answer("/v1/audio/transcriptions", body="hello\n", **{"content-type": "text/plain"})
    make = {"file": FILE, "model": "m", "response_format": "text"}
    assert run(lambda client: client.audio.transcriptions.create(**make)) == "hello\n"
    assert b"\r\n\r\ntext\r\n" in ollama.request.read()


def test_image_generation(run: Any, ollama: Any) -> None:
    """JSON goes on, extras with it."""
    ollama.answer("/v1/images/generations", body={"created": 1, "data": [{"b64_json": "aQ=="}]})
    made = run(
        lambda client: client.images.generate(prompt="p", model="flux", size="512x512", n=1, extra_body={"seed": 3})
    )
    assert made.data[0].b64_json == "aQ=="
    assert ollama.sent == {"prompt": "p", "model": "flux", "size": "512x512", "seed": 3}


PASSED: dict[str, Any] = {
    "/audio/transcriptions": lambda client: client.audio.transcriptions.create(file=FILE, model="m"),
    "/images/generations": lambda client: client.images.generate(prompt="p", model="m"),
}


@pytest.mark.parametrize("path", PASSED)
def test_a_server_without_it(path: str, run: Any, ollama: Any) -> None:
    """The plain-text 404 becomes an error that names the endpoint, the versions, and what to do."""
    ollama.answer(f"/v1{path}", 404, "404 page not found", **{"content-type": "text/plain"})
    with pytest.raises(openai.NotFoundError, match=rf"`{path}` is not available on this Ollama .*0\.\d+\.\d") as caught:
        run(PASSED[path])
    assert caught.value.code == "unsupported_endpoint"


@pytest.mark.parametrize("path", PASSED)
def test_its_other_errors(path: str, run: Any, ollama: Any) -> None:
    """A missing model is told as one; a body that nobody understands keeps its status."""
    ollama.answer(f"/v1{path}", 404, {"error": {"message": "model 'm' not found", "type": "not_found_error"}})
    with pytest.raises(openai.NotFoundError) as caught:
        run(PASSED[path])
    assert "model 'm' not found" in said(caught.value)
    assert caught.value.code == "model_not_found"
    ollama.answer(f"/v1{path}", 500, "boom")
    with pytest.raises(openai.InternalServerError, match="boom"):
        run(PASSED[path])


@pytest.mark.parametrize("path", PASSED)
def test_raw_and_streamed_responses(path: str, ollama: Any) -> None:
    """LangChain's and litellm's way."""
    from llm_adapter import OpenAI

    client = OpenAI(settings=Settings(provider="ollama", host=HOST))
    resource = client.audio.transcriptions if "audio" in path else client.images
    name, given = ("create", {"file": FILE}) if "audio" in path else ("generate", {"prompt": "p"})
    ollama.answer(f"/v1{path}", body=TEXT)
    raw = getattr(resource.with_raw_response, name)(model="m", **given)
    assert raw.http_response.json() == TEXT
    with getattr(resource.with_streaming_response, name)(model="m", **given) as streamed:
        assert streamed.json() == TEXT
    ollama.answer(f"/v1{path}", 404, "404 page not found")
    with (
        pytest.raises(openai.NotFoundError, match="not available on this Ollama server"),
        getattr(resource.with_streaming_response, name)(model="m", **given),
    ):
        pass


@pytest.mark.parametrize(
    ("path", "arguments", "param"),
    [
        ("/audio/transcriptions", {"response_format": "srt"}, "response_format"),
        ("/audio/transcriptions", {"temperature": 0.5}, "temperature"),
        ("/audio/transcriptions", {"stream": True}, "stream"),
        ("/audio/transcriptions", {"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ("/images/generations", {"n": 2}, "n"),
        ("/images/generations", {"response_format": "url"}, "response_format"),
        ("/images/generations", {"quality": "hd"}, "quality"),
    ],
    ids=str,
)
def test_what_the_server_would_leave_out(path: str, arguments: Any, param: str, run: Any, ollama: Any) -> None:
    """Ollama's /v1 says nothing of what it does not do: we do."""

    def make(client: Any) -> Any:
        if "audio" in path:
            return client.audio.transcriptions.create(file=FILE, model="m", **arguments)
        return client.images.generate(prompt="p", **arguments)

    with pytest.raises(openai.BadRequestError, match=f"`{param}`") as caught:
        run(make)
    assert (caught.value.param, ollama.count) == (param, 0)


TABLES: dict[str, tuple[Rows, Any]] = {
    "transcriptions": (TRANSCRIPTIONS, transcription_create_params.TranscriptionCreateParamsNonStreaming),
    "images": (IMAGES, image_generate_params.ImageGenerateParamsNonStreaming),
}


@pytest.mark.parametrize(("rows", "params"), TABLES.values(), ids=TABLES)
def test_every_parameter_has_a_row(rows: Rows, params: Any) -> None:
    """As for chat: nothing that the SDK can send falls through."""
    assert not set(get_type_hints(params)) - set(rows)
    assert all(row.note for row in rows.values())


def test_a_form_on_a_v1_server(run: Any, ollama: Any) -> None:
    """Aliases hold for forms too, on every provider."""
    ollama.answer("/v1/models", body={"data": []}, method="GET")
    ollama.answer("/v1/audio/transcriptions", body=TEXT)
    settings = Settings(provider="openai", base_url=f"{HOST}/v1", models={"whisper-1": "large-v3"})
    heard = run(lambda client: client.audio.transcriptions.create(file=FILE, model="whisper-1"), settings=settings)
    assert heard.text == "hello"
    asked, sent = (one.request for one in ollama._router.calls)
    assert (asked.url.path, asked.read()) == ("/v1/models", b"")  # the file goes nowhere else
    assert b"\r\n\r\nlarge-v3\r\n" in sent.read()
    assert FILE[1] in sent.read()
    assert sent.headers["content-type"].startswith("multipart/form-data; boundary=")


def test_a_form_after_a_load(run: Any, ollama: Any) -> None:
    """Where a model is loaded before, the form follows whole."""
    ollama.answer("/api/generate", body={"model": "gemma4", "done": True})
    ollama.answer("/v1/audio/transcriptions", body=TEXT)
    settings = Settings(provider="ollama", host=HOST, preload=("gemma4",))
    heard = run(lambda client: client.audio.transcriptions.create(file=FILE, model="gemma4"), settings=settings)
    loads = [one.request for one in ollama._router.calls if one.request.url.path == "/api/generate"]
    assert heard.text == "hello"
    assert FILE[1] in ollama.request.read()
    assert [FILE[1] in one.read() for one in loads] == [False]
