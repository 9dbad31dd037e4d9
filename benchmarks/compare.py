"""What the adapter costs, as a ratio to the plain SDK: python benchmarks/compare.py [--quick] [--json FILE]

Every number is the CPU time of this process alone: the stub server has its own. The columns take turns within each
round, so that a busy machine slows them alike, and the least of all rounds counts. See README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import openai

import llm_adapter
from llm_adapter import Settings

PLAIN, PASS_THROUGH, DIALECT, NATIVE = "openai", "pass-through", "llamacpp /v1", "native ollama"
OURS = (PASS_THROUGH, DIALECT, NATIVE)
CHAT, FIXED, CHUNK, ONE, MANY = "chat call", "stream, fixed", "stream, chunk", "1 embedding", "16 embeddings"
IMPORT = "import"
# A dialect's stream is translated like a native one, and shares its limit.
TARGETS: Mapping[str, Mapping[str, float]] = {
    CHAT: dict.fromkeys(OURS, 1.0),
    CHUNK: {PASS_THROUGH: 0.3, DIALECT: 0.4, NATIVE: 0.4},
    IMPORT: {"llm_adapter": 1.05},
}
SHORT, LONG = 1, 257  # pieces of text of the two streams whose difference is the cost of a chunk
MESSAGES: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tell me about the sea."}]
_ADDED = """
import time, openai
begun = time.process_time()
from llm_adapter import OpenAI
print(time.process_time() - begun)
"""
_FOREIGN = ("OPENAI_", "OLLAMA_", "LLM_ADAPTER_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

Cost: TypeAlias = dict[str, float]  # column to seconds of CPU
Act: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True)
class Work:
    """Something that is timed: sync and async, so many times a sample."""

    times: int
    sync: Act
    asynchronous: Callable[[Any], Awaitable[Any]]


def chat(client: Any) -> Any:
    return client.chat.completions.create(model="stub-64", messages=MESSAGES, temperature=0.2, max_tokens=100)


def stream(client: Any, count: int) -> Any:
    return client.chat.completions.create(model=f"stub-{count}", messages=MESSAGES, stream=True)


def embed(client: Any, count: int) -> Any:
    return client.embeddings.create(model="stub", input=["The sea is blue."] * count if count > 1 else "The sea.")


def _streamed(count: int, times: int) -> Work:
    async def asynchronous(client: Any) -> Any:
        return [chunk async for chunk in await stream(client, count)]

    return Work(times, lambda client: list(stream(client, count)), asynchronous)


def _called(act: Act, times: int) -> Work:
    return Work(times, act, act)


WORK = {
    CHAT: _called(chat, 5),
    f"{CHUNK} {SHORT}": _streamed(SHORT, 5),
    f"{CHUNK} {LONG}": _streamed(LONG, 1),
    ONE: _called(lambda client: embed(client, 1), 5),
    MANY: _called(lambda client: embed(client, 16), 2),
}


@contextmanager
def stub() -> Iterator[str]:
    """The stub server's root address, while it runs in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("stub.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


def clients(root: str, *, asynchronous: bool) -> dict[str, Any]:
    """One client a column; all but the native one send to the same /v1."""
    plain, ours = (openai.AsyncOpenAI, llm_adapter.AsyncOpenAI) if asynchronous else (openai.OpenAI, llm_adapter.OpenAI)
    v1 = f"{root}/v1"
    llamacpp = Settings(provider="openai", base_url=v1, dialect="llamacpp")
    return {
        PLAIN: plain(base_url=v1, api_key="stub"),
        PASS_THROUGH: ours(base_url=v1, api_key="stub", settings=Settings()),
        DIALECT: ours(api_key="stub", settings=llamacpp),
        NATIVE: ours(api_key="stub", settings=Settings(provider="ollama", host=root)),
    }


def sampler(client: Any, work: Work, loop: asyncio.AbstractEventLoop | None) -> Callable[[], None]:
    """One sample of one column."""

    def sync() -> None:
        for _ in range(work.times):
            work.sync(client)

    async def asynchronous() -> None:
        for _ in range(work.times):
            await work.asynchronous(client)

    return sync if loop is None else lambda: loop.run_until_complete(asynchronous())


def least(samples: Mapping[str, Callable[[], None]], rounds: int) -> Cost:
    """The least CPU time of each sample. Each round begins with another one: no column is always the first."""
    names = list(samples)
    best = dict.fromkeys(names, float("inf"))
    for turn in range(-1, rounds):  # the first round warms up
        gc.collect()
        gc.freeze()  # what is there already is not looked through during a sample
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begun = time.process_time()
            samples[name]()
            spent = time.process_time() - begun
            best[name] = min(best[name], spent) if turn >= 0 else best[name]
    return best


def same(given: Mapping[str, Any]) -> None:
    """Refuse to compare unequal work: every column says the same text in as many chunks, or the same vectors."""
    texts = {name: [chunk.choices[0].delta.content or "" for chunk in chunks] for name, chunks in given.items()}
    assert len({(len(text), "".join(text)) for text in texts.values()}) == 1, texts


