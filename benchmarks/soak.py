"""A service that runs for long: python benchmarks/soak.py [--calls 100000] [--seconds 1800]

Mixed calls by threads and by tasks of an event loop, all of one client each, whose profile changes with every piece of
work: chat, streams that are read and streams that are left, tools, embeddings, chains of responses. After each
twentieth of them nothing is under way, and the process is looked at: its memory, the objects that the collector knows,
its open files, its threads, and the store of responses. What still grows in the second half is a leak: exit code 1.

Then, in the same process, the same mix beside the plain SDK's, and how much later than its replies ours come.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import sqlite3
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import openai
from compare import clients, stub, without_the_callers_settings
from work import PLAIN, chat, embed, messages, tools

import llm_adapter

STEPS = 20
THREADS, TASKS = 6, 24
STORED = 500  # responses: more than those that are under way, and few enough for the store to be full soon
# How much more there may be at the end than in the middle: an allocator's noise, and what waits for the next call.
SHARE, FEW = 1.03, THREADS + TASKS
PROFILES = """
response_store_limit = {stored}

[profiles.native]
provider = "ollama"
host = "{root}"

[profiles.kept]
provider = "ollama"
host = "{root}"
response_store = "{store}"

[profiles.dialect]
provider = "openai"
base_url = "{root}/v1"
dialect = "llamacpp"

[profiles.pass_through]
provider = "openai"
base_url = "{root}/v1"
api_key = "stub"
dialect = "openai"
"""
NAMES = ("native", "kept", "dialect", "pass_through")
_TEN, _THREE_TOOLS = messages(10), tools(3)


# Yields what is to be asked and receives the replies, so that threads and tasks do the same.
Work: TypeAlias = Generator[Callable[[], Any], Any, None]


def _chat(client: Any) -> Work:
    yield lambda: chat(client, _TEN)


def _read(client: Any) -> Work:
    stream = yield lambda: client.chat.completions.create(model="stub-30", messages=_TEN, stream=True)
    yield from _pieces(stream, 31)


def _left(client: Any) -> Work:
    """A stream that nobody reads to its end, and that nobody closes."""
    stream = yield lambda: client.chat.completions.create(model="stub-200", messages=_TEN, stream=True)
    yield from _pieces(stream, 3)


def _tools(client: Any) -> Work:
    ask = partial(client.chat.completions.create, model="caller-10", tools=_THREE_TOOLS)
    reply = yield lambda: ask(messages=_TEN)
    message = reply.choices[0].message
    answer = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "Sunny."}
    yield lambda: ask(messages=[*_TEN, message, answer])


def _embed(client: Any) -> Work:
    yield lambda: embed(client, 4)


def _respond(client: Any) -> Work:
    """A conversation of responses; a `/v1` server keeps its own, and the stub keeps none."""
    last = None
    for _ in range(4):
        ask = partial(client.responses.create, model="stub-10", input="And then?", previous_response_id=last)
        response = yield ask
        last = response.id


def _pieces(stream: Any, count: int) -> Work:
    for _ in range(count):
        yield lambda: _next(stream)


def _next(stream: Any) -> Any:
    return next(stream) if hasattr(stream, "__next__") else anext(stream)


WORK: tuple[Callable[[Any], Work], ...] = (_chat, _chat, _read, _left, _tools, _embed, _respond)
CALLS: Mapping[Callable[[Any], Work], int] = {_tools: 2, _respond: 4}  # and one each of the others


def do(work: Work) -> None:
    try:
        ask = next(work)
        while True:
            ask = work.send(ask())
    except StopIteration:
        pass


async def ado(work: Work) -> None:
    try:
        ask = next(work)
        while True:
            ask = work.send(await ask())
    except StopIteration:
        pass


class Crew:
    """Threads, and a loop in a thread of its own with tasks in it, that stay as long as a service does."""

    def __init__(self, sync: Any, asynchronous: Any) -> None:
        self._clients = (sync, asynchronous)
        self._threads = ThreadPoolExecutor(THREADS)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def work(self, calls: int, seed: int, choose: Callable[[Any, random.Random], Any]) -> int:
        """So many calls, half by threads and half by tasks. How many it were.

        choose: what makes the client for a piece of work.
        """
        dice, done = random.Random(seed), 0
        works: list[Callable[[Any], Work]] = []
        while done < calls:
            works.append(dice.choice(WORK))
            done += CALLS.get(works[-1], 1)
        shares = [
            iter([(work, choose(client, dice)) for work in works[place::2]])
            for place, client in enumerate(self._clients)
        ]
        lock = threading.Lock()
        threads = [self._threads.submit(_thread, shares[0], lock) for _ in range(THREADS)]
        tasks = asyncio.run_coroutine_threadsafe(_tasks(shares[1]), self._loop)
        for each in (*threads, tasks):
            each.result()
        return done


def _thread(share: Iterator[Any], lock: threading.Lock) -> None:
    while True:
        with lock:
            given = next(share, None)
        if given is None:
            return
        work, client = given
        do(work(client()))


async def _tasks(share: Iterator[Any]) -> None:
    async def task() -> None:
        for work, client in share:
            await ado(work(client()))

    await asyncio.gather(*(task() for _ in range(TASKS)))


def any_profile(client: Any, dice: random.Random) -> Any:
    """The client of a piece of work, made when it begins: a service makes one for each of its own calls."""
    return partial(client.with_options, profile=dice.choice(NAMES))


def as_it_is(client: Any, _: random.Random) -> Any:
    return lambda: client


@dataclass(frozen=True)
class State:
    """What the process holds when nothing is under way."""

    memory: float  # MB
    objects: int
    files: int
    threads: int
    stored: int
    store: float  # MB

    @classmethod
    def now(cls, store: Path) -> State:
        gc.collect()
        resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        files = len(list(Path("/proc/self/fd").iterdir()))
        with sqlite3.connect(store) as database:
            (stored,) = database.execute("SELECT count(*) FROM response_nodes").fetchone()
        database.close()
        size = store.stat().st_size
        return cls(resident / 1e6, len(gc.get_objects()), files, threading.active_count(), stored, size / 1e6)

    def __str__(self) -> str:
        held = f"{self.memory:>10.1f}{self.objects:>10,}{self.files:>8}{self.threads:>8}"
        return f"{held}{self.stored:>8}{self.store:>10.2f}"


HEAD = f"{'calls':>10}{'MB':>10}{'objects':>10}{'files':>8}{'threads':>8}{'stored':>8}{'store MB':>10}"


def grown(states: list[State]) -> list[str]:
    """What there is more of in the last quarter than in the second: by then everything was warm."""
    quarter = len(states) // 4
    found = []
    for name in State.__dataclass_fields__:
        second, last = (
            statistics.median(getattr(state, name) for state in part)
            for part in (states[quarter : 2 * quarter], states[-quarter:])
        )
        if last > second * SHARE + (FEW if name in ("files", "threads") else 0):
            found.append(f"{name}: {second:,.1f} in the second quarter, {last:,.1f} in the last")
    return found


@contextmanager
def configured(root: str) -> Iterator[Path]:
    """A user's file with the profiles. The path of the store."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "llm_adapter" / "llm_adapter.toml"
        store = Path(folder) / "responses.sqlite"
        file.parent.mkdir()
        file.write_text(PROFILES.format(root=root, store=store, stored=STORED), encoding="utf-8")
        os.environ["XDG_CONFIG_HOME"] = folder
        yield store


