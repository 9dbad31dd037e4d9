"""Images and sounds on Ollama: fetched, checked, converted - and never ignored by a model that cannot see."""

from __future__ import annotations

import asyncio
import base64
import io
import re
import sys
import threading
import time
from typing import Any

import openai
import pytest
import respx
from conftest import DONE, HOST
from drivers import HTTPX, said
from recorded import exchanges
from web import PNG, Web, answer, web

from llm_adapter import Rejected, Settings
from llm_adapter.provider import Call, Fetch, NativeReply
from llm_adapter.providers.ollama import capabilities
from llm_adapter.translation import images
from llm_adapter.translation.images import MOST_URLS, with_inline_images
from llm_adapter.translation.process_cache import clear_caches

__all__ = ["web"]  # the fixture

B64 = base64.b64encode(PNG).decode()
WAV = base64.b64encode(b"RIFF\0\0\0\0WAVEfmt ").decode()
REPLY = {"model": "m", "message": {"role": "assistant", "content": "a cat"}, **DONE}


def image(url: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def sound(data: str = WAV, form: str = "wav") -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": data, "format": form}}


def user(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, *parts]}]


def sees(ollama: Any, *able: str, **fields: Any) -> respx.Route:
    """A server whose model can do this."""
    ollama.answer("/api/chat", body=REPLY)
    return ollama.answer("/api/show", body={"capabilities": ["completion", *able], "model_info": {}, **fields})  # type: ignore[no-any-return]


def ask(*parts: Any, **arguments: Any) -> Any:
    return lambda client: client.chat.completions.create(model="m", messages=user(*parts), **arguments)


def near(web: Web, **fields: Any) -> Settings:
    """Settings that let images come from this machine."""
    return Settings(provider="ollama", host=HOST, image_hosts=web.hosts, **fields)


@pytest.fixture(autouse=True)
def past_the_mock(ollama: Any) -> None:
    """The fetcher has no HTTP client that respx could catch."""


def test_an_image(run: Any, ollama: Any) -> None:
    """What the model can do is asked first, once; the image goes along bare."""
    shown = sees(ollama, "vision")
    for count in (1, 2):
        reply = run(ask(image(f"data:image/png;base64,{B64}")))
        assert reply.choices[0].message.content == "a cat"
        assert ollama.sent["messages"] == [{"role": "user", "content": "what is it?", "images": [B64]}]
        assert ollama.request.url == f"{HOST}/api/chat"
        assert (ollama.count, shown.call_count) == (count, 1)


def test_text_alone_asks_nothing(run: Any, ollama: Any) -> None:
    """A call without images is one request."""
    shown = sees(ollama)
    run(lambda client: client.chat.completions.create(model="m", messages=user()))
    assert (ollama.count, shown.call_count) == (1, 0)


def test_streamed(run: Any, ollama: Any) -> None:
    """The capability check comes before a stream too."""
    ollama.answer("/api/show", body={"capabilities": ["vision"]})
    ollama.answer("/api/chat", body=[{**REPLY, "done": False}, {**REPLY, "message": {"content": ""}}])
    got = run.stream(ask(image(f"data:image/png;base64,{B64}"), stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in got if chunk.choices) == "a cat"
    assert (ollama.count, ollama.sent["stream"]) == (1, True)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("part", "capability"),
    [(image(f"data:image/png;base64,{B64}"), "vision"), (sound(), "audio"), (image("https://a.test/b.png"), "vision")],
    ids=["image", "sound", "address"],
)
def test_a_model_that_cannot(part: Any, capability: str, stream: bool, run: Any, ollama: Any) -> None:
    """Refused by name before anything is generated or fetched, with installed models that can."""
    sees(ollama, "tools")
    able = [{"name": "seer", "capabilities": ["vision", "audio"]}, {"name": "m", "capabilities": []}, {"name": "old"}]
    ollama.answer("/api/tags", body={"models": able}, method="GET")
    with pytest.raises(openai.BadRequestError) as caught:
        run(ask(part, stream=stream))
    assert re.search(f"'m' cannot take .*'{capability}'; .*: seer$", said(caught.value))
    assert (caught.value.param, caught.value.code) == ("messages", "unsupported_parameter")
    assert ollama.request.url.path == "/api/tags"