def measured(root: str, rounds: int, *, asynchronous: bool) -> dict[str, Cost]:
    """Row to column to seconds a call, or a chunk."""
    loop = asyncio.new_event_loop() if asynchronous else None
    columns = clients(root, asynchronous=asynchronous)
    if loop is None:
        same({name: list(stream(client, LONG)) for name, client in columns.items()})
    costs = {}
    for row, work in WORK.items():
        samples = {name: sampler(client, work, loop) for name, client in columns.items()}
        costs[row] = {name: spent / work.times for name, spent in least(samples, rounds).items()}
    if loop is not None:
        for client in columns.values():
            loop.run_until_complete(client.close())
        loop.close()
    return _split(costs)


def _split(costs: dict[str, Cost]) -> dict[str, Cost]:
    """The two streams' costs as what a stream costs once and what it costs a chunk."""
    short, long = costs[f"{CHUNK} {SHORT}"], costs[f"{CHUNK} {LONG}"]
    chunk = {name: (long[name] - short[name]) / (LONG - SHORT) for name in short}
    fixed = {name: short[name] - chunk[name] * (SHORT + 1) for name in short}  # the finish is a chunk too
    return {CHAT: costs[CHAT], FIXED: fixed, CHUNK: chunk, ONE: costs[ONE], MANY: costs[MANY]}


def imports(rounds: int) -> Cost:
    """The least CPU time of fresh interpreters that import the SDK, and of those that import ours instead.

    A process that imports nothing is taken off. What ours adds is timed inside its process: whole processes, with the
    taking down of all that was imported, differ from one another by more than that.
    """
    # An installer compiles what it installs; a checkout may not have been.
    compileall.compile_dir(str(Path(llm_adapter.__file__).parent), quiet=2)
    best = {"nothing": float("inf"), "openai": float("inf"), "added": float("inf")}
    for _ in range(rounds):
        best["nothing"] = min(best["nothing"], _process("pass")[0])
        best["openai"] = min(best["openai"], _process("import openai")[0])
        best["added"] = min(best["added"], float(_process(_ADDED)[1]))
    sdk = best["openai"] - best["nothing"]
    return {"openai": sdk, "llm_adapter": sdk + best["added"]}


def _process(code: str) -> tuple[float, str]:
    """The CPU time of a fresh interpreter, and what it prints."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"this failed: {code}")
    return used.ru_utime + used.ru_stime, printed


def verdict(row: str, column: str, ratio: float) -> str:
    limit = TARGETS.get(row, {}).get(column)
    return "" if limit is None else f" {'ok' if ratio <= limit else 'OVER'} {limit:g}"


def table(mode: str, rows: Mapping[str, Cost]) -> str:
    """Absolute CPU of the plain SDK, ratios to it for the rest, each with its target."""
    lines = [f"{mode:<16}{PLAIN + ' µs':>12}" + "".join(f"{name:>20}" for name in OURS)]
    for row, cost in rows.items():
        ratios = [(name, cost[name] / cost[PLAIN]) for name in OURS]
        cells = [f"{ratio:.2f}{verdict(row, name, ratio):<9}" for name, ratio in ratios]
        lines.append(f"{row:<16}{cost[PLAIN] * 1e6:>12.0f}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join(lines)


def imported(cost: Cost) -> str:
    ratio = cost["llm_adapter"] / cost["openai"]
    return (
        f"{IMPORT}: openai {cost['openai'] * 1e3:.0f} ms, llm_adapter {cost['llm_adapter'] * 1e3:.0f} ms, "
        f"{ratio:.3f}{verdict(IMPORT, 'llm_adapter', ratio)}"
    )


def report(found: Mapping[str, Mapping[str, Cost]], start: Cost) -> dict[str, Any]:
    """The same as data: seconds of CPU, and ratios to the plain SDK."""
    rows = [
        {"mode": mode, "row": row, "seconds": cost, "ratios": {name: cost[name] / cost[PLAIN] for name in OURS}}
        for mode, rows in found.items()
        for row, cost in rows.items()
    ]
    ratio = start["llm_adapter"] / start["openai"]
    versions = {
        "openai": openai.__version__,
        "llm_adapter": llm_adapter.__version__,
        "python": platform.python_version(),
    }
    return {
        "versions": versions,
        "rows": rows,
        IMPORT: {"seconds": start, "ratio": ratio},
        "targets": TARGETS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU of the adapter as a ratio to the plain openai SDK")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a minute, and noisier")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to this file too")
    given = parser.parse_args()
    for name in [name for name in os.environ if name.upper().startswith(_FOREIGN)]:
        del os.environ[name]
    rounds, starts = (40, 15) if given.quick else (200, 30)
    print(f"openai {openai.__version__}, Python {platform.python_version()}; CPU, ratios to the plain SDK\n")
    found = {}
    with stub() as root:
        for mode in ("sync", "async"):
            found[mode] = measured(root, rounds, asynchronous=mode == "async")
            print(table(mode, found[mode]) + "\n", flush=True)
    start = imports(starts)
    print(imported(start))
    if given.json:
        given.json.write_text(json.dumps(report(found, start), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
