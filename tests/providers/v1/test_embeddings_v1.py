"""Embeddings of `/v1` servers: each input has its own vector, in its own place."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import openai
import pytest
from drivers import HTTPX, SYNC_AND_ASYNC, Play, mode

from llm_adapter import Settings
from llm_adapter.testing import serving

DIALECTS: Any = (None, "ollama", "llamacpp", "vllm", "lmstudio")


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


def embedded(play: Play, dialect: Any, given: Any, data: list[Any]) -> list[list[float]]:
    """The vectors that a call for these inputs gives, when the server answers with this data."""

    def handle(request: Any) -> Any:
        return HTTPX.Response(200, json={"object": "list", "model": "m", "data": data})

    def script(client: Any) -> Any:
        return (yield client.embeddings.create(model="m", input=given))

    settings = Settings(base_url="http://server.test:9/v1", dialect=dialect)
    return [one.embedding for one in play(script, settings=settings, http_client=play.http(handle)).data]


def vector(value: float, index: int | None = None, *, packed: bool = False) -> dict[str, Any]:
    embedding: Any = base64.b64encode(struct.pack("<f", value)).decode() if packed else [value]
    return {"embedding": embedding, **({} if index is None else {"index": index})}


IN_ORDER = {
    "in order": [vector(1, 0), vector(2, 1), vector(3, 2)],
    "out of order": [vector(3, 2), vector(1, 0), vector(2, 1)],
    "packed and out of order": [vector(2, 1, packed=True), vector(3, 2, packed=True), vector(1, 0, packed=True)],
    "without places": [vector(1), vector(2), vector(3)],
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("data", IN_ORDER.values(), ids=IN_ORDER)
def test_vectors_are_in_the_order_of_the_inputs(data: list[Any], dialect: Any, play: Play) -> None:
    assert embedded(play, dialect, ["a", "b", "c"], data) == [[1.0], [2.0], [3.0]]


WRONG: dict[str, tuple[Any, list[Any], str]] = {
    "too few": (["a", "b"], [vector(1, 0)], "1 embeddings for 2 inputs"),
    "too many": ("a", [vector(1, 0), vector(2, 1)], "2 embeddings for 1 inputs"),
    "none": (["a"], [], "0 embeddings for 1 inputs"),
    "a place twice": (["a", "b"], [vector(1, 0), vector(2, 0)], r"places \[0, 0\]"),
    "a place that no input has": (["a", "b"], [vector(1, 1), vector(2, 2)], r"places \[1, 2\]"),
    "some places alone": (["a", "b"], [vector(1, 0), vector(2)], r"places \[0, None\]"),
    "half a number": (["a"], [{"index": 0, "embedding": "AAA="}], "no base64 of numbers"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("given", "data", "said"), WRONG.values(), ids=WRONG)
def test_other_vectors_are_an_error(given: Any, data: list[Any], said: str, dialect: Any, play: Play) -> None:
    with pytest.raises(openai.InternalServerError, match=said):
        embedded(play, dialect, given, data)


@pytest.mark.parametrize("name", ["ollama@0.24", "ollama@0.32", "llamacpp", "vllm"])
def test_an_input_that_is_too_long_has_its_place(name: str) -> None:
    """Servers do not say which of a batch it was."""
    given = ["short"] * 5 + ["word " * 400] + ["short"]
    with serving(name, models={"m": ["embedding"]}, context=100) as fake, fake.client(max_retries=0) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            client.embeddings.create(model="m", input=given)
        body: Any = caught.value.body
        assert (caught.value.code, caught.value.param, body["index"]) == ("context_length_exceeded", "input[5]", 5)
        assert json.dumps(body).count("input[5]") > 1  # in the words too