@pytest.mark.parametrize("server", ["ollama-0.24.0", "ollama-0.32.15"])
def test_the_recorded_model_that_cannot(server: str, run: Any, ollama: Any) -> None:
    """0.24 answered this image with 200, as if there were none (recordings: vision_unsupported)."""
    chat = exchanges(server, "vision_unsupported", "native")[0]
    show = next(one for one in exchanges(server, "models", "native") if one.path == "/api/show")
    tags = next(one for one in exchanges(server, "models", "native") if one.path == "/api/tags")
    ollama.answer("/api/chat", chat.status, chat.body)
    ollama.answer("/api/show", body=show.body)
    ollama.answer("/api/tags", body=tags.body, method="GET")
    with pytest.raises(openai.BadRequestError) as caught:
        run(ask(image(f"data:image/png;base64,{chat.request['messages'][0]['images'][0]}")))
    assert said(caught.value).endswith("lacks the capability 'vision'")


@pytest.mark.parametrize(
    ("status", "body", "asked"),
    [
        (200, {"model_info": {}}, 1),  # before 0.6.4
        (200, {"capabilities": None}, 1),
        (200, "not JSON", 1),
        (200, [], 1),
        (404, "404 page not found", 1),  # not an Ollama server: it is not asked again
        (405, "405 method not allowed", 1),
        (404, {"error": "model 'm' not found"}, 2),  # the chat says so itself, and it may be pulled
        (500, {"error": "busy"}, 2),
    ],
    ids=str,
)
def test_unknown_is_no_obstacle(status: int, body: Any, asked: int, run: Any, ollama: Any) -> None:
    """Where a server does not say what the model can do, the image is sent."""
    ollama.answer("/api/chat", body=REPLY)
    shown = ollama.answer("/api/show", status, body)
    for _ in range(2):
        run(ask(image(f"data:image/png;base64,{B64}")))
        assert ollama.sent["messages"][0]["images"] == [B64]
    assert shown.call_count == asked


def test_the_models_of_two_servers() -> None:
    """Known by server and name; the trained context comes along; a model that changes is asked about again."""
    info = {"general.architecture": "llama", "llama.context_length": 8192}

    def known(root: str, *replies: NativeReply) -> capabilities.Model:
        settings = Settings(provider="ollama", host=root)
        steps = capabilities.known_model(Call("POST", "/chat/completions", {"model": "m"}, settings, "0", 0))
        given = iter(replies)
        try:
            request = next(steps)
            assert (request.path, request.body) == ("/api/show", {"model": "m"})
            steps.send(next(given))
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        raise AssertionError

    clear_caches()
    body = b'{"capabilities": ["vision"], "model_info": %s}' % str(info).replace("'", '"').encode()
    model = capabilities.Model(frozenset({"vision"}), 8192, told=True)
    assert known("http://a", NativeReply(200, {}, body)) == model
    assert known("http://a") == model
    assert known("http://b", NativeReply(500)) == capabilities.UNKNOWN
    capabilities.forget("m:latest")
    assert known("http://a", NativeReply(200, {}, b"{}")) == capabilities.Model(told=True)


def test_a_fetched_image(run: Any, ollama: Any, web: Web) -> None:
    """An address is fetched here, once for all the places it is in, and nothing of the caller's goes there."""
    sees(ollama, "vision")
    web.answers["/a.png"] = answer()
    url = web.url(host="127.0.0.1")
    settings = near(web, api_key="sk-secret")
    reply = run(ask(image(url), image(url)), settings=settings, default_headers={"X-Mine": "secret"})
    assert ollama.sent["messages"][0]["images"] == [B64, B64]
    assert reply.adapter.emulated == ["image_url"]
    assert len(web.seen) == 1
    assert not {"authorization", "x-mine", "cookie"} & {name.lower() for name in web.seen[0]}


def test_a_fetched_image_when_the_model_is_known(run: Any, ollama: Any, web: Web) -> None:
    """The fetch may be the first step of all: the request that the SDK built is not sent then. Streams too."""
    ollama.answer("/api/show", body={"capabilities": ["vision"]})
    ollama.answer("/api/chat", body=[{**REPLY, "done": False}, {**REPLY, "message": {"content": ""}}])
    web.answers["/a.png"] = answer()
    for count in (1, 2):
        run.stream(ask(image(web.url(host="127.0.0.1")), stream=True), settings=near(web))
        assert ollama.count == count
        assert ollama.request.url == f"{HOST}/api/chat"
        assert ollama.sent["messages"][0]["images"] == [B64]


