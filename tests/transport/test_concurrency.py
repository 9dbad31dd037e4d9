"""`max_concurrency`: one queue in front of a server, for threads and event loops alike."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from conftest import HI
from drivers import HTTPX, SYNC_AND_ASYNC, Play, every, first, mode
from loopback import Handler, Loopback, serving

from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.routing.terms import LOCAL_CONCURRENCY, terms_of
from llm_adapter.testing import serving as fake
from llm_adapter.testing import slow
from llm_adapter.transport import concurrency
from llm_adapter.transport.concurrency import Limiter, Slot, limiter_of

ASK: Any = {"model": "m", "messages": HI}


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serving() as started:
        yield started


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "UNREAD", 0.05)


def limited(server: Loopback, limit: int, **more: Any) -> dict[str, Any]:
    """The options of a client on this server."""
    return {"settings": Settings(provider="ollama", host=server.root, max_concurrency=limit, **more), "max_retries": 0}


def server_limiter(server: Loopback) -> Limiter:
    return limiter_of(("http", f"127.0.0.1:{server.server_port}".encode()))


def eventually(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + 2
    while not holds() and time.monotonic() < end:
        time.sleep(0.005)
    return holds()


# --- limiter ----------------------------------------------------------------------------------------------------------


def test_first_come_first_served() -> None:
    """Threads and event loops stand in one line; nobody passes one who waits, though there is room for the later."""
    limiter, served = Limiter(), []
    held = Slot(limiter, 2)
    assert held.acquire()

    def in_thread(name: str, holders: int) -> None:
        slot = Slot(limiter, 2, holders)
        assert slot.acquire()
        served.append(name)
        slot.release_all()

    def in_loop(name: str, holders: int) -> None:
        async def wait() -> None:
            slot = Slot(limiter, 2, holders)
            assert await slot.aacquire()
            served.append(name)
            slot.release_all()

        asyncio.run(wait())

    threads = []
    for count, (how, name, holders) in enumerate([(in_loop, "both", 2), (in_thread, "one", 1), (in_loop, "last", 2)]):
        threads.append(threading.Thread(target=how, args=(name, holders)))
        threads[-1].start()
        assert eventually(lambda count=count: limiter.waiting == count + 1)  # type: ignore[misc]
    held.release()
    for thread in threads:
        thread.join()
    assert (served, limiter.in_use, limiter.waiting) == (["both", "one", "last"], 0, 0)


def test_a_cancelled_waiter_leaves_the_line() -> None:
    limiter = Limiter()
    held = Slot(limiter, 1)
    assert held.acquire()

    async def main() -> None:
        tasks = [asyncio.create_task(Slot(limiter, 1).aacquire()) for _ in range(3)]
        await asyncio.sleep(0)
        assert limiter.waiting == 3
        tasks[0].cancel()
        await asyncio.sleep(0)
        held.release_all()
        assert (limiter.in_use, limiter.waiting) == (1, 1)
        tasks[1].cancel()  # it has its slot by now, but does not know it yet
        await asyncio.gather(*tasks, return_exceptions=True)
        assert tasks[2].result()

    asyncio.run(main())
    assert (limiter.in_use, limiter.waiting) == (1, 0)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_patience_ends(asynchronous: bool) -> None:
    limiter = Limiter()
    assert Slot(limiter, 1).acquire()
    late = Slot(limiter, 1)
    assert not (asyncio.run(late.aacquire(0.01)) if asynchronous else late.acquire(0.01))
    assert (limiter.in_use, limiter.waiting) == (1, 0)


def test_a_waiter_whose_event_loop_is_gone_is_passed_over() -> None:
    limiter = Limiter()
    held, gone, next_one = Slot(limiter, 1), Slot(limiter, 1), Slot(limiter, 1)
    assert held.acquire()
    loop = asyncio.new_event_loop()
    loop.close()
    limiter.enqueue(gone, lambda: loop.call_soon_threadsafe(print))
    limiter.enqueue(next_one, bool)
    held.release()
    assert (gone.state, next_one.state) == ("released", "held")


def test_limits_of_clients() -> None:
    """A client with a low limit waits for its own kind, and the others do not wait behind it."""
    limiter = Limiter()
    low, high = Slot(limiter, 1), Slot(limiter, 3)
    assert low.acquire()
    assert high.acquire()
    waiting, later, full = Slot(limiter, 1), Slot(limiter, 3), Slot(limiter, 3)
    limiter.enqueue(waiting, bool)
    assert later.acquire(0)
    assert not full.acquire(0)
    assert waiting.state == "queued"
    low.release()
    assert (waiting.state, limiter.in_use) == ("held", 3)


class Releasing:
    """Releases a slot when it is collected, as a forgotten stream does."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot

    def __del__(self) -> None:
        self.slot.release_all()


