"""How the cost of a call grows with what is in it, at 1, 10, 100 and 1,000: `python benchmarks/compare.py --curve`.

The last column of each table tells how the cost of one more changes from the second step to the third: near 1 is
linear, 10 is quadratic. The clients are sync; the translation of async calls is the same code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from work import Cost, Work, called, chat, embed, messages, respond, stream, streamed, tools

COUNTS = (1, 10, 100, 1000)
Samples = Mapping[str, Callable[[], None]]


def _chat(count: int) -> Work:
    given = messages(count)
    return called(lambda client: chat(client, given))


def _tools(count: int) -> Work:
    given, question = tools(count), messages(2)
    return called(lambda client: chat(client, question, tools=given))


def _history(count: int) -> Work:
    """A response after so many others, each of which follows the one before it."""
    last: dict[int, str] = {}  # by client

    def answer(client: Any) -> None:
        if id(client) not in last:
            last[id(client)] = _chain(client, count)
        respond(client, previous_response_id=last[id(client)])

    return called(answer)


def _chain(client: Any, count: int) -> str:
    response = respond(client)
    for _ in range(count - 1):
        response = respond(client, previous_response_id=response.id)
    return str(response.id)


CURVES: Mapping[str, Callable[[int], Work]] = {
    "messages": _chat,
    "tools": _tools,
    "inputs of an embedding": lambda count: called(lambda client: embed(client, count)),
    "chunks": lambda count: streamed(lambda client: stream(client, count)),
    "thousands of bytes in one line": lambda count: streamed(lambda client: stream(client, 1, width=count * 1000)),
    "steps of a response's history": _history,
}


def show(
    columns: Mapping[str, Any],
    names: Iterable[str],
    sampler: Callable[[Any, Work, asyncio.AbstractEventLoop | None], Callable[[], None]],
    least: Callable[[Samples, int, float], Cost],
) -> None:
    """Print a table for each name: microseconds of CPU a call, a line for each client."""
    for name in names:
        costs = []
        for count in COUNTS:
            work = CURVES[name](count)
            samples = {column: sampler(client, work, None) for column, client in columns.items()}
            costs.append(least(samples, 20, 4.0))
        print(f"{name:<34}" + "".join(f"{count:>12,}" for count in COUNTS) + f"{'grows by':>12}")
        for column in columns:
            spent = [cost[column] for cost in costs]
            print(f"{column + ' µs':<34}" + "".join(f"{each * 1e6:>12,.0f}" for each in spent) + _growth(spent))
        print(flush=True)


def _growth(spent: list[float]) -> str:
    """How the cost of one more changes; nothing where one more costs nothing that can be seen."""
    _, ten, hundred, thousand = spent
    more, much_more = (hundred - ten) / 90, (thousand - hundred) / 900
    return f"{much_more / more:>12.1f}" if more > ten / 1000 else f"{'':>12}"
