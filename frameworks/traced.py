"""One tracer in a process of its own, and what it saw of our clients' calls: lines of JSON for `test_tracing.py`.

python frameworks/traced.py TRACER before|after

"before": the tracer is switched on before anything of llm_adapter is imported. "after": when clients have been made and
have been used.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import isawaitable
from typing import Any

import openai
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from pydantic import BaseModel

EXPORTER = InMemorySpanExporter()
LOOP = asyncio.new_event_loop()
MODEL, EMBEDDING_MODEL = "gpt-4o-mini", "text-embedding-3-small"
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
ANA: list[Any] = [{"role": "user", "content": "Return JSON for a person named Ana aged 30."}]
FAIL = "Fail."
WEATHER = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}


class Person(BaseModel):
    name: str
    age: int


def provider() -> TracerProvider:
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(EXPORTER))
    return made


# --- the tracers, each switched on as its documentation has it


def opentelemetry() -> None:
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider())


def traceloop() -> None:
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider())


def openinference() -> None:
    from openinference.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider())


def logfire(*clients: Any) -> None:
    import logfire

    logfire.configure(
        send_to_logfire=False,
        console=False,
        inspect_arguments=False,
        additional_span_processors=[SimpleSpanProcessor(EXPORTER)],
    )
    logfire.instrument_openai(*clients)


def langfuse() -> None:
    from langfuse import Langfuse

    Langfuse(public_key="pk-lf-1", secret_key="sk-lf-1", base_url="http://127.0.0.1:1", span_exporter=EXPORTER)
    import langfuse.openai  # noqa: F401


def langsmith(clients: list[Any]) -> None:
    """It has runs in the place of spans: one is made of each that has ended."""
    from langsmith import Client
    from langsmith.wrappers import wrap_openai

    tracer, names = provider().get_tracer("langsmith"), {}

    class Runs(Client):
        def create_run(self, name: str, *_: Any, **run: Any) -> None:
            names[run["id"]] = name

        def update_run(self, run_id: Any, *, outputs: Any = None, error: Any = None, **_: Any) -> None:
            told = {"model": (outputs or {}).get("model"), "usage": (outputs or {}).get("usage_metadata")}
            with tracer.start_as_current_span(names[run_id]) as one:
                one.set_attributes({name: str(value) for name, value in told.items() if value})
                one.set_status(StatusCode.ERROR if error else StatusCode.OK)

    os.environ["LANGSMITH_TRACING"] = "true"
    for client in clients:
        wrap_openai(client, tracing_extra={"client": Runs(api_key="unused", auto_batch_tracing=False)})


TRACERS: dict[str, Callable[..., None]] = {
    "opentelemetry": opentelemetry,
    "traceloop": traceloop,
    "openinference": openinference,
    "logfire": logfire,
    "langfuse": langfuse,
    "logfire of clients": logfire,
    "langsmith of clients": langsmith,
}

# --- the calls


def chat(client: Any) -> Any:
    return client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=20)


def stream(client: Any) -> Any:
    more: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    return client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=20, **more)


def closed(client: Any) -> Any:
    """A stream that is given up after its first chunk."""
    return stream(client)


def tools(client: Any) -> Any:
    tool = {"type": "function", "function": WEATHER}
    return client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=20, tools=[tool])


def parse(client: Any) -> Any:
    return client.chat.completions.parse(model=MODEL, messages=ANA, response_format=Person)


def helper(client: Any) -> Any:
    """The SDK's own helper for streams, which is a context manager."""
    return client.chat.completions.stream(model=MODEL, messages=HELLO, max_tokens=20)


def raw(client: Any) -> Any:
    return client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO, max_tokens=20)


def completions(client: Any) -> Any:
    return client.completions.create(model=MODEL, prompt="Hello", max_tokens=20)


def embeddings(client: Any) -> Any:
    return client.embeddings.create(model=EMBEDDING_MODEL, input=["The sky is blue"])


def responses(client: Any) -> Any:
    return client.responses.create(model=MODEL, input="Hello", max_output_tokens=20)


def responses_stream(client: Any) -> Any:
    return client.responses.create(model=MODEL, input="Hello", max_output_tokens=20, stream=True)


def error(client: Any) -> Any:
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": FAIL}])