def test_the_collector_may_release_while_the_lock_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector runs in any line of a thread: a release takes no lock that this thread may hold."""
    limiter = Limiter()
    held = Slot(limiter, 1)
    assert held.acquire()
    forgotten = [Releasing(held)]
    carry_out = Limiter._carry_out_releases

    def collecting(self: Limiter) -> None:
        forgotten.clear()
        carry_out(self)

    monkeypatch.setattr(Limiter, "_carry_out_releases", collecting)
    assert Slot(limiter, 1).acquire(0.5)


def test_freeing_is_idempotent() -> None:
    limiter = Limiter()
    slot = Slot(limiter, 4, holders=3)
    assert slot.acquire()
    assert limiter.in_use == 3
    slot.release()
    assert limiter.in_use == 3
    for _ in range(3):
        slot.release_all()
    slot.release()
    assert limiter.in_use == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_has_its_own_slots() -> None:
    """Whoever holds one is in the parent, and would never give it back here."""
    assert Slot(limiter_of("forked"), 1).acquire()
    child = os.fork()
    if child == 0:
        os._exit(limiter_of("forked").in_use)
    assert os.waitpid(child, 0)[1] == 0


def test_defaults() -> None:
    """Only servers that work on few requests at once have a limit of their own."""
    assert terms_of(Settings()) is None
    assert terms_of(Settings(provider="openai", base_url="http://vllm:8000/v1")) is None
    for provider in ("ollama", "embedded"):
        assert terms_of(Settings(provider=provider)).limit == LOCAL_CONCURRENCY  # type: ignore[union-attr]
        assert terms_of(Settings(provider=provider, max_concurrency=0)).limit is None  # type: ignore[union-attr]
    assert terms_of(Settings(max_concurrency=7)).limit == 7  # type: ignore[union-attr]


# --- calls -----------------------------------------------------------------------------------------------------------


def test_fifty_calls_of_both_colours_at_once(server: Loopback) -> None:
    """50 parallel calls with limit 4, sync and async, plain and streamed: the server never sees more than 4."""
    server.act = server.counted(0.01)

    def ask(client: OpenAI, slot: int) -> str:
        if slot % 2:
            return client.chat.completions.create(**ASK).choices[0].message.content or ""
        chunks = client.chat.completions.create(**ASK, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    async def ask_async(client: AsyncOpenAI, slot: int) -> str:
        if slot % 2:
            return (await client.chat.completions.create(**ASK)).choices[0].message.content or ""
        chunks = await client.chat.completions.create(**ASK, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    async def asynchronous() -> list[str]:
        async with AsyncOpenAI(**limited(server, 4)) as client:
            return await asyncio.gather(*(ask_async(client, slot) for slot in range(25)))

    with OpenAI(**limited(server, 4)) as client, ThreadPoolExecutor(26) as pool:
        loop = pool.submit(asyncio.run, asynchronous())
        texts = list(pool.map(lambda slot: ask(client, slot), range(25)))
        assert texts + loop.result() == ["Hello"] * 50
    assert 1 < server.most <= 4
    assert (server_limiter(server).in_use, server_limiter(server).waiting) == (0, 0)


def test_a_v1_server_has_places_when_it_is_told_so(play: Play, server: Loopback) -> None:
    """Untouched calls of provider openai count as well, streams to their end, and what is no work for a model never."""
    settings = Settings(base_url=f"{server.root}/v1", max_concurrency=1)
    server.act = lambda handler: handler.stream("a")

    def script(client: Any) -> Any:
        raw = client.chat.completions.with_streaming_response.create(**ASK, stream=True)
        response = yield (raw.__aenter__() if play.mode == "async" else raw.__enter__())
        assert server_limiter(server).in_use == 1
        yield client.models.list()
        yield response.close()
        assert server_limiter(server).in_use == 0

    play(script, settings=settings, api_key="k")
    assert server.asked[-1][0] == "/v1/models"


def test_a_place_is_given_back(play: Play, server: Loopback) -> None:
    """After success, errors, timeouts, broken connections, ends and early ends of streams."""
    acts: dict[str, Callable[[Handler], None]] = {
        "chat": Handler.chat,
        "error": lambda handler: handler.reply({"error": "no"}, 400),
        "broken": lambda handler: handler.connection.shutdown(2),
        "slow": lambda handler: time.sleep(0.2),
        "pieces": lambda handler: handler.stream("a", "b", "c"),
    }
    server.act = lambda handler: acts[handler.body["model"]](handler)

    def ask(client: Any, model: str, **options: Any) -> Any:
        return client.chat.completions.create(**{**ASK, "model": model}, **options)

    def script(client: Any) -> Any:
        for stream in (False, True):
            for model in ("error", "broken", "slow"):
                with pytest.raises(openai.APIError):
                    yield ask(client, model, stream=stream, timeout=0.1 if model == "slow" else 5)
        yield ask(client, "chat")
        yield every((yield ask(client, "pieces", stream=True)))
        stream = yield ask(client, "pieces", stream=True)
        assert server_limiter(server).in_use == 1
        yield first(stream)
        yield stream.close()

    play(script, **limited(server, 1))
    assert (server_limiter(server).in_use, server_limiter(server).waiting) == (0, 0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 4])
def test_choices_side_by_side(play: Play, server: Loopback, limit: int, stream: bool) -> None:
    """n = 3: in turn where there are fewer limiter; streams, read one after the other, all the same at once."""
    together, counted = threading.Barrier(3, timeout=2), server.counted(0.01)

    def act(handler: Handler) -> None:
        if stream:  # all three have to be there
            together.wait()
        counted(handler)

    server.act = act

    def script(client: Any) -> Any:
        reply = yield client.chat.completions.create(**ASK, n=3, stream=stream)
        if not stream:
            return [choice.message.content for choice in reply.choices]
        chunks = yield every(reply)
        return [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]

    assert play(script, **limited(server, limit)) == ["Hello"] * 3
    assert stream or server.most <= limit
    assert server_limiter(server).in_use == 0


def test_calls_of_several_streams_do_not_wait_for_each_other(server: Loopback) -> None:
    """Two calls of two streams with three limiter: each takes its two together, or none."""
    server.act = server.counted(0.01)

    async def one(client: AsyncOpenAI) -> int:
        stream = await client.chat.completions.create(**ASK, n=2, stream=True)
        return len([chunk async for chunk in stream])

    async def main() -> None:
        async with AsyncOpenAI(**limited(server, 3)) as client:
            counts = await asyncio.wait_for(asyncio.gather(*(one(client) for _ in range(6))), 3)
            assert len(set(counts)) == 1

    asyncio.run(main())
    assert server.most <= 2


@pytest.mark.usefixtures("impatient")
def test_streams_that_nobody_reads_do_not_block_others(server: Loopback) -> None:
    """Six streams gathered first and read afterwards: with limiter for two, the plain SDK's pattern still works."""

    async def main() -> list[int]:
        async with AsyncOpenAI(**limited(server, 2)) as client:
            asking = [client.chat.completions.create(**ASK, stream=True) for _ in range(6)]
            streams = await asyncio.wait_for(asyncio.gather(*asking), 3)
            return [len(await every(stream)) for stream in streams]

    assert min(asyncio.run(main())) > 0
    assert server_limiter(server).in_use == 0


