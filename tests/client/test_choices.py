"""Several choices and several prompts: as many requests side by side, one reply."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
import tiktoken
from conftest import DONE, HI, HOST

from llm_adapter import Settings


def echoing(ollama: Any, path: str, stream: bool = False) -> Any:
    """A server that answers with the request's seed, or its prompt."""

    def reply(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        text = str(body.get("options", {}).get("seed", body.get("prompt", "x")))
        logs = [{"token": text, "logprob": -len(text)}] if body.get("logprobs") else []
        part = {"message": {"content": text}} if path == "/api/chat" else {"response": text}
        more = {"logprobs": logs} if logs else {}
        lines = [{"model": "m", **part, **more, **DONE}]
        if stream:
            lines = [{"model": "m", **part, "done": False}, {"model": "m", **DONE}]
        return httpx.Response(200, content="".join(json.dumps(line) + "\n" for line in lines))

    return ollama.answer(path).mock(side_effect=reply)


def bodies(route: Any) -> list[Any]:
    return [json.loads(one.request.content) for one in route.calls]


def test_n_choices(run: Any, ollama: Any) -> None:
    """Choices in order, seeds counted up, the prompt counted once."""
    echoing(ollama, "/api/chat")
    reply = run(lambda client: client.chat.completions.create(model="m", messages=HI, n=3, seed=7))
    assert [(one.index, one.message.content) for one in reply.choices] == [(0, "7"), (1, "8"), (2, "9")]
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (3, 6, 9)
    assert reply.adapter.emulated == ["n"]
    assert reply.ollama.total_duration == 27


def test_n_choices_without_a_seed_send_none(run: Any, ollama: Any) -> None:
    route = echoing(ollama, "/api/chat")
    run(lambda client: client.chat.completions.create(model="m", messages=HI, n=2))
    assert all("options" not in body for body in bodies(route))


def test_n_streamed(run: Any, ollama: Any) -> None:
    """Every choice streams whole, and one usage and one end close them all."""
    echoing(ollama, "/api/chat", stream=True)
    chunks = run.stream(
        lambda client: client.chat.completions.create(
            model="m", messages=HI, n=2, seed=7, stream=True, stream_options={"include_usage": True}
        )
    )
    texts: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
    assert texts == {0: "7", 1: "8"}
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == ["stop", "stop"]
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [7]


def test_one_of_several_fails(run: Any, ollama: Any) -> None:
    """An error of one is the error of all: half a reply is none."""
    route = ollama.answer("/api/chat")
    good = {"model": "m", "message": {"content": "x"}, **DONE}
    route.mock(side_effect=[httpx.Response(200, json=good), httpx.Response(404, json={"error": "model 'm' not found"})])
    with pytest.raises(openai.NotFoundError):
        run(lambda client: client.chat.completions.create(model="m", messages=HI, n=2, stream=True))


def test_prompt_list(run: Any, ollama: Any) -> None:
    """Prompt by prompt, n choices each; every prompt is counted once."""
    echoing(ollama, "/api/generate")
    reply = run(lambda client: client.completions.create(model="m", prompt=["a", "b"], n=2))
    assert [(one.index, one.text) for one in reply.choices] == [(0, "a"), (1, "a"), (2, "b"), (3, "b")]
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (6, 8)


def test_prompt_list_streamed(run: Any, ollama: Any) -> None:
    echoing(ollama, "/api/generate", stream=True)
    chunks = run.stream(lambda client: client.completions.create(model="m", prompt=["a", "b"], echo=True, stream=True))
    texts = ["".join(c.text for chunk in chunks for c in chunk.choices if c.index == place) for place in (0, 1)]
    assert texts == ["aa", "bb"]


def test_best_of(run: Any, ollama: Any) -> None:
    """The likeliest text wins; what was generated is counted, and logprobs that nobody asked for are not shown."""
    route = echoing(ollama, "/api/generate")
    reply = run(lambda client: client.completions.create(model="m", prompt="a", best_of=3, seed=99))
    assert [one.text for one in reply.choices] == ["99"]
    assert reply.choices[0].logprobs is None
    assert reply.usage.completion_tokens == 6
    assert [body["logprobs"] for body in bodies(route)] == [True, True, True]


def test_best_of_none(run: Any, ollama: Any) -> None:
    """OpenAI's specification begins `best_of` at 0: one text, as if it were not given."""
    echoing(ollama, "/api/generate")
    assert len(run(lambda client: client.completions.create(model="m", prompt="a", best_of=0)).choices) == 1


def test_echo(run: Any, ollama: Any) -> None:
    echoing(ollama, "/api/generate")
    reply = run(lambda client: client.completions.create(model="m", prompt="ab", echo=True))
    assert (reply.choices[0].text, reply.adapter.emulated) == ("abab", ["echo"])


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"n": 0}, "n"),
    ({"n": 1000}, "n"),
    ({"best_of": 2, "stream": True}, "best_of"),
    ({"echo": True, "logprobs": 1}, "echo"),
]