def soak(root: str, calls: int, seconds: float) -> list[str]:
    """Do the calls, and say what grew."""
    states, done, begun, spent = [], 0, time.monotonic(), time.process_time()
    with configured(root) as store:
        crew = Crew(llm_adapter.OpenAI(profile="kept"), llm_adapter.AsyncOpenAI(profile="kept"))
        print(HEAD)
        for step in range(STEPS):
            done += crew.work(calls // STEPS, step, any_profile)
            states.append(State.now(store))
            print(f"{done:>10,}{states[-1]}", flush=True)
            if time.monotonic() - begun > seconds:
                print(f"{seconds:g} seconds are over")
                break
        took, cpu = time.monotonic() - begun, time.process_time() - spent
    print(f"\n{done:,} calls in {took:.0f} s: {done / took:.0f} a second, {cpu / done * 1e6:.0f} µs of CPU each\n")
    return grown(states)


def beside(root: str, calls: int, rounds: int = 4) -> None:
    """The same mix by each client alone, by turns: calls a second of CPU, the best round of each."""
    sync, asynchronous = clients(root, asynchronous=False), clients(root, asynchronous=True)
    crews = {name: Crew(sync[name], asynchronous[name]) for name in sync}
    best = dict.fromkeys(crews, 0.0)
    for turn in range(-1, rounds):
        for name, crew in crews.items():
            begun = time.process_time()
            done = crew.work(calls, turn, as_it_is)
            if turn >= 0:
                best[name] = max(best[name], done / (time.process_time() - begun))
    told = [f"{name} {rate:.0f} ({rate / best[PLAIN]:.2f} ×)" for name, rate in best.items()]
    print("calls in a second of CPU: " + ", ".join(told))


def added(root: str, calls: int) -> None:
    """How much later than the plain SDK's replies ours come, by turns: the wall's time, in one thread."""
    columns = clients(root, asynchronous=False)
    took: dict[str, list[float]] = {name: [] for name in columns}
    for _ in range(calls):
        for name, client in columns.items():
            begun = time.perf_counter()
            chat(client, _TEN)
            took[name].append(time.perf_counter() - begun)
    at = {name: statistics.quantiles(times, n=100) for name, times in took.items()}
    print(f"{PLAIN}: a reply after {at[PLAIN][49] * 1e3:.2f} ms, p99 {at[PLAIN][98] * 1e3:.2f} ms")
    for name, found in at.items():
        if name != PLAIN:
            median, last = (1e3 * (found[place] - at[PLAIN][place]) for place in (49, 98))
            print(f"{name}: {median:+.2f} ms, p99 {last:+.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description="Many mixed calls: does anything grow?")
    parser.add_argument("--calls", type=int, default=100_000, help="how many; 100,000 by default")
    parser.add_argument("--seconds", type=float, default=1800, help="after these no further step begins")
    given = parser.parse_args()
    without_the_callers_settings()
    # A full store says so once for each, as it shall here.
    warnings.filterwarnings("ignore", "the response store is full", llm_adapter.AdapterWarning)
    print(f"openai {openai.__version__}; {THREADS} threads and {TASKS} tasks\n")
    with stub() as root:
        found = soak(root, given.calls, given.seconds)
        added(root, max(100, given.calls // 100))
        beside(root, max(100, given.calls // 50))
    print("\n" + ("\n".join(f"GROWS: {each}" for each in found) or "nothing grows"))
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