@pytest.mark.usefixtures("impatient")
def test_a_forgotten_stream_does_not_block_others(server: Loopback) -> None:
    with OpenAI(**limited(server, 1)) as client:
        forgotten = client.chat.completions.create(**ASK, stream=True)
        assert client.chat.completions.create(**ASK).choices[0].message.content == "Hello"
        assert list(forgotten)
    assert server_limiter(server).in_use == 0


FINISHES = {
    "native": {"provider": "ollama"},
    "/v1": {"provider": "openai", "dialect": "vllm"},
    "passed through": {"provider": "openai", "dialect": "openai"},
}


@pytest.mark.parametrize("given", FINISHES.values(), ids=FINISHES)
def test_a_stream_with_its_finish_holds_no_slot(play: Play, given: dict[str, str]) -> None:
    """`if finish_reason: break` is how most loops end: the server is done with the stream then."""
    with fake("ollama@0.32" if given["provider"] == "ollama" else "vllm") as server:
        server.script(slow(turn="Hello to you", between=0.05), repeat=True)
        where = {"host": server.url} if given["provider"] == "ollama" else {"base_url": server.base_url}
        limiter = limiter_of(("http", server.url.removeprefix("http://").encode()))

        def script(client: Any) -> Any:
            stream = yield client.chat.completions.create(**ASK, stream=True)
            yield first(stream)
            assert limiter.in_use == 1
            while not (chunk := (yield first(stream))).choices or chunk.choices[0].finish_reason is None:
                pass
            held = limiter.in_use
            yield stream.close()
            return held

        settings = Settings(**given, **where, max_concurrency=1)
        assert play(script, settings=settings, api_key="k") == 0


