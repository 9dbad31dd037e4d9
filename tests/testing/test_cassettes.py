"""Record and replay: real replies of a llama.cpp, recorded with the SDK's client or ours, and nothing there to answer
when they are played."""

from __future__ import annotations

import asyncio
import json
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from drivers import HTTPX, SYNC_AND_ASYNC, Body, Play, driven, entered, every, first, left, mode
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import llm_adapter
from llm_adapter import Settings
from llm_adapter.providers import PROVIDERS
from llm_adapter.testing import Cassette, CassetteError, CassetteWarning, cassette
from llm_adapter.testing.cassettes.matching import assemble_stream, canonical
from llm_adapter.testing.cassettes.scrubbing import Scrubber
from llm_adapter.testing.cassettes.tape import Line, RecordedRequest, body, events, load_lines, save_lines
from llm_adapter.testing.fake import serving

EMBEDDED = Settings(provider="embedded")
HI: list[Any] = [{"role": "user", "content": "Hello"}]
CHAT: dict[str, Any] = {"model": "tiny-chat", "messages": HI, "max_tokens": 8}
NOWHERE = "http://127.0.0.1:9/v1"  # the port of "discard": nobody listens
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
plays = pytest.mark.parametrize("play", SYNC_AND_ASYNC, ids=mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "x.jsonl"


class Answer(BaseModel):
    answer: str


def plain(play: Play, **options: Any) -> Any:
    """The SDK's own client, on the embedded server's /v1."""
    address = PROVIDERS["embedded"].start(EMBEDDED, "/chat/completions")  # type: ignore[attr-defined]
    return sdk(play, base_url=f"{address.root}/v1", api_key=address.api_key, **options)


def sdk(play: Play, **options: Any) -> Any:
    kind = openai.OpenAI if play.mode == "sync" else openai.AsyncOpenAI
    return kind(**{"api_key": "placeholder", "max_retries": 0, **options})


def ours(play: Play, **options: Any) -> Any:
    kind = llm_adapter.OpenAI if play.mode == "sync" else llm_adapter.AsyncOpenAI
    return kind(**{"settings": EMBEDDED, "max_retries": 0, **options})


def gone(play: Play) -> Any:
    """A client whose server is not there."""
    return sdk(play, base_url=NOWHERE)


def our_gone(play: Play) -> Any:
    return ours(play, settings=Settings(provider="ollama", host="http://127.0.0.1:9"))


def run(play: Play, client: Any, script: Callable[[Any], Any]) -> Any:
    """A script's result, with a client as the play has it, sync or async, which is closed then."""

    async def main() -> Any:
        if play.mode == "sync":
            with client:
                return await driven(script(client))
        async with client:
            return await driven(script(client))

    return asyncio.run(main())


def plainly(value: Any) -> Any:
    """Objects as their JSON: ours have `.adapter` as an object, the SDK's as a dictionary."""
    if isinstance(value, openai.BaseModel):
        return value.to_dict(mode="json")
    return type(value)(map(plainly, value)) if isinstance(value, (list, tuple)) else value


def whole(client: Any) -> Any:
    return (yield client.chat.completions.create(**CHAT))


def streamed(client: Any) -> Any:
    return (yield every((yield client.chat.completions.create(**CHAT, stream=True))))


def raw(client: Any) -> Any:
    response = yield client.chat.completions.with_raw_response.create(**CHAT)
    return (
        response.status_code,
        response.http_response.json(),
        response.elapsed > response.elapsed * 0,
        response.parse(),
    )


def raw_stream(client: Any) -> Any:
    manager = client.chat.completions.with_streaming_response.create(**CHAT)
    response = yield entered(manager)
    parsed = yield response.parse()
    yield left(manager)
    return parsed


def parsed(client: Any) -> Any:
    reply = yield client.chat.completions.parse(
        model="tiny-chat", messages=HI, response_format=Answer, max_tokens=60, temperature=0
    )
    return reply.choices[0].message.parsed, reply.usage


def listed(client: Any) -> Any:
    page = yield client.models.list()
    return page.data


def wrong(client: Any) -> Any:
    try:
        yield client.chat.completions.create(model="tiny-chat", messages="no list")
    except openai.APIStatusError as error:
        return type(error), error.status_code, error.body


def several(client: Any) -> Any:
    replies = []
    for seed in (1, 2, 1):  # sampled: equal calls may be answered differently
        reply = yield client.chat.completions.create(**CHAT, seed=seed)
        replies.append(reply)
    return replies


def responded(client: Any) -> Any:
    reply = yield client.responses.create(model="tiny-chat", input="Hello", max_output_tokens=16)
    stream = yield client.responses.create(model="tiny-chat", input="Hello", max_output_tokens=16, stream=True)
    return [reply, *(yield every(stream))]


def completed(client: Any) -> Any:
    reply = yield client.completions.create(model="tiny-chat", prompt="Hello", max_tokens=4)
    stream = yield client.completions.create(model="tiny-chat", prompt="Hello", max_tokens=4, stream=True)
    return [reply, *(yield every(stream))]


SCRIPTS = {
    one.__name__: one
    for one in (whole, streamed, raw, raw_stream, parsed, listed, wrong, several, responded, completed)
}
RECORDERS = {"plain": plain, "ours": ours}
PLAYERS = {"plain": gone, "ours": our_gone}


@plays
@pytest.mark.parametrize("recorder", RECORDERS)
@pytest.mark.parametrize("name", SCRIPTS)
def test_what_was_answered_is_answered_again(name: str, recorder: str, play: Play, path: Path) -> None:
    """The same objects, chunk for chunk, with no server there: by the client that recorded, and after the switch."""
    with cassette(path):
        recorded = run(play, RECORDERS[recorder](play), SCRIPTS[name])
    for player in PLAYERS:
        with cassette(path, "none", strict=True):
            played = run(play, PLAYERS[player](play), SCRIPTS[name])
        assert plainly(played) == plainly(recorded)
        assert player != recorder or played == recorded


@plays
def test_a_cassette_of_one_colour_is_played_in_the_other(play: Play, path: Path) -> None:
    other = next(one for one in SYNC_AND_ASYNC if one is not play)
    with cassette(path):
        recorded = run(play, plain(play), streamed)
    with cassette(path, "none"):
        assert run(other, our_gone(other), streamed) == recorded


@plays
def test_vectors(play: Play, path: Path) -> None:
    """As the SDK asks for them, in base64."""

    def embedded(client: Any) -> Any:
        reply = yield client.embeddings.create(model="tiny-embed", input=["a", "b"])
        return [one.embedding for one in reply.data]

    with cassette(path):
        recorded = run(play, ours(play), embedded)
    for player in PLAYERS.values():
        with cassette(path, "none"):
            assert run(play, player(play), embedded) == recorded


def test_the_file_holds_openais_json(path: Path) -> None:
    """One line a call: the call's own arguments, before aliases, and OpenAI's reply; no headers of the request."""
    aliased = ours(SYNC_AND_ASYNC[0], settings=Settings(provider="embedded", models={"gpt-4o-mini": "tiny-chat"}))
    with aliased, cassette(path):
        aliased.chat.completions.create(model="gpt-4o-mini", messages=HI, extra_body={"seed": 1}, max_tokens=8)
    [line] = map(json.loads, path.read_text("utf-8").splitlines())
    assert line["request"] == {"model": "gpt-4o-mini", "messages": HI, "max_tokens": 8, "seed": 1}
    assert (line["method"], line["path"], line["status"]) == ("POST", "/chat/completions", 200)
    assert line["reply"]["object"] == "chat.completion"
    assert line["meta"].keys() == {"provider", "sdk", "seconds"}
    assert line["meta"]["provider"] == "embedded"
    assert set(line["headers"]) <= {"content-type", "x-llm-adapter"}


def test_a_fault_of_the_library_under_the_sdk(path: Path) -> None:
    """A client of the caller's own, of the older httpx, is recorded and played like any other."""
    import httpx

    def answered(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"id": "x", "object": "chat.completion", "choices": []})

    def refused(request: httpx.Request) -> httpx.Response:
        raise AssertionError("played calls do not reach the transport")

    def call(handler: Any) -> Any:
        http = httpx.Client(transport=httpx.MockTransport(handler))
        with openai.OpenAI(api_key="placeholder", http_client=http, max_retries=0) as client:
            return client.chat.completions.create(**CHAT)

    with cassette(path):
        recorded = call(answered)
    with cassette(path):
        assert call(refused) == recorded


