"""Progress that never goes back, by itself and over a real socket: begun, cancelled, resumed, broken."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
import threading
from typing import Any

import openai
import pytest
from drivers import SYNC_AND_ASYNC, Play, every, first, mode
from hypothesis import given, settings
from hypothesis import strategies as some
from loopback import Handler, Loopback, serving
from recorded import exchanges

from llm_adapter import AdapterWarning, Settings
from llm_adapter.provider import Rejected
from llm_adapter.providers.ollama.progress import Progress, outcome
from llm_adapter.transport.pull_line import PullLine, progress_text, size_text


def layer(name: str, total: int, completed: int | None = None) -> dict[str, Any]:
    line = {"status": f"pulling {name}", "digest": f"sha256:{name}", "total": total}
    return line if completed is None else {**line, "completed": completed}


SUCCESS = {"status": "success"}
LAYERS = [
    {"status": "pulling manifest"},
    layer("a", 1000),
    layer("a", 1000, 400),
    layer("a", 1000, 1000),
    layer("b", 3000),
    layer("b", 3000, 3000),
    {"status": "verifying sha256 digest"},
    SUCCESS,
]


# --- the decoder ------------------------------------------------------------------------------------------------------


def told(lines: list[Any], seconds: float = 1) -> list[Any]:
    progress = Progress()
    return [progress.feed(line, place * seconds) for place, line in enumerate(lines)]


def test_layers() -> None:
    """The second layer makes what is known larger: the percentage waits for it, the bytes do not lie."""
    seen = told(LAYERS)
    assert [one.percent for one in seen] == [0, 0, 40, 99.9, 99.9, 99.9, 99.9, 100]
    assert [(one.completed, one.total) for one in seen[3:6]] == [(1000, 1000), (1000, 4000), (4000, 4000)]
    assert [one.phase for one in seen] == ["waiting", *["transferring"] * 5, "finishing", "done"]
    assert [one.done for one in seen] == [False] * 7 + [True]


def test_rate_and_time_left() -> None:
    """What was there before is no speed: a resumed pull, or a layer of another model."""
    seen = told([layer("a", 1000, 500), layer("a", 1000, 600), layer("a", 1000, 700)], seconds=2)
    assert [(one.rate, one.eta) for one in seen] == [(None, None), (50, 8), (50, 6)]
    assert told([layer("a", 9, 9), layer("b", 9, 9)])[-1].rate is None


lines_of_a_pull = some.lists(
    some.one_of(
        some.builds(
            layer,
            some.sampled_from("abc"),
            some.integers(0, 10**12),
            some.one_of(some.none(), some.integers(-5, 10**13)),
        ),
        some.fixed_dictionaries({"status": some.text(max_size=9)}),
        some.just(SUCCESS),
    )
)


@settings(max_examples=200)
@given(lines_of_a_pull, some.lists(some.floats(0, 100), max_size=40))
def test_never_back(lines: list[Any], pauses: list[float]) -> None:
    """Whatever a server says: between 0 and 100, never less than before, and 100 when it is done and only then."""
    progress, now, before = Progress(), 0.0, 0.0
    for place, line in enumerate(lines):
        now += pauses[place] if place < len(pauses) else 0
        one = progress.feed(line, now)
        assert 0 <= before <= one.percent <= 100
        assert (one.percent == 100) == one.done
        assert 0 <= one.completed <= one.total
        assert one.rate is None or one.rate > 0
        before = one.percent


@pytest.mark.parametrize("server", ["ollama-0.24.0", "ollama-0.32.15"])
def test_recorded(server: str) -> None:
    """The recorded creates and pulls: three ends of a stream that began with 200, and one error with its status."""
    created, unknown = (one for one in exchanges(server, "manage", "native") if one.path == "/api/create")
    assert outcome(created.body.encode()) is None
    pulled, _ = exchanges(server, "pull_unknown", "native")
    for one, words in ((unknown, "no such host"), (pulled, "connection refused")):
        refusal = outcome(one.body.encode())
        assert refusal is not None
        assert words in refusal.error["message"]
    cut = outcome(created.body.encode()[:200])
    assert cut is not None
    assert "ended before" in cut.error["message"]


@pytest.mark.parametrize("said", ["pull model manifest: file does not exist", "invalid model name"])
def test_a_bad_name(said: str) -> None:
    with pytest.raises(Rejected, match="no such model") as caught:
        Progress().feed({"error": said}, 0)
    assert (caught.value.status, caught.value.error["code"]) == (404, "model_not_found")


def test_a_line_at_the_terminal() -> None:
    """One line that is drawn again, and gone at the end; broken pieces and a closed terminal are no reason to stop."""
    terminal = io.StringIO()
    line = PullLine("m", terminal)
    data = b"".join(json.dumps(one).encode() + b"\n" for one in LAYERS)
    for place in range(0, len(data), 7):
        line.received(data[place : place + 7])
    line.received(b'nonsense\n{"error": "no"}\n')
    line.closing()
    drawn = terminal.getvalue().split("\r\x1b[K")
    assert drawn[-2].startswith("pulling m: 100 %  4.0 kB of 4.0 kB")
    assert drawn[-1] == ""
    terminal.close()
    line.closing()
    slow = told([layer("a", 10**10, 0), layer("a", 10**10, 10**9)], seconds=10)[-1]
    assert progress_text(slow) == "10 %  1.0 GB of 10.0 GB  100.0 MB/s  1:30 left"
    assert size_text(999) == "999 B"


# --- over a socket ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def server() -> Any:
    with serving() as server:
        yield server


def streamed(handler: Handler, lines: list[Any], *, whole: bool = True) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "application/x-ndjson")
    handler.send_header("transfer-encoding", "chunked")
    handler.end_headers()
    for line in lines:
        handler.line(line)
    if whole:
        handler.wfile.write(b"0\r\n\r\n")
    else:
        handler.close_connection = True


def answering(lines: list[Any], *, whole: bool = True) -> Any:
    return lambda handler: streamed(handler, lines, whole=whole)


def native(server: Loopback, **more: Any) -> Settings:
    return Settings(provider="ollama", host=server.root, **more)


def test_progress(play: Play, server: Loopback) -> None:
    server.act = answering(LAYERS)

    def script(client: Any) -> Any:
        return (yield every((yield client.models.pull("qwen3:8b", insecure=True, stream=True))))

    seen = play(script, settings=native(server))
    assert [one.percent for one in seen] == [one.percent for one in told(LAYERS)]
    assert server.asked == [("/api/pull", {"model": "qwen3:8b", "insecure": True, "stream": True})]


@pytest.mark.parametrize("verb", ["pull", "push"])
def test_the_end(play: Play, server: Loopback, verb: str) -> None:
    """Without `stream` the call runs to its end, as the package's does; so does `wait()` of a progress."""
    server.act = answering(LAYERS)

    def script(client: Any) -> Any:
        last = yield getattr(client.models, verb)("me/m")
        transfer = yield getattr(client.models, verb)("me/m", stream=True)
        assert (yield transfer.wait()).completed == last.completed == 4000
        return last

    last = play(script, settings=native(server))
    assert (last.done, last.status, last.percent) == (True, "success", 100)
    assert server.asked == [(f"/api/{verb}", {"model": "me/m", "insecure": False, "stream": True})] * 2