@pytest.mark.parametrize(("arguments", "param"), WRONG, ids=str)
def test_wrong_counts(arguments: dict[str, Any], param: str, run: Any, ollama: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        run(lambda client: client.completions.create(model="m", prompt="a", **arguments))
    assert (caught.value.param, ollama.count) == (param, 0)


@pytest.fixture
def encoding(monkeypatch: pytest.MonkeyPatch) -> str:
    """A tiktoken encoding whose ids are bytes: the real ones are downloaded."""
    made = tiktoken.Encoding(
        "bytes", pat_str=".+", mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens={}
    )
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "bytes", made)
    return "bytes"


def test_token_ids_with_a_declared_encoding(encoding: str, run: Any, ollama: Any) -> None:
    """Ids of a declared encoding are sent as the text that they mean."""
    settings = Settings(provider="ollama", host=HOST, token_encoding=encoding)
    ollama.answer("/api/embed", body={"model": "e", "embeddings": [[0.5], [0.25]]})
    run(lambda client: client.embeddings.create(model="e", input=[[72, 105], [33]]), settings=settings)
    assert ollama.sent["input"] == ["Hi", "!"]
    echoing(ollama, "/api/generate")
    reply = run(lambda client: client.completions.create(model="m", prompt=[72, 105]), settings=settings)
    assert reply.choices[0].text == "Hi"


def test_large_batches_of_embeddings(run: Any, ollama: Any) -> None:
    """A large batch is several requests; its vectors come in the order of the inputs."""

    def reply(request: httpx.Request) -> httpx.Response:
        given = json.loads(request.content)["input"]
        return httpx.Response(
            200, json={"model": "e", "embeddings": [[float(one)] for one in given], "prompt_eval_count": len(given)}
        )

    route = ollama.answer("/api/embed").mock(side_effect=reply)
    got = run(lambda client: client.embeddings.create(model="e", input=[str(one) for one in range(1100)]))
    assert [one.embedding[0] for one in got.data] == [float(one) for one in range(1100)]
    assert ([one.index for one in got.data][-1], got.usage.prompt_tokens, route.call_count) == (1099, 1100, 3)


def test_a_long_input_is_named(run: Any, ollama: Any) -> None:
    """Ollama says that something is too long, not what."""

    def reply(request: httpx.Request) -> httpx.Response:
        given = json.loads(request.content)["input"]
        if "long" in given:
            return httpx.Response(400, json={"error": "the input length exceeds the context length"})
        return httpx.Response(200, json={"embeddings": [[0.5]] * len(given)})

    ollama.answer("/api/embed").mock(side_effect=reply)
    with pytest.raises(openai.BadRequestError, match=r"input\[3\]") as caught:
        run(lambda client: client.embeddings.create(model="e", input=["a", "b", "c", "long", "e"]))
    assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("settings", "arguments", "param"),
    [({}, {"dimensions": 8}, "dimensions"), ({"expected_dimensions": 8}, {}, "model")],
)
def test_dimensions_are_checked(settings: Any, arguments: Any, param: str, run: Any, ollama: Any) -> None:
    """Ollama ignores `dimensions` beyond its own: a wrong length is found here, not in the index."""
    ollama.answer("/api/embed", body={"model": "e", "embeddings": [[0.5, 0.5]]})
    with pytest.raises(openai.BadRequestError, match="2 dimensions, not 8") as caught:
        run(
            lambda client: client.embeddings.create(model="e", input="x", **arguments),
            settings=Settings(provider="ollama", host=HOST, **settings),
        )
    assert caught.value.param == param