def test_calls_inside_a_stream_do_not_wait_for_it(
    play: Play, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that asks the model while the outer stream is open, and a stream that was left, are the caller's own."""
    monkeypatch.setattr(Limiter, "enqueue", lambda self, slot, wake: pytest.fail("a call waits for its own caller"))
    server.act = lambda handler: handler.stream("a", "b", "c") if handler.body["stream"] else handler.chat()

    def script(client: Any) -> Any:
        outer = yield client.chat.completions.create(**ASK, stream=True)
        yield first(outer)
        nested = yield client.chat.completions.create(**ASK)
        left = yield client.chat.completions.create(**ASK, stream=True)
        rest = yield every(outer)
        yield left.close()
        return nested.choices[0].message.content, bool(rest)

    assert play(script, **limited(server, 1)) == ("Hello", True)
    assert server_limiter(server).in_use == 0


def test_a_stream_that_is_slow_to_come_is_not_a_forgotten_one(server: Loopback, impatient: None) -> None:
    """Whoever waits for its next piece keeps the slot."""
    server.act = lambda handler: handler.stream("a", "b", between=0.3) if handler.body["stream"] else handler.chat()
    with OpenAI(**limited(server, 1)) as client, ThreadPoolExecutor(1) as pool:
        stream = client.chat.completions.create(**ASK, stream=True)
        next(stream)
        ended: list[float] = []
        other = pool.submit(lambda: (client.chat.completions.create(**ASK), ended.append(time.monotonic())))
        assert list(stream)
        read = time.monotonic()
        other.result()
    assert ended[0] >= read - 0.01


def test_a_sync_call_inside_an_event_loop_does_not_wait_for_it(server: Loopback) -> None:
    """A sync tool of an async agent: the calls that hold the limiter cannot go on before it returns."""
    server.act = server.counted(0.05)

    async def main() -> str | None:
        async with AsyncOpenAI(**limited(server, 1)) as client:
            task = asyncio.create_task(client.chat.completions.create(**ASK))
            while server_limiter(server).in_use == 0:
                await asyncio.sleep(0)
            with OpenAI(**limited(server, 1)) as nested:
                text = nested.chat.completions.create(**ASK).choices[0].message.content
            await task
            return text

    assert asyncio.run(main()) == "Hello"
    assert server_limiter(server).in_use == 0


def test_waiting_counts_against_no_timeout_but_the_callers(play: Play, server: Loopback) -> None:
    """A configured one is about the server; the caller's own is how long the caller wants to wait, httpx's `pool`."""
    held = Slot(server_limiter(server), 1)
    assert held.acquire()
    timer = threading.Timer(0.6, held.release_all)

    def script(client: Any) -> Any:
        with pytest.raises(openai.APITimeoutError):
            yield client.chat.completions.create(**ASK, timeout=0.02)
        timer.start()
        return (yield client.chat.completions.create(**ASK)).choices[0].message.content

    assert play(script, **limited(server, 1, load_timeout=0.5)) == "Hello"
    timer.join()
    assert len(server.asked) == 1


def test_a_cancelled_call_leaves_the_line(server: Loopback) -> None:
    server.act = server.counted(0.05)

    async def main() -> None:
        async with AsyncOpenAI(**limited(server, 1)) as client:
            tasks = [asyncio.create_task(client.chat.completions.create(**ASK)) for _ in range(3)]
            while server_limiter(server).waiting < 2:
                await asyncio.sleep(0)
            tasks[1].cancel()
            tasks[0].cancel()
            assert (await tasks[2]).choices[0].message.content == "Hello"

    asyncio.run(main())
    assert (server_limiter(server).in_use, server_limiter(server).waiting) == (0, 0)


def test_another_server_has_other_places(server: Loopback) -> None:
    """A profile's limit is for its own host: a model that a prefix leads elsewhere does not take it along."""
    from llm_adapter.routing.connection import connect, sibling

    here = connect(Settings(provider="ollama", host=server.root, max_concurrency=1, idle_timeout=3), {})
    assert here.terms is not None
    assert sibling(here, "openai").terms is None


def test_a_mocked_client_needs_no_socket(play: Play) -> None:
    """A reply that was read before it is looked at gives its slot back as well."""
    reply = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}
    http = play.http(lambda request: HTTPX.Response(200, json=reply))
    settings = Settings(provider="ollama", host="http://mocked.test", max_concurrency=1)

    def script(client: Any) -> Any:
        for stream in (False, True):
            reply = yield client.chat.completions.create(**ASK, stream=stream)
        return (yield every(reply))

    assert play(script, settings=settings, http_client=http)
    assert limiter_of(("http", b"mocked.test")).in_use == 0
