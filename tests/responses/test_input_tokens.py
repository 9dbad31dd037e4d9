"""`client.responses.input_tokens.count`: counted by the server where it can, estimated and called so elsewhere."""

from __future__ import annotations

from typing import Any, get_type_hints

import openai
import pytest
from drivers import HTTPX, SYNC_AND_ASYNC, Play, mode
from openai.types.responses.input_token_count_params import InputTokenCountParams
from test_responses import WEATHER, message

from llm_adapter import Settings
from llm_adapter.responses.parameters import RESPONSES
from llm_adapter.testing import serving

SHOWN: dict[str, dict[str, Any]] = {
    "a text": {"input": "Hello you"},
    "messages": {"input": [message("user", "Hello"), message("assistant", "Hi"), message("user", "And?")]},
    "tools and instructions": {"input": "Hello", "tools": [WEATHER], "instructions": "Be brief."},
}


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


def test_every_parameter_has_a_row() -> None:
    """A new SDK with a new parameter turns this red."""
    assert set(get_type_hints(InputTokenCountParams)) - set(RESPONSES) == {"personality"}  # see `test_refused`


def counted_and_used(arguments: dict[str, Any]) -> Any:
    def script(client: Any) -> Any:
        counted = yield client.responses.input_tokens.count(**arguments)
        reply = yield client.responses.create(model="m", max_output_tokens=1, **arguments)
        more = {"input": "So?", "previous_response_id": reply.id}
        after = yield client.responses.input_tokens.count(**more)
        following = yield client.responses.create(model="m", max_output_tokens=1, **more)
        return [(counted, reply.usage.input_tokens), (after, following.usage.input_tokens)]

    return script


@pytest.mark.parametrize("arguments", SHOWN.values(), ids=SHOWN)
def test_counted_by_llamacpp(arguments: dict[str, Any], play: Play) -> None:
    """The tokens that a response to the same input is charged with, what came before it included."""
    pytest.importorskip("xllamacpp")
    for counted, used in play(counted_and_used(arguments), settings=Settings(provider="embedded")):
        assert (counted.input_tokens, counted.object) == (used, "response.input_tokens")
        assert "estimated" not in counted.model_extra


@pytest.mark.parametrize(
    ("persona", "estimated"),
    [("llamacpp", False), ("vllm", False), ("ollama@0.24", True), ("ollama@0.32", True), ("lmstudio", True)],
)
def test_what_servers_count(persona: str, estimated: bool, play: Play) -> None:
    """No number is called a count that is an estimate; and nothing is answered for it."""

    def script(client: Any) -> Any:
        return (yield client.responses.input_tokens.count(model="m", input="Hello you"))

    with serving(persona) as fake:
        for settings in (fake.settings(), Settings(base_url=fake.base_url)):
            counted = play(script, settings=settings)
            assert counted.input_tokens > 0
            assert counted.model_extra.get("estimated", False) is estimated
        assert fake.calls == []


class OlderLlamacpp:
    """One that has no path to count a chat call."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self, request: Any) -> Any:
        self.paths.append(request.url.path)
        if request.url.path == "/apply-template":
            return HTTPX.Response(200, json={"prompt": "<|user|>Hello"})
        if request.url.path == "/tokenize":
            assert b'"parse_special"' in request.content
            return HTTPX.Response(200, json={"tokens": [1, 2, 3]})
        missing = {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}
        return HTTPX.Response(404, json=missing)


@pytest.mark.parametrize(
    ("content", "tokens"),
    [("Hello", 3), ([{"type": "input_image", "image_url": "data:image/png;base64,AA=="}], None)],
    ids=["text", "an image"],
)
def test_an_older_llamacpp(content: Any, tokens: int | None, play: Play) -> None:
    """It is asked for the prompt, and then for its tokens. A prompt has no pictures: with them it is an estimate."""

    def script(client: Any) -> Any:
        return (yield client.responses.input_tokens.count(model="m", input=[message("user", content)]))

    server = OlderLlamacpp()
    settings = Settings(base_url="http://box.test/v1", dialect="llamacpp")
    counted = play(script, settings=settings, http_client=play.http(server))
    assert server.paths[0] == "/v1/chat/completions/input_tokens"
    assert counted.model_extra.get("estimated", False) is (tokens is None)
    assert tokens in (None, counted.input_tokens)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"input": "Hi", "personality": "friendly"}, "`personality`"),
        ({"input": []}, "`input` is required"),
        ({"input": [{"type": "web_search_call"}]}, "web_search_call"),
    ],
)
def test_refused(arguments: dict[str, Any], match: str, play: Play) -> None:
    """What could not be answered is not counted either."""

    def script(client: Any) -> Any:
        with pytest.raises(openai.BadRequestError, match=match):
            yield client.responses.input_tokens.count(model="m", extra_body=arguments)

    play(script)