def test_several_fetched_images(run: Any, ollama: Any, web: Web) -> None:
    """In their order, though they come side by side."""
    sees(ollama, "vision")
    for place in range(6):
        web.answers[f"/{place}"] = answer(body=PNG + bytes([place]))
    run(ask(*(image(web.url(f"/{place}", "127.0.0.1")) for place in range(6))), settings=near(web))
    got = [base64.b64decode(one)[-1] for one in ollama.sent["messages"][0]["images"]]
    assert got == list(range(6))


def test_a_fetch_can_be_given_up(ollama: Any, web: Web) -> None:
    """A cancelled call does not wait for the slow server of an image."""
    from llm_adapter import AsyncOpenAI

    sees(ollama, "vision")
    over = threading.Event()
    web.answers["/a.png"] = lambda handler: over.wait(5)

    async def main() -> None:
        async with AsyncOpenAI(settings=near(web), max_retries=0) as client:
            await asyncio.wait_for(ask(image(web.url(host="127.0.0.1")))(client), 0.2)

    started = time.monotonic()
    try:
        with pytest.raises(asyncio.TimeoutError):
            asyncio.run(main())
        assert time.monotonic() - started < 3
    finally:
        over.set()


UNFETCHED = {
    "http://127.0.0.1/a.png": ("image_fetch_failed", "not on the public internet"),
    "http://169.254.169.254/latest/meta-data": ("image_fetch_failed", "not on the public internet"),
    "http://localhost/a.png": ("image_fetch_failed", "not on the public internet"),
    "http://127.0.0.1:11434/api/tags": ("image_fetch_failed", "port 11434"),
    "file:///etc/passwd": ("unsupported_image", "data URL, or an http"),
    "/etc/passwd": ("unsupported_image", "data URL, or an http"),
    "": ("unsupported_image", "data URL, or an http"),
}


@pytest.mark.parametrize("url", UNFETCHED)
def test_what_is_not_fetched(url: str, run: Any, ollama: Any) -> None:
    """With the settings as they come: a 400 with its reason, and no chat."""
    sees(ollama, "vision")
    code, reason = UNFETCHED[url]
    with pytest.raises(openai.BadRequestError, match=reason) as caught:
        run(ask(image(url)))
    assert (caught.value.param, caught.value.code, ollama.count) == ("messages", code, 0)


def test_refused_redirect(run: Any, ollama: Any, web: Web) -> None:
    """A named host may not lead to one that is not named."""
    sees(ollama, "vision")
    web.answers["/a.png"] = answer(302, b"", Location="http://127.0.0.1/b.png")
    with pytest.raises(openai.BadRequestError, match="not on the public internet"):
        run(ask(image(web.url(host="127.0.0.1"))), settings=near(web))


def test_addresses_refused_by_the_settings(run: Any, ollama: Any, web: Web) -> None:
    """`image_urls = "refuse"`: no request leaves for anywhere else."""
    sees(ollama, "vision")
    with pytest.raises(openai.BadRequestError, match='`image_urls = "refuse"` is set'):
        run(ask(image(web.url(host="127.0.0.1"))), settings=near(web, image_urls="refuse"))
    assert web.seen == []


def through(url: Any, *bodies: bytes, **settings: Any) -> str:
    """What an image's address becomes, fetched bodies given."""
    call = Call("POST", "/chat/completions", {"messages": user(image(url))}, Settings(**settings), "0", 0)
    steps, given = with_inline_images(call), iter(bodies)
    try:
        step = next(steps)
        while True:
            urls = step.urls if isinstance(step, Fetch) else ()
            step = steps.send([NativeReply(200, {}, next(given)) for _ in urls])
    except StopIteration as stop:
        return stop.value.body["messages"][0]["content"][1]["image_url"]["url"]  # type: ignore[no-any-return]


FORMS = {
    f"data:image/png;base64,{B64}": f"data:image/png;base64,{B64}",
    f"data:;base64,{B64}": f"data:image/png;base64,{B64}",
    f"DATA:image/jpeg;charset=x;BASE64,{B64}": f"data:image/png;base64,{B64}",  # what it is, not what it says
    f"data:image/png;base64,{B64[:8]}\r\n{B64[8:]}": f"data:image/png;base64,{B64}",
    f"data:image/png;base64,{B64.replace('=', '%3D')}": f"data:image/png;base64,{B64}",
}


@pytest.mark.parametrize("url", FORMS, ids=lambda url: url[:30])
def test_data_urls(url: str) -> None:
    """Every spelling of the same image, in the one that all servers take."""
    assert through(url) == FORMS[url]


