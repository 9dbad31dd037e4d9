"""What is measured: calls of a client, and the rows of the table that are made of what they cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, TypeAlias

Cost: TypeAlias = dict[str, float]  # column to seconds of CPU
Act: TypeAlias = Callable[[Any], Any]
Pick: TypeAlias = Callable[[list[float]], float]  # of the samples' costs

PLAIN, PASS_THROUGH, DIALECT, NATIVE = "openai", "pass-through", "llamacpp /v1", "native ollama"
OURS = (PASS_THROUGH, DIALECT, NATIVE)
SHORT, LONG = 1, 257  # pieces of text of the two streams whose difference is the cost of a chunk
PACED = 33  # the same of pieces that come one by one
SIDE_BY_SIDE = 100
SENTENCE = "The sea is blue, and wide, and nobody who has looked at it for long has said that it was only water."


@dataclass(frozen=True)
class Work:
    """Something that is timed, so many times a sample. `sync` is None for what only an event loop does.

    pick: which of the samples counts.
    """

    times: int
    sync: Act | None
    asynchronous: Callable[[Any], Awaitable[Any]]
    pick: Pick = min


@dataclass(frozen=True)
class Row:
    """A row of the table: the works that it needs, what it makes of their costs, and how low each column shall be."""

    works: tuple[str, ...]
    targets: Mapping[str, float] = field(default_factory=dict)
    of: Callable[..., float] = lambda cost: cost


def messages(count: int) -> Any:
    """A conversation of so many messages."""
    said = [{"role": ("user", "assistant")[place % 2], "content": f"{place}. {SENTENCE}"} for place in range(count)]
    return [{"role": "system", "content": "Be brief."}, *said[: count - 1]] if count > 1 else said


def tools(count: int) -> Any:
    """So many functions, each with the parameters that a tool usually has."""
    properties = {
        "city": {"type": "string", "description": "The city, in its own language."},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 14}},
    }
    parameters = {"type": "object", "properties": properties, "required": ["city"], "additionalProperties": False}
    about = {"description": "The weather of a city on some days to come.", "parameters": parameters}
    return [{"type": "function", "function": {"name": f"get_weather_{place}", **about}} for place in range(count)]


def chat(client: Any, messages: Any, **arguments: Any) -> Any:
    return client.chat.completions.create(
        model="stub-64", messages=messages, temperature=0.2, max_tokens=100, **arguments
    )


def stream(client: Any, count: int, width: int = 0) -> Any:
    return client.chat.completions.create(model=f"stub-{count}x{width}", messages=_TWO, stream=True)


def paced(client: Any, count: int) -> Any:
    """The same in pieces that come one by one."""
    return client.chat.completions.create(model=f"paced-{count}", messages=_TWO, stream=True)


def embed(client: Any, count: int) -> Any:
    return client.embeddings.create(model="stub", input=["The sea is blue."] * count if count > 1 else "The sea.")


def respond(client: Any, **arguments: Any) -> Any:
    return client.responses.create(model="stub-64", instructions="Be brief.", input=SENTENCE, **arguments)


def respond_in_events(client: Any, count: int) -> Any:
    return client.responses.create(model=f"stub-{count}", instructions="Be brief.", input=SENTENCE, stream=True)


def called(act: Act, times: int = 1) -> Work:
    return Work(times, act, act)


def streamed(act: Act, times: int = 1, pick: Pick = min) -> Work:
    async def asynchronous(client: Any) -> Any:
        return [chunk async for chunk in await act(client)]

    return Work(times, lambda client: list(act(client)), asynchronous, pick)


async def _side_by_side(client: Any) -> None:
    async def read() -> None:
        async for _ in await stream(client, LONG):
            pass

    await asyncio.gather(*(read() for _ in range(SIDE_BY_SIDE)))


_TWO, _FIFTY, _TWO_HUNDRED, _TEN, _TWENTY_TOOLS = messages(2), messages(50), messages(200), messages(10), tools(20)

WORKS: Mapping[str, Work] = {
    "2 messages": called(lambda client: chat(client, _TWO), 5),
    "50 messages": called(lambda client: chat(client, _FIFTY)),
    "200 messages": called(lambda client: chat(client, _TWO_HUNDRED)),
    "20 tools": called(lambda client: chat(client, _TEN, tools=_TWENTY_TOOLS), 2),
    "short stream": streamed(lambda client: stream(client, SHORT), 5),
    "long stream": streamed(lambda client: stream(client, LONG)),
    # The median: in the quickest samples the client was late, and found several pieces together.
    "short paced stream": streamed(lambda client: paced(client, SHORT), pick=median),
    "long paced stream": streamed(lambda client: paced(client, PACED), pick=median),
    "1 input": called(lambda client: embed(client, 1), 5),
    "16 inputs": called(lambda client: embed(client, 16), 2),
    "response": called(respond, 5),
    "short response": streamed(lambda client: respond_in_events(client, SHORT), 5),
    "long response": streamed(lambda client: respond_in_events(client, LONG)),
    "streams": Work(1, None, _side_by_side),
}


def _a_piece(short: float, long: float) -> float:
    return (long - short) / (LONG - SHORT)


def _a_paced_piece(short: float, long: float) -> float:
    return (long - short) / (PACED - SHORT)


def _the_rest(short: float, long: float) -> float:
    """What a stream costs once. Its finish is a chunk too."""
    return short - _a_piece(short, long) * (SHORT + 1)


def _targets(native: float, dialect: float | None, pass_through: float) -> Mapping[str, float]:
    return {NATIVE: native, PASS_THROUGH: pass_through} | ({} if dialect is None else {DIALECT: dialect})


# Ratios to the plain SDK. Five times the throughput is a fifth of the CPU.
ROWS: Mapping[str, Row] = {
    "chat call, 2 messages": Row(("2 messages",), _targets(0.60, 0.62, 0.55)),
    "chat call, 50 messages": Row(("50 messages",), _targets(0.15, 0.15, 0.12)),
    "chat call, 200 messages": Row(("200 messages",), _targets(0.06, 0.06, 0.05)),
    "chat call, 10 messages, 20 tools": Row(("20 tools",), _targets(0.40, 0.40, 0.30)),
    "a stream's fixed part": Row(("short stream", "long stream"), _targets(0.55, 0.60, 0.55), _the_rest),
    "a streamed chunk": Row(("short stream", "long stream"), _targets(0.15, 0.15, 0.13), _a_piece),
    "a chunk that comes by itself": Row(("short paced stream", "long paced stream"), of=_a_paced_piece),
    "1 embedding": Row(("1 input",), _targets(0.65, 0.75, 0.75)),
    "16 embeddings of 1024": Row(("16 inputs",), _targets(0.95, 1.0, 1.0)),
    "a response": Row(("response",), _targets(1.0, None, 0.8)),
    "an event of a response": Row(("short response", "long response"), _targets(1.0, None, 0.8), _a_piece),
    # At the end: what it leaves open slows the pool of whatever comes after it.
    "100 streams of 257 chunks": Row(("streams",), _targets(0.20, 0.20, 0.166)),
}