def test_compressed_replies(path: Path) -> None:
    """What came compressed is readable in the file."""
    import gzip

    data = b'data: {"id": "x", "choices": []}\n\ndata: [DONE]\n\n'
    headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}

    def answered(request: Any) -> Any:
        return HTTPX.Response(200, headers=headers, stream=Body(gzip.compress(data)))

    play = SYNC_AND_ASYNC[0]
    with cassette(path):
        recorded = list(sdk(play, http_client=play.http(answered)).chat.completions.create(**CHAT, stream=True))
    assert load_lines(path)[0].events == [{"id": "x", "choices": []}, "[DONE]"]
    with cassette(path):
        assert list(gone(play).chat.completions.create(**CHAT, stream=True)) == recorded


# --- streams that do not come to their end ---------------------------------------------------------------------------


@plays
def test_an_abandoned_stream(play: Play, path: Path) -> None:
    """It is marked as such; who reads on than the recording did is told so, and gets no end that was none."""

    def begun(client: Any) -> Any:
        stream = yield client.chat.completions.create(**{**CHAT, "max_tokens": 200}, stream=True)
        chunk = yield first(stream)
        yield stream.close()
        return chunk

    def read_on(client: Any) -> Any:
        stream = yield client.chat.completions.create(**{**CHAT, "max_tokens": 200}, stream=True)
        return (yield every(stream))

    with cassette(path):
        recorded = run(play, plain(play), begun)
    assert load_lines(path)[0].abandoned
    with cassette(path):
        assert run(play, gone(play), begun) == recorded
    with pytest.raises(CassetteError, match="read no further"), cassette(path):
        run(play, gone(play), read_on)