def test_nothing_is_begun_in_silence(play: Play, server: Loopback) -> None:
    def script(client: Any) -> Any:
        yield client.models.pull("m", stream=True)
        with pytest.warns(AdapterWarning, match=r"pull of 'm' was not begun"):
            yield 0  # nobody holds it from here on

    play(script, settings=native(server))
    assert server.asked == []


def endless(server: Loopback, gone: threading.Event, begun: Any = lambda: None) -> Any:
    """What a server does that pulls until the connection is closed; a second pull comes to its end."""

    def act(handler: Handler) -> None:
        if len(server.asked) > 1:
            streamed(handler, [layer("a", 10**6, 500_000), layer("a", 10**6, 10**6), SUCCESS])
            return
        try:
            streamed(handler, [layer("a", 10**6, 100)], whole=False)
            begun()
            while not gone.wait(0.01):
                handler.line(layer("a", 10**6, 100))
        except OSError:
            gone.set()
            raise

    return act


VERBS: dict[str, Any] = {
    "pull": lambda client, **more: client.models.pull("m", **more),
    "push": lambda client, **more: client.models.push("me/m", **more),
    "create": lambda client, **more: client.models.create("m", from_="b", **more),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("way", ["closed", "left by break"])
def test_cancelled_and_resumed(play: Play, server: Loopback, way: str, verb: str) -> None:
    """To close the progress closes the connection, which stops the server; what it has, it keeps."""
    gone = threading.Event()
    server.act = endless(server, gone)

    def script(client: Any) -> Any:
        transfer = yield VERBS[verb](client, stream=True)
        begun = yield first(transfer)
        assert begun.completed == 100
        if way == "closed":
            yield transfer.close()
        else:  # what a loop that is left does to a progress that no name holds
            del transfer, begun
            yield asyncio.sleep(0.01) if play.mode == "async" else None
        assert gone.wait(5)
        return (yield every((yield VERBS[verb](client, stream=True))))

    resumed = play(script, settings=native(server))
    assert [(one.completed, one.percent) for one in resumed] == [(500_000, 50), (10**6, 99.9), (10**6, 100)]


@pytest.mark.skipif(sys.platform == "win32", reason="there a signal to itself ends the process")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("verb", VERBS)
def test_cancelled_without_progress(play: Play, server: Loopback, verb: str) -> None:
    """Ctrl-C, or a task that is cancelled, ends a call that runs to its end; and the server with it."""
    gone = threading.Event()
    interrupt = (lambda: None) if play.mode == "async" else lambda: os.kill(os.getpid(), signal.SIGINT)
    server.act = endless(server, gone, interrupt)

    def script(client: Any) -> Any:
        with pytest.raises((KeyboardInterrupt, asyncio.TimeoutError)):
            yield asyncio.wait_for(VERBS[verb](client), 0.2)  # the sync call raises before there is anything to wait
        assert gone.wait(5)

    play(script, settings=native(server))


def test_as_a_context(play: Play, server: Loopback) -> None:
    server.act = answering(LAYERS)

    def script(client: Any) -> Any:
        transfer = yield client.models.pull("m", stream=True)
        entered = transfer.__aenter__() if play.mode == "async" else transfer.__enter__()
        assert (yield entered) is transfer
        yield first(transfer)
        none = (None, None, None)
        yield transfer.__aexit__(*none) if play.mode == "async" else transfer.__exit__(*none)
        return (yield every(transfer))

    assert play(script, settings=native(server)) == []


ENDS: dict[str, tuple[list[Any], bool, type[Exception], str]] = {
    "an error line": ([*LAYERS[:3], {"error": "max retries exceeded"}], True, openai.APIError, "max retries exceeded"),
    "no end": (LAYERS[:3], True, openai.APIError, "ended before the work was complete"),
    "a cut": (LAYERS[:3], False, openai.APIConnectionError, "goes on where it was"),
}


@pytest.mark.parametrize(("lines", "whole", "error", "words"), ENDS.values(), ids=ENDS)
def test_ends(play: Play, server: Loopback, lines: list[Any], whole: bool, error: type[Exception], words: str) -> None:
    """What was not pulled is an error, though the server said 200."""
    server.act = answering(lines, whole=whole)

    def script(client: Any) -> Any:
        with pytest.raises(error, match=words) as caught:
            yield client.models.pull("m")
        return caught.value

    assert "pull of 'm' failed" in str(play(script, settings=native(server)))


def test_a_name_that_the_registry_lacks(play: Play, server: Loopback) -> None:
    server.act = answering([LAYERS[0], {"error": "pull model manifest: file does not exist"}])

    def script(client: Any) -> Any:
        with pytest.raises(openai.NotFoundError, match="no such model") as caught:
            yield client.models.pull("nope")
        return caught.value

    failure = play(script, settings=native(server))
    assert (failure.code, failure.status_code) == ("model_not_found", 404)
    assert "https://ollama.com/search?q=nope" in str(failure)