WRONG_DATA = {
    "data:image/png;base64,iVBO Rw!": ("not valid base64", "invalid_value"),
    "data:image/png;base64,iVBOR": ("not valid base64", "invalid_value"),
    "data:image/png;base64,ä": ("not valid base64", "invalid_value"),
    "data:image/svg+xml,<svg/>": ("data URL", "unsupported_image"),
    "data:text/html;base64,PGI+": ("no format that can be read", "unsupported_image"),
    f"data:image/png;base64,{base64.b64encode(b'%!PS-Adobe-3.0 EPSF-3.0').decode()}": (
        "no format that can be read",
        "unsupported_image",
    ),
}


@pytest.mark.parametrize("url", WRONG_DATA, ids=lambda url: url[:40])
def test_wrong_data(url: str) -> None:
    """Our 400 with the part's place, not whatever the server makes of it."""
    pytest.importorskip("PIL")
    reason, code = WRONG_DATA[url]
    with pytest.raises(Rejected, match=rf"^messages\[0\]: .*{reason}") as caught:
        through(url)
    assert caught.value.error["code"] == code


def picture(form: str, mode: str = "RGB", size: tuple[int, int] = (16, 16)) -> bytes:
    image = pytest.importorskip("PIL.Image")
    out = io.BytesIO()
    image.new(mode, size).save(out, form)
    return out.getvalue()


@pytest.mark.parametrize(
    ("form", "mode"), [("GIF", "P"), ("BMP", "RGB"), ("TIFF", "CMYK"), ("TIFF", "F"), ("ICO", "RGBA"), ("PPM", "L")]
)
def test_converted(form: str, mode: str) -> None:
    """Formats that no server takes become PNG; a fetched one as well."""
    raw = picture(form, mode)
    for url in (
        through(f"data:image/x;base64,{base64.b64encode(raw).decode()}"),
        through("https://a.test/b", raw),
    ):
        assert url.startswith("data:image/png;base64,")
        assert base64.b64decode(url.partition(",")[2]).startswith(b"\x89PNG")


@pytest.mark.parametrize(("form", "kind"), [("JPEG", "jpeg"), ("PNG", "png"), ("WEBP", "webp")])
def test_kept(form: str, kind: str) -> None:
    """What servers take goes as it came, by its own name."""
    raw = picture(form)
    assert through("https://a.test/b", raw) == f"data:image/{kind};base64,{base64.b64encode(raw).decode()}"


def test_too_many_pixels() -> None:
    """A bomb is refused by its header: a few kilobytes that would fill gigabytes."""
    bomb = bytearray(picture("GIF", "P"))
    for side in (9000, 9500, 65535):  # ours to see; Pillow's warning; Pillow's error
        bomb[6:10] = side.to_bytes(2, "little") * 2
        with pytest.raises(Rejected, match="more than 64000000 pixels"):
            through(f"data:image/gif;base64,{base64.b64encode(bomb).decode()}")


