"""What the adapter costs, as a ratio to the plain SDK: see README.md.

python benchmarks/compare.py [--quick] [--rows chat,chunk] [--curve] [--json FILE]

Every number is the CPU time of this process alone: the stub server has its own. The columns take turns within each
round, so that a busy machine slows them alike, and the least of all rounds counts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import curve
import openai
import start
from work import (
    DIALECT,
    LONG,
    NATIVE,
    OURS,
    PASS_THROUGH,
    PLAIN,
    ROWS,
    WORKS,
    Cost,
    Pick,
    Work,
    respond_in_events,
    stream,
)

import llm_adapter
from llm_adapter import Settings

FEWEST = 4  # rounds, however long one takes
_FOREIGN = ("OPENAI_", "OLLAMA_", "LLM_ADAPTER_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@contextmanager
def stub() -> Iterator[str]:
    """The stub server's root address, while it runs in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("stub.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


def without_the_callers_settings() -> None:
    """Take out of the environment whatever would send a call elsewhere."""
    for name in [name for name in os.environ if name.upper().startswith(_FOREIGN)]:
        del os.environ[name]


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
        assert work.sync is not None
        for _ in range(work.times):
            work.sync(client)

    async def asynchronous() -> None:
        for _ in range(work.times):
            await work.asynchronous(client)

    return sync if loop is None else lambda: loop.run_until_complete(asynchronous())


def least(samples: Mapping[str, Callable[[], None]], rounds: int, seconds: float, pick: Pick = min) -> Cost:
    """The least CPU time of each sample. Each round begins with another one: no column is always the first.

    seconds: how much CPU may be spent on all of them before there are fewer rounds. pick: instead of the least one.
    """
    names = list(samples)
    spent: dict[str, list[float]] = {name: [] for name in names}
    ends = time.process_time() + seconds
    for turn in range(-1, rounds):  # the first round warms up
        if turn >= FEWEST and time.process_time() > ends:
            break
        gc.collect()
        gc.freeze()  # what is there already is not looked through during a sample
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begun = time.process_time()
            samples[name]()
            if turn >= 0:
                spent[name].append(time.process_time() - begun)
    return {name: pick(spent[name]) for name in names}


def same(given: Mapping[str, Any]) -> None:
    """Refuse to compare unequal work: every column says the same text in as many chunks."""
    texts = {name: [chunk.choices[0].delta.content or "" for chunk in chunks] for name, chunks in given.items()}
    assert len({(len(text), "".join(text)) for text in texts.values()}) == 1, texts


def same_events(given: Mapping[str, Any]) -> None:
    """The same for a response's events: as many of every kind."""
    kinds = {name: [event.type for event in events] for name, events in given.items()}
    assert len({tuple(kind) for kind in kinds.values()}) == 1, kinds


def measured(root: str, rows: Iterable[str], rounds: int, *, asynchronous: bool) -> dict[str, Cost]:
    """Row to column to seconds a call, a chunk or an event."""
    loop = asyncio.new_event_loop() if asynchronous else None
    columns = clients(root, asynchronous=asynchronous)
    if loop is None:
        same({name: list(stream(client, LONG)) for name, client in columns.items()})
        same_events({name: list(respond_in_events(client, LONG)) for name, client in columns.items()})
    costs: dict[str, Cost] = {}
    for name in dict.fromkeys(name for row in rows for name in ROWS[row].works):
        work = WORKS[name]
        if loop is not None or work.sync is not None:
            samples = {column: sampler(client, work, loop) for column, client in columns.items()}
            spent = least(samples, rounds, seconds=rounds / 10, pick=work.pick)
            costs[name] = {column: seconds / work.times for column, seconds in spent.items()}
    if loop is not None:
        for client in columns.values():
            loop.run_until_complete(client.close())
        loop.close()
    return {row: _cost(row, costs) for row in rows if costs.keys() >= set(ROWS[row].works)}


def _cost(row: str, costs: Mapping[str, Cost]) -> Cost:
    return {column: ROWS[row].of(*(costs[name][column] for name in ROWS[row].works)) for column in (PLAIN, *OURS)}


def verdict(limit: float | None, ratio: float) -> str:
    return "" if limit is None else f" {'ok' if ratio <= limit else 'OVER'} {limit:g}"


def table(mode: str, rows: Mapping[str, Cost]) -> str:
    """Absolute CPU of the plain SDK, ratios to it for the rest, each with its target."""
    lines = [f"{mode:<34}{PLAIN + ' µs':>12}" + "".join(f"{name:>18}" for name in OURS)]
    for row, cost in rows.items():
        ratios = {name: cost[name] / cost[PLAIN] for name in OURS}
        cells = [f"{ratio:.3f}{verdict(ROWS[row].targets.get(name), ratio):<11}" for name, ratio in ratios.items()]
        lines.append(f"{row:<34}{cost[PLAIN] * 1e6:>12.0f}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)


def started(costs: Mapping[str, Cost]) -> str:
    """A line for each way to begin, with the ratios to the SDK's whole process."""
    lines = []
    for row, cost in costs.items():
        ratios = [(name, cost[name] / cost[PLAIN]) for name in cost if name != PLAIN]
        cells = [f"{name} {ratio:.3f}{verdict(start.TARGETS.get(row), ratio)}" for name, ratio in ratios]
        lines.append(f"{row}: {PLAIN} {cost[PLAIN] * 1e3:.0f} ms, " + ", ".join(cells))
    return "\n".join(lines)


def report(found: Mapping[str, Mapping[str, Cost]], starts: Mapping[str, Cost]) -> dict[str, Any]:
    """The same as data: seconds of CPU, and ratios to the plain SDK."""
    rows = [
        {"mode": mode, "row": row, "seconds": cost, "ratios": {name: cost[name] / cost[PLAIN] for name in cost}}
        for mode, costs in {**found, "processes": starts}.items()
        for row, cost in costs.items()
    ]
    versions = {
        "openai": openai.__version__,
        "llm_adapter": llm_adapter.__version__,
        "python": platform.python_version(),
    }
    targets = {row: ROWS[row].targets for row in ROWS}
    return {"versions": versions, "rows": rows, "targets": {**targets, **start.TARGETS}}


def chosen(parts: str | None, names: Iterable[str]) -> list[str]:
    """The names that hold one of the parts, which stand with commas between them; all without any."""
    wanted = parts.split(",") if parts else [""]
    return [name for name in names if any(part.strip() in name for part in wanted)]


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU of the adapter as a ratio to the plain openai SDK")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a minute, and noisier")
    parser.add_argument("--rows", metavar="PARTS", help="only the rows whose names hold one of these, as `chat,chunk`")
    parser.add_argument("--curve", action="store_true", help="instead: how a call's cost grows at 1, 10, 100 and 1,000")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to this file too")
    given = parser.parse_args()
    without_the_callers_settings()
    rounds, starts = (40, 15) if given.quick else (200, 40)
    print(f"openai {openai.__version__}, Python {platform.python_version()}; CPU, ratios to the plain SDK\n")
    found: dict[str, dict[str, Cost]] = {}
    with stub() as root:
        if given.curve:
            curve.show(clients(root, asynchronous=False), chosen(given.rows, curve.CURVES), sampler, least)
            return
        for mode in ("sync", "async"):
            found[mode] = measured(root, chosen(given.rows, ROWS), rounds, asynchronous=mode == "async")
            print(table(mode, found[mode]) + "\n", flush=True)
    begun = start.measured(chosen(given.rows, start.WAYS), starts)
    print(started(begun))
    if given.json:
        given.json.write_text(json.dumps(report(found, begun), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