def test_a_stream_that_nobody_closes(path: Path) -> None:
    with plain(SYNC_AND_ASYNC[0]) as client:
        with cassette(path):
            stream = client.chat.completions.create(**CHAT, stream=True)
            next(iter(stream))
        stream.close()
    assert load_lines(path)[0].abandoned


@plays
def test_a_cut_stream(play: Play, path: Path) -> None:
    """The connection breaks where it broke."""
    pieces = (b'data: {"id": "x", "choices": []}\n\n', HTTPX.ReadError("gone"))

    def answered(request: Any) -> Any:
        return HTTPX.Response(200, headers={"content-type": "text/event-stream"}, stream=Body(*pieces))

    def broken(client: Any) -> Any:
        stream = yield client.chat.completions.create(**CHAT, stream=True)
        chunk = yield first(stream)
        try:
            yield first(stream)
        except Exception as error:
            return chunk, type(error)

    with cassette(path):
        recorded = run(play, sdk(play, http_client=play.http(answered)), broken)
    assert recorded[1] in (openai.APIConnectionError, HTTPX.ReadError)
    with cassette(path):
        assert run(play, gone(play), broken) == recorded


@plays
@pytest.mark.parametrize(
    ("kind", "raised"), [("ConnectError", "APIConnectionError"), ("ReadTimeout", "APITimeoutError")]
)
def test_no_reply(kind: str, raised: str, play: Play, path: Path) -> None:
    """A call that got none gets none again, and the same error."""

    def failing(request: Any) -> Any:
        raise getattr(HTTPX, kind)("nobody there")

    with cassette(path), pytest.raises(getattr(openai, raised)):
        run(play, sdk(play, http_client=play.http(failing)), whole)
    for player in PLAYERS.values():
        with cassette(path), pytest.raises(getattr(openai, raised)):
            run(play, player(play), whole)