@pytest.mark.parametrize("endpoint", ["chat", "stream", "responses"])
@pytest.mark.parametrize("source", ["inline", "fetched"])
def test_a_conversion_that_takes_long(
    run: Any, ollama: Any, web: Web, source: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs outside the event loop, and the call's timeout holds."""
    sees(ollama, "vision")
    gif = b"GIF89a\1\0\1\0"
    web.answers["/a.gif"] = answer(body=gif)
    url = (
        web.url("/a.gif", host="127.0.0.1") if source == "fetched" else f"data:;base64,{base64.b64encode(gif).decode()}"
    )
    over, threads = threading.Event(), []

    def slow(*args: Any) -> bytes:
        threads.append(threading.current_thread())
        over.wait(10)
        return PNG

    monkeypatch.setattr(images, "_png", slow)
    calls = {
        "chat": ask(image(url), timeout=0.2),
        "stream": ask(image(url), timeout=0.2, stream=True),
        "responses": lambda client: client.responses.create(
            model="m", timeout=0.2, input=[{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]
        ),
    }
    try:
        with pytest.raises(openai.APITimeoutError, match="converting the images"):
            run(calls[endpoint], settings=near(web), max_retries=2)
    finally:
        over.set()
    assert threading.main_thread() not in threads
    assert len(threads) == 1


def test_an_address_that_answers_slowly(run: Any, ollama: Any, web: Web) -> None:
    """The call's timeout holds for the fetch as well, which by itself may take ten seconds."""
    sees(ollama, "vision")
    over = threading.Event()
    web.answers["/a.png"] = lambda handler: (over.wait(9), answer()(handler))
    try:
        with pytest.raises(openai.APITimeoutError, match="Fetching the images"):
            run(ask(image(web.url(host="127.0.0.1")), timeout=0.2), settings=near(web), max_retries=2)
    finally:
        over.set()
    assert len(web.seen) == 1


def test_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    gif = base64.b64encode(b"GIF89a\1\0\1\0").decode()
    with pytest.raises(Rejected, match=r"of format gif.*llm_adapter\[images\]"):
        through(f"data:image/gif;base64,{gif}")
    assert through(f"data:image/png;base64,{B64}").endswith(B64)


def test_limits_of_a_call() -> None:
    """So many addresses, and so many bytes of all of them."""
    body = {"messages": user(*(image(f"https://a.test/{place}") for place in range(MOST_URLS + 1)))}
    with pytest.raises(Rejected, match=f"{MOST_URLS} images"):
        next(with_inline_images(Call("POST", "/chat/completions", body, Settings(), "0", 0)))
    body = {"messages": user(image("https://a.test/a"), image("https://a.test/b"))}
    steps = with_inline_images(Call("POST", "/chat/completions", body, Settings(), "0", 0))
    next(steps)
    with pytest.raises(Rejected, match="together are larger"):
        steps.send([NativeReply(200, {}, PNG.ljust(30 << 20))] * 2)


def test_the_callers_messages_stay() -> None:
    """Nothing is written into the lists that the caller gave; the detail stays beside the address."""
    part = {"type": "image_url", "image_url": {"url": f"data:;base64,{B64}", "detail": "low"}}
    messages = [{"role": "user", "content": [part]}, {"role": "assistant", "content": "x"}]
    call = Call("POST", "/chat/completions", {"messages": messages}, Settings(), "0", 0)
    with pytest.raises(StopIteration) as stop:
        next(with_inline_images(call))
    assert stop.value.value.body["messages"][0]["content"][0]["image_url"]["detail"] == "low"
    assert part["image_url"]["url"] == f"data:;base64,{B64}"  # type: ignore[index]


@pytest.mark.parametrize("body", [{}, {"messages": "x"}, {"messages": ["x", {"role": "user", "content": ["y"]}]}])
def test_other_shapes_are_not_judged(body: Any) -> None:
    """The translation refuses them by name."""
    call = Call("POST", "/chat/completions", body, Settings(), "0", 0)
    with pytest.raises(StopIteration) as stop:
        next(with_inline_images(call))
    assert stop.value.value is call


def test_a_sound(run: Any, ollama: Any) -> None:
    """Sounds go where images go, in the order of the parts."""
    sees(ollama, "vision", "audio")
    run(ask(image(f"data:image/png;base64,{B64}"), sound(), sound("SUQz", "mp3")))
    assert ollama.sent["messages"][0]["images"] == [B64, WAV, "SUQz"]


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (sound("!!"), "not valid base64"),
        (sound(form="flac"), "one of wav, mp3"),
        ({"type": "input_audio", "input_audio": WAV}, "holds `data`"),
        ({"type": "input_audio"}, "holds `data`"),
        ({"type": "file", "file": {"file_id": "f"}}, "'file'"),
        ({"type": "video_url", "video_url": {}}, "'video_url'"),
    ],
    ids=str,
)
def test_refused_parts(part: Any, reason: str, run: Any, ollama: Any) -> None:
    """Refused with its place, before anything is sent."""
    with pytest.raises(openai.BadRequestError, match=rf"messages\[0\].*{reason}") as caught:
        run(ask(part))
    assert (caught.value.param, ollama.count) == ("messages", 0)


def test_a_legacy_client(ollama: Any, web: Web) -> None:
    """A caller's own client, and a retry: each attempt asks and fetches for itself."""
    from llm_adapter import OpenAI

    web.answers["/a.png"] = answer()
    states = iter([503, 200])

    def handler(request: Any) -> Any:
        if request.url.path == "/api/show":
            return HTTPX.Response(200, json={"capabilities": ["vision"]})
        status = next(states)
        return HTTPX.Response(status, json=REPLY if status == 200 else {"error": "busy"})

    client = OpenAI(settings=near(web), http_client=HTTPX.Client(transport=HTTPX.MockTransport(handler)), max_retries=1)
    client._calculate_retry_timeout = lambda *args: 0  # type: ignore[method-assign,assignment]
    assert ask(image(web.url(host="127.0.0.1")))(client).choices[0].message.content == "a cat"
    assert len(web.seen) == 2