CALLS = (chat, stream, closed, tools, parse, helper, raw, completions, embeddings, responses, responses_stream, error)


def called(call: Callable[[Any], Any], client: Any) -> list[dict[str, Any]]:
    """The spans of one call, whose reply is read to its end."""
    EXPORTER.clear()
    try:
        if isinstance(client, openai.AsyncOpenAI):
            LOOP.run_until_complete(_read_async(call(client), gives_up=call is closed))
        else:
            _read(call(client), gives_up=call is closed)
    except openai.InternalServerError:
        if call is not error:
            raise
    if call is closed:  # logfire ends its span when nobody has the stream any more
        gc.collect()
    LOOP.run_until_complete(asyncio.sleep(0.01))  # LangSmith ends the runs of async calls a little later
    if "langfuse" in sys.modules:
        sys.modules["langfuse"].get_client().flush()
    return [span(one) for one in EXPORTER.get_finished_spans()]


def _read(reply: Any, *, gives_up: bool) -> None:
    if gives_up:
        next(iter(reply))
        reply.close()
    elif hasattr(reply, "__enter__") and not isinstance(reply, openai.Stream):
        with reply as events:
            list(events)
    elif hasattr(reply, "__next__"):
        list(reply)


async def _read_async(asked: Any, *, gives_up: bool) -> None:
    if hasattr(asked, "__aenter__"):
        async with asked as events:
            [one async for one in events]
        return
    reply = await asked
    if gives_up:
        await anext(aiter(reply))
        ended = reply.close()  # OpenTelemetry's is not awaited
        if isawaitable(ended):
            await ended
    elif hasattr(reply, "__anext__"):
        [one async for one in reply]


def span(one: Any) -> dict[str, Any]:
    return {
        "name": one.name,
        "status": one.status.status_code.name,
        "attributes": dict(one.attributes),
        "events": [event.name for event in one.events],
    }


# --- the clients


@contextmanager
def clients() -> Iterator[dict[str, Any]]:
    """The SDK's own client on a fake OpenAI, and ours there and elsewhere, by their names."""
    from process import NAMES

    from llm_adapter import AsyncOpenAI, OpenAI, Settings, install
    from llm_adapter.testing import serving

    with serving("openai") as v1, serving("vllm") as vllm, serving("ollama@0.32") as ollama:
        for fake in (v1, vllm, ollama):
            fake.on(answer)
        known = {"api_key": "sk-x", "max_retries": 0}
        settings = {
            "v1": Settings(base_url=v1.base_url, api_key="sk-x"),
            "dialect": Settings(base_url=vllm.base_url, models=NAMES),
            "ollama": Settings(provider="ollama", host=ollama.url, models=NAMES),
            "embedded": Settings(provider="embedded", models={MODEL: "tiny-chat", EMBEDDING_MODEL: "tiny-embed"}),
        }
        made: dict[str, Any] = {}
        for sdk, ours, mark in ((openai.OpenAI, OpenAI, ""), (openai.AsyncOpenAI, AsyncOpenAI, "async ")):
            made[f"{mark}plain"] = sdk(base_url=v1.base_url, **known)
            made[f"{mark}unconfigured"] = ours(base_url=v1.base_url, **known)
            for name, one in settings.items():
                made[f"{mark}{name}"] = ours(settings=one, **known)
                with install(settings=one):
                    made[f"{mark}{name} installed"] = sdk(**known)
        yield made


def answer(request: Any) -> Any:
    from llm_adapter.testing import embedding, text
    from llm_adapter.testing import error as failure

    if FAIL in json.dumps(request.body):
        return failure(500, "It failed.")
    return embedding() if "embed" in request.path else text('{"name": "Ana", "age": 30}')


def main(tracer: str, when: str) -> None:
    begin = TRACERS[tracer]
    if when == "before":
        begin()
    with clients() as made:
        pairs = [(name, call) for name in made for call in CALLS if "embedded" not in name or call is not error]
        if when == "after":
            for name, call in pairs:
                called(call, made[name])
            if tracer.endswith(" of clients"):
                begin(list(made.values()))
            else:
                begin()
        for name, call in pairs:
            print(json.dumps({"client": name, "call": call.__name__, "spans": called(call, made[name])}, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