def test_retries_are_recorded_one_by_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK repeats as it did, without waiting."""
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    play, answers = SYNC_AND_ASYNC[0], [500, 200]

    def answered(request: Any) -> Any:
        reply = {"id": "x", "object": "chat.completion", "choices": []}
        return HTTPX.Response(answers.pop(0), json=reply, headers={"retry-after-ms": "1"})

    with cassette(path):
        whole_reply = sdk(play, http_client=play.http(answered), max_retries=1).chat.completions.create(**CHAT)
    assert [line.status for line in load_lines(path)] == [500, 200]
    waits.clear()
    with cassette(path, strict=True):
        assert sdk(play, base_url=NOWHERE, max_retries=1).chat.completions.create(**CHAT) == whole_reply
    assert len(waits) == 1
    assert waits[0] < 0.01


# --- matching --------------------------------------------------------------------------------------------------------

EQUAL: list[tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, ()),
    ({"temperature": 1}, {"temperature": 1.0}, ()),
    ({"stop": None}, {}, ()),
    ({"stream": False}, {}, ()),
    ({"messages": [{"content": None, "role": "assistant"}]}, {"messages": [{"role": "assistant"}]}, ()),
    ({"user": "a"}, {"user": "b"}, ("user",)),
    ({"user": "a"}, {}, ("user",)),
    ({"metadata": {"run_id": 1, "x": 1}}, {"metadata": {"run_id": 2, "x": 1}}, ("metadata.run_id",)),
    ({"messages": [{"content": "a"}]}, {"messages": [{"content": "b"}]}, ("messages.*.content",)),
    ({"messages": [1, 2]}, {"messages": [1, 3]}, ("messages.1",)),
]
DIFFERENT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"temperature": 0}, {"temperature": 0.1}),
    ({"stream": True}, {}),
    ({"stop": ["a", "b"]}, {"stop": ["b", "a"]}),
    ({"n": 1}, {}),
    ({"metadata": {"x": 1}}, {"metadata": {"x": 2}}),
    ({"seed": 1}, {"seed": "1"}),
]


@pytest.mark.parametrize(("one", "other", "ignore"), EQUAL, ids=str)
def test_equal_calls(one: Any, other: Any, ignore: Any) -> None:
    assert canonical(RecordedRequest("POST", "/x", one), ignore) == canonical(
        RecordedRequest("POST", "/x", other), ignore
    )


@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=str)
def test_different_calls(one: Any, other: Any) -> None:
    assert canonical(RecordedRequest("POST", "/x", one)) != canonical(RecordedRequest("POST", "/x", other))


def written(path: Path, *requests: dict[str, Any], **more: Any) -> Path:
    reply = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
    lines = [Line("POST", "/chat/completions", request=one, status=200, reply=reply, **more) for one in requests]
    save_lines(path, lines)
    return path


def test_a_drift_is_shown(path: Path) -> None:
    """What was asked is compared with the nearest recording, field by field."""
    written(path, {**CHAT, "temperature": 0.2}, {"model": "other", "messages": []})
    with pytest.raises(CassetteError) as caught, cassette(path):
        gone(SYNC_AND_ASYNC[0]).chat.completions.create(**CHAT, temperature=0.5)
    told = str(caught.value).split("\n")
    assert told[0] == "nothing in cassettes/x.jsonl answers POST /chat/completions; the nearest is line 1:"
    assert [line for line in told if line[:1] in "+-"][2:] == ['-    "temperature": 0.2', '+    "temperature": 0.5']
    assert "pytest --llm-record all" in told[-1]


def test_a_drift_in_a_long_prompt(path: Path) -> None:
    """The sentence that differs is seen, and not two walls of text."""
    prompt = "You are a helpful assistant. Answer in one word.\\n" * 40
    written(path, {**CHAT, "messages": [{"role": "user", "content": f"{prompt}Today is Monday. Go on."}]})
    messages: Any = [{"role": "user", "content": f"{prompt}Today is Tuesday. Go on."}]
    with pytest.raises(CassetteError) as caught, cassette(path):
        gone(SYNC_AND_ASYNC[0]).chat.completions.create(**{**CHAT, "messages": messages})
    told = str(caught.value).split("\n")
    assert [line for line in told if line[:1] in "+-"][2:] == ["-Today is Monday. ", "+Today is Tuesday. "]


def test_one_field_to_ignore(path: Path) -> None:
    """A name alone is a name, and not its letters."""
    written(path, {**CHAT, "temperature": 0.2})
    with cassette(path, ignore="temperature"):
        gone(SYNC_AND_ASYNC[0]).chat.completions.create(**CHAT, temperature=0.5)


def test_a_drift_that_is_caught_fails_all_the_same(path: Path) -> None:
    """Code that catches every error does not hide it, nor do the SDK's retries."""
    written(path, CHAT)
    client = sdk(SYNC_AND_ASYNC[0], base_url=NOWHERE, max_retries=5)
    with pytest.raises(CassetteError, match="the nearest is line 1"), cassette(path), suppress(Exception):
        client.chat.completions.create(**CHAT, n=2)


def test_once_more_than_recorded(path: Path) -> None:
    written(path, CHAT)
    with cassette(path):
        gone(SYNC_AND_ASYNC[0]).chat.completions.create(**CHAT)
    with pytest.raises(CassetteError, match=r"was recorded 1 time in .* asked once more"), cassette(path):
        [gone(SYNC_AND_ASYNC[0]).chat.completions.create(**CHAT) for _ in range(2)]


def test_what_is_not_asked_for_is_told(path: Path) -> None:
    """A warning, or an error with `strict`."""
    written(path, CHAT, {"model": "unused"})
    with pytest.warns(CassetteWarning, match=r'line 2: POST /chat/completions {"model": "unused"}'), cassette(path):
        gone(SYNC_AND_ASYNC[0]).chat.completions.create(**CHAT)
    with pytest.raises(CassetteError, match="not asked for"), cassette(path, strict=True):
        pass


# --- modes -----------------------------------------------------------------------------------------------------------


def answering(text: str) -> Any:
    def answered(request: Any) -> Any:
        return HTTPX.Response(200, json={"id": text, "object": "chat.completion", "choices": []})

    return sdk(SYNC_AND_ASYNC[0], http_client=SYNC_AND_ASYNC[0].http(answered))


def told(path: Path, text: str, mode: Any = None) -> str:
    with cassette(path, mode):
        return str(answering(text).chat.completions.create(**CHAT).id)


def test_modes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """once records what is missing, none does not, all does always; CI alone turns the first into the second."""
    with pytest.raises(CassetteError, match=r'there is no cassette at .*: its mode is "none"\n.* mode="once"'):
        told(path, "a", "none")
    assert not path.exists()
    assert [told(path, "a"), told(path, "b"), told(path, "c", "all"), told(path, "d")] == ["a", "a", "c", "c"]
    monkeypatch.setenv("CI", "true")
    path.unlink()
    with pytest.raises(CassetteError, match=r"the variable CI is set, .*\n.*: pytest --llm-record once$"):
        told(path, "e")
    with pytest.raises(ValueError, match="expected one of none, once, all"):
        Cassette(path, "new")  # type: ignore[arg-type]


def test_a_failed_block_writes_nothing(path: Path) -> None:
    """Not half a cassette, and not over a whole one."""
    told(path, "a")
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), cassette(path, "all"):
        assert answering("b").chat.completions.create(**CHAT).id == 1 / 0
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_clients_are_let_go(path: Path) -> None:
    """After a cassette, its clients call as before; those that were made before it are recorded."""
    client = answering("a")
    with cassette(path):
        client.chat.completions.create(**CHAT)
    assert client.chat.completions.create(**CHAT, n=7).id == "a"
    assert not {"_build_request", "_send_request"} & vars(client).keys()
    assert len(load_lines(path)) == 1


def test_one_at_a_time(path: Path) -> None:
    with cassette(path), pytest.raises(RuntimeError, match="is in use: one at a time"), cassette(path):
        pass


def test_an_upload_is_refused(path: Path) -> None:
    """A cassette holds no files, and says so instead of forgetting them."""
    with pytest.raises(CassetteError, match="sends a file"), cassette(path):
        gone(SYNC_AND_ASYNC[0]).files.create(file=b"x", purpose="assistants")


def test_bytes_are_kept(path: Path) -> None:
    """A reply that is neither JSON nor text."""

    def answered(request: Any) -> Any:
        return HTTPX.Response(200, headers={"content-type": "audio/mpeg"}, content=b"\xff\x00")

    def spoken(client: Any) -> bytes:
        return bytes(client.audio.speech.create(model="m", voice="alloy", input="x").content)

    with cassette(path):
        spoken(sdk(SYNC_AND_ASYNC[0], http_client=SYNC_AND_ASYNC[0].http(answered)))
    with cassette(path):
        assert spoken(gone(SYNC_AND_ASYNC[0])) == b"\xff\x00"


def test_a_file_that_is_none(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"method": "POST", "path": "/x"}\nnonsense\n', encoding="utf-8")
    with pytest.raises(CassetteError, match=r"x\.jsonl, line 2: not a line of a cassette"):
        Cassette(path, "none")


FIRST = '{"method": "GET", "path": "/models"'
EDITED = {
    FIRST + ', "status": 200,}': "Illegal trailing comma|Expecting property name",
    FIRST + ', "repyl": {}}': "it has no field 'repyl'; did you mean 'reply'",
    '{"path": "/models"}': "'method' is missing",
    FIRST + ', "status": "200"}': "'status' cannot be \"200\"",
    FIRST + ', "meta": null}': "'meta' cannot be null",
    "[]": "it is no JSON object",
    "<<<<<<< HEAD": "a merge was not finished here",
    FIRST + ', "text": "\udcff"}': "it is not UTF-8",
}


@pytest.mark.parametrize("line", EDITED)
def test_a_line_that_was_edited(path: Path, line: str) -> None:
    """People edit recordings by hand: what is wrong is said, and in which line."""
    path.parent.mkdir()
    path.write_bytes(f"\ufeff{FIRST}}}\r\n\n".encode() + line.encode(errors="surrogateescape"))
    with pytest.raises(
        CassetteError, match=rf"x\.jsonl, line 3: not a line of a cassette: .*({EDITED[line]}).*; mend it"
    ):
        Cassette(path, "none")


# --- secrets ---------------------------------------------------------------------------------------------------------

KEY = "sk-proj-abcdefgh12345678"
OWN = "a-password-of-ours"


def test_no_secret_survives(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it stands: headers, arguments, replies, names of fields, pieces of a stream. What is left is played."""
    monkeypatch.setenv("OUR_API_TOKEN", OWN)
    monkeypatch.setenv("SHORT_TOKEN", "true")
    chunks = [
        {"id": "x", "choices": [{"index": 0, "delta": {"content": one}}]}
        for one in ("a sk-", "proj-abcdefgh", "12345678 b")
    ]
    stream = "".join(f"data: {json.dumps(one)}\n\n" for one in chunks) + "data: [DONE]\n\n"

    def answered(request: Any) -> Any:
        if json.loads(request.content).get("stream"):
            headers = {"content-type": "text/event-stream", "set-cookie": KEY}
            return HTTPX.Response(200, headers=headers, content=stream)
        said = f"{KEY} {OWN} Bearer {KEY} client-key-1234 true"
        message = {"role": "assistant", "content": said}
        return HTTPX.Response(
            200, json={"id": "x", "choices": [{"index": 0, "message": message}]}, headers={"x-request-id": KEY}
        )

    def calls(client: Any) -> list[Any]:
        said = [{"role": "user", "content": f"my key is {KEY}, {OWN}; client-key-1234"}]
        one = client.chat.completions.create(model="m", messages=said, metadata={KEY: "x"}, user="me@x.test")
        return [one, *client.chat.completions.create(model="m", messages=said, stream=True)]

    play = SYNC_AND_ASYNC[0]
    client = sdk(play, api_key="client-key-1234", default_headers={"x-own": OWN}, http_client=play.http(answered))
    options: Any = {"scrub": lambda text: text.replace("me@x.test", "someone")}
    with cassette(path, **options):
        calls(client)
    text = path.read_text("utf-8")
    for secret in (KEY, OWN, "client-key-1234", "abcdefgh", "12345678", "me@x.test", "authorization", "set-cookie"):
        assert secret not in text.lower()
    assert '"user": "someone"' in text
    assert "true" in text
    with cassette(path, strict=True, **options):
        replayed = calls(client)
    assert "".join(one.choices[0].delta.content for one in replayed[1:]) == "a [scrubbed] b"


@given(st.lists(st.sampled_from(["", " | ", KEY[:3], KEY[3:9], KEY[9:], f"{KEY} ", "y"]), max_size=8))
def test_pieces_of_a_secret(pieces: list[str]) -> None:
    """However a stream cuts it, the key is not in what is left; and nothing else is lost."""
    line = Scrubber({"A_KEY": KEY}).clean_line(Line("POST", "/x", events=[{"delta": piece} for piece in pieces]))
    assert line.events is not None
    kept = "".join(event["delta"] for event in line.events)
    assert KEY not in kept
    assert kept.count(" | ") == pieces.count(" | ")


def test_secrets_by_their_place() -> None:
    """In a URL, and in a field that is named for one; words of that name elsewhere stay."""
    url = "https://me:pass-word@host.test/x?api_key=abcd1234efgh&page=2&sig=0123456789ab#end"
    pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"
    kept = {
        "filter": {"key": "genre", "value": "jazz"},
        "properties": {"password": {"type": "string"}},
        "max_tokens": 4,
    }
    server = {"authorization": "tok-of-a-server", "headers": {"Authorization": "Basic bWU6cHc=", "X-Api-Key": "short"}}
    asked = RecordedRequest(
        "POST", "/x", {"url": url, "pem": pem, "tools": [server], **kept}, {"key": "q-secret", "page": "2"}
    )
    clean = Scrubber({}).clean_request(asked)
    gone = {"authorization": "[scrubbed]", "headers": {"Authorization": "[scrubbed]", "X-Api-Key": "[scrubbed]"}}
    left = "https://[scrubbed]@host.test/x?[scrubbed]&page=2&[scrubbed]#end"
    assert clean.request == {"url": left, "pem": "[scrubbed]", "tools": [gone], **kept}
    assert clean.query == {"key": "[scrubbed]", "page": "2"}
    assert Scrubber({}).clean_request(clean) == clean


def test_pictures_are_told_apart_by_their_digest(path: Path) -> None:
    """The file does not hold the picture, and another picture is another call."""

    def call(client: Any, picture: str) -> Any:
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}
        return client.chat.completions.create(model="m", messages=[{"role": "user", "content": [part]}])

    with cassette(path):
        call(answering("a"), "AAAA" * 500)
    assert path.stat().st_size < 1000
    with cassette(path):
        assert call(gone(SYNC_AND_ASYNC[0]), "AAAA" * 500).id == "a"
    with pytest.raises(CassetteError, match="sha256"), cassette(path):
        call(gone(SYNC_AND_ASYNC[0]), "BBBB" * 500)


# --- the file --------------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
LINES = st.builds(
    Line,
    st.sampled_from(["GET", "POST"]),
    TEXT.map("/{}".format),
    request=VALUES,
    status=st.none() | st.integers(200, 599),
    reply=VALUES,
    events=st.none() | st.lists(TEXT | st.dictionaries(TEXT, VALUES, max_size=2), max_size=3),
    text=st.none() | TEXT,
    abandoned=st.booleans(),
    meta=st.dictionaries(TEXT, VALUES, max_size=2),
)


@settings(max_examples=50)
@given(st.lists(LINES, max_size=3))
def test_the_file_gives_back_what_was_put_in(tmp_path_factory: pytest.TempPathFactory, lines: list[Line]) -> None:
    """Line ends inside texts, U+2028, quotes, nothing: all of it comes back."""
    path = tmp_path_factory.mktemp("tape") / "x.jsonl"
    save_lines(path, lines)
    assert load_lines(path) == lines


PAYLOADS = st.dictionaries(st.sampled_from(["id", "delta", "x"]), VALUES, max_size=2) | st.just("[DONE]")


@given(st.lists(PAYLOADS | st.builds(lambda data: {"event": "response.created", "data": data}, PAYLOADS), max_size=4))
def test_events_come_back(recorded: list[Any]) -> None:
    """A stream that is played is recorded as the same stream."""
    data = b"".join(Line("POST", "/x", events=recorded).pieces())
    assert body("text/event-stream; charset=utf-8", data) == {"events": recorded}


def test_events_are_read_as_the_standard_has_them() -> None:
    """Comments and other fields are left out, lines may end in three ways, data may have several."""
    text = ': ping\r\n\r\nid: 1\rdata:{"a":\ndata: 1}\n\nevent: end\ndata: bye\r\n\r\ndata: cut'
    assert list(events(text)) == [{"a": 1}, {"event": "end", "data": "bye"}]


# --- on another provider ---------------------------------------------------------------------------------------------


def test_a_stream_as_one_reply() -> None:
    """What a fake server is to say is the whole of it."""
    pieces = [{"id": "x", "model": "m", "choices": [{"index": 0, "text": one}]} for one in ("He", "llo")]
    whole_reply: Any = assemble_stream("/completions", [*pieces, "[DONE]"])
    assert whole_reply["choices"][0]["text"] == "Hello"
    done = {"type": "response.completed", "response": {"id": "r"}}
    assert assemble_stream("/responses", [{"type": "response.created"}, done]) == {"id": "r"}
    assert assemble_stream("/chat/completions", []) is None


@pytest.fixture
def ollama() -> Iterator[Any]:
    with serving("ollama@0.32") as server:
        yield server


def calling(client: Any) -> Any:
    said = [{"role": "user", "content": "What is the weather in Paris?"}]
    options: Any = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False}
    reply = yield client.chat.completions.create(model="tiny-chat", messages=said, **options)
    return [(call.function.name, json.loads(call.function.arguments)) for call in reply.choices[0].message.tool_calls]


def talking(client: Any) -> Any:
    reply = yield client.chat.completions.create(**CHAT)
    chunks = yield every((yield client.chat.completions.create(**CHAT, stream=True)))
    return reply.choices[0].message.content, "".join(
        one.choices[0].delta.content or "" for one in chunks if one.choices
    )


@plays
@pytest.mark.parametrize("script", [calling, talking])
def test_replayed_on_another_provider(script: Any, play: Play, path: Path, ollama: Any) -> None:
    """Recorded on a llama.cpp, said by an Ollama: the whole native translation gives the same text and tool calls."""
    with cassette(path):
        recorded = run(play, ours(play), script)
    with cassette(path, "none", strict=True) as tape:
        tape.replay_on(ollama)
        assert run(play, ours(play, settings=ollama.settings()), script) == recorded
    assert {one.path for one in ollama.calls} == {"/api/chat"}


def test_a_recorded_refusal_on_another_provider(path: Path, ollama: Any) -> None:
    """The status and the words of an error come through, too; what is no model's call is answered from the tape."""
    error = {"error": {"message": "model 'x' not found", "type": "api_error", "param": None, "code": None}}
    lines = [
        Line("POST", "/chat/completions", request={"model": "x", "messages": HI}, status=404, reply=error),
        Line(
            "GET", "/models", status=200, reply={"object": "list", "data": [{"id": "of the tape", "object": "model"}]}
        ),
    ]
    save_lines(path, lines)
    with ours(SYNC_AND_ASYNC[0], settings=ollama.settings()) as client, cassette(path, strict=True) as tape:
        tape.replay_on(ollama)
        with pytest.raises(openai.NotFoundError, match="not found") as caught:
            client.chat.completions.create(model="x", messages=HI)
        assert caught.value.param == "model"
        assert [model.id for model in client.models.list()] == ["of the tape"]


def test_replay_on_needs_a_recording(path: Path) -> None:
    with pytest.raises(CassetteError, match="is not recorded yet"), cassette(path, "once") as tape:
        tape.replay_on(object())


# --- in pytest -------------------------------------------------------------------------------------------------------

TEST = """
import openai, pytest

def call(**more):
    reply = openai.OpenAI(base_url="{url}", max_retries=0, **more).chat.completions.create(
        model="tiny-chat", messages=[{{"role": "user", "content": "Hello"}}], max_tokens=8
    )
    return reply.choices[0].message.content

class TestGreeting:
    @pytest.mark.parametrize("n", [1, 2])
    def test_passes(self, llm_cassette, n):
        assert call({options})

@pytest.mark.llm_cassette("shared/name", ignore=["max_tokens"])
def test_named(llm_cassette):
    assert call({options})

def test_fails(llm_cassette):
    call({options})
    assert False

@pytest.mark.xfail
def test_expected_to_fail(llm_cassette):
    call({options})
    assert False
"""


def test_the_fixture(tried: Callable[..., pytest.RunResult]) -> None:
    """One file a test, beside it, for those that pass; then no server, no key, and no test that notices."""
    address = PROVIDERS["embedded"].start(EMBEDDED, "/chat/completions")  # type: ignore[attr-defined]
    tried(TEST.format(url=f"{address.root}/v1", options=f'api_key="{address.api_key}"')).assert_outcomes(
        passed=3, failed=1, xfailed=1
    )
    (folder,) = Path("cassettes").iterdir()
    names = {one.name for one in folder.iterdir()}
    assert names == {"TestGreeting.test_passes[1].jsonl", "TestGreeting.test_passes[2].jsonl", "shared-name.jsonl"}
    assert all(address.api_key not in one.read_text(encoding="utf-8") for one in folder.iterdir())
    played = tried(TEST.format(url=NOWHERE, options=""), "--llm-record=none")
    played.assert_outcomes(passed=3, failed=1, xfailed=1)
    assert "there is no cassette at" in played.stdout.str()  # of the test that failed


NAMES = """
import openai, pytest
from llm_adapter.testing import cassette

@pytest.mark.parametrize("x", ["a/b:c*?", "a/b:c*!", "a b", "a  b", "é", "plain", "x" * 300, "x" * 299 + "y"])
def test_id(llm_cassette, x):
    print("FILE", llm_cassette.path.name)

@pytest.mark.parametrize("x", ["one", "two"])
def test_new(llm_cassette, x):
    openai.OpenAI(base_url="http://127.0.0.1:9/v1").models.list()

def test_block(tmp_path):
    with cassette(tmp_path / "x.jsonl"):
        openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="k").models.list()
"""


def test_names_and_modes(tried: Callable[..., pytest.RunResult], pytester: pytest.Pytester) -> None:
    """A file for each test, on every system; one that is missing may be that of a test which was renamed."""
    folder = pytester.path / "cassettes" / "test_names_and_modes"
    folder.mkdir(parents=True)
    for name in ("test_old[one]", "test_id[plain]"):
        (folder / f"{name}.jsonl").write_text("", encoding="utf-8")
    result = tried(NAMES, "--llm-record=none", "-rP")
    result.assert_outcomes(passed=8, failed=3)
    names = [line[5:] for line in result.outlines if line.startswith("FILE ")]
    assert "test_id[plain].jsonl" in names
    assert len(set(names)) == 8
    assert all(re.fullmatch(r"[\w\[\].-]{1,130}", name, re.ASCII) for name in names)
    # Both may be that of the renamed test, but not that of one which is still there. The block goes by the option, too.
    result.stdout.fnmatch_lines(
        [
            "*there is no cassette at *test_new[[]one].jsonl, *, and none is recorded: --llm-record is none",
            "E*Was the test renamed? No test that runs now has cassettes*test_old[[]one].jsonl",
            "E*To record it, where the model can be reached: pytest --llm-record once",
            "*there is no cassette at *x.jsonl, *, and none is recorded: --llm-record is none",
        ]
    )


def test_quiet(path: Path) -> None:
    """A cassette that fits says nothing."""
    written(path, CHAT)
    with warnings.catch_warnings(), cassette(path):
        warnings.simplefilter("error")
        gone(SYNC_AND_ASYNC[0]).chat.completions.create(**CHAT)
