"""Every recorded refusal reaches the caller as the SDK's own class, with OpenAI's code and parameter."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from conftest import HI
from recorded import SERVERS, exchanges

CHAT, EMBED, GENERATE = "/api/chat", "/api/embed", "/api/generate"
# intent: class, code, param, path. One meaning, however each server's line words it.
REFUSALS = {
    "model_missing": (openai.NotFoundError, "model_not_found", "model", CHAT),
    "model_empty": (openai.BadRequestError, "missing_required_parameter", "model", CHAT),
    "tools_unsupported": (openai.BadRequestError, "unsupported_parameter", "tools", CHAT),
    "think_unsupported": (openai.BadRequestError, "unsupported_parameter", "reasoning_effort", CHAT),
    "context_overflow": (openai.BadRequestError, "context_length_exceeded", "messages", CHAT),
    "context_overflow_stream": (openai.BadRequestError, "context_length_exceeded", "messages", CHAT),
    "chat_embedding_model": (openai.BadRequestError, "unsupported_model", "model", CHAT),
    "bad_keep_alive": (openai.BadRequestError, "invalid_value", "keep_alive", CHAT),
    "bad_option_type": (openai.BadRequestError, "invalid_type", "options", CHAT),
    "embed_missing": (openai.NotFoundError, "model_not_found", "model", EMBED),
    "embed_overflow": (openai.BadRequestError, "context_length_exceeded", "input", EMBED),
    "completions_suffix_unsupported": (openai.BadRequestError, "unsupported_parameter", "suffix", GENERATE),
}
ACTIONS = {
    CHAT: lambda client: client.chat.completions.create(model="m", messages=HI),
    EMBED: lambda client: client.embeddings.create(model="m", input="x"),
    GENERATE: lambda client: client.completions.create(model="m", prompt="x"),
}


def recorded() -> list[Any]:
    return [
        pytest.param(intent, one, id=f"{server}-{intent}")
        for server in SERVERS[:2]
        for intent in REFUSALS
        for one in exchanges(server, intent, "native")[:1]
    ]


@pytest.mark.parametrize(("intent", "exchange"), recorded())
def test_refusal(intent: str, exchange: Any, run: Any, ollama: Any) -> None:
    """Class, code and parameter; asked once, whatever the status was: a refusal is not repeated."""
    wanted, code, param, path = REFUSALS[intent]
    ollama.answer(path, exchange.status, exchange.body)
    with pytest.raises(wanted) as caught:
        run(ACTIONS[path], max_retries=2)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert ollama.count == 1


def test_overflow_names_both_counts(run: Any, ollama: Any) -> None:
    """llama.cpp's counts come out of the JSON inside Ollama's string."""
    ollama.answer(CHAT, 400, exchanges("ollama-0.32.15", "context_overflow", "native")[0].body)
    with pytest.raises(openai.BadRequestError, match=r"9013 tokens.*512 tokens") as caught:
        run(ACTIONS[CHAT])
    body: Any = caught.value.body
    assert (body["n_prompt_tokens"], body["n_ctx"]) == (9013, 512)


@pytest.mark.parametrize(
    ("status", "body", "wanted", "text"),
    [
        (404, "404 page not found", openai.NotFoundError, "is the address right"),
        (
            401,
            {"error": "unauthorized", "signin_url": "https://ollama.com/connect"},
            openai.AuthenticationError,
            "sign in at https",
        ),
        (403, {"error": "ollama cloud is disabled"}, openai.PermissionDeniedError, "cloud is disabled"),
        (429, {"error": "too many"}, openai.RateLimitError, "too many"),
        (503, {"error": "server busy, please try again."}, openai.InternalServerError, "server busy"),
        (500, "", openai.InternalServerError, "without a reason"),
        (502, {"error": {"message": "x", "code": 7}}, openai.InternalServerError, "x"),
        (400, ["odd"], openai.BadRequestError, "odd"),
    ],
)
def test_any_error_has_a_reason(status: int, body: Any, wanted: Any, text: str, run: Any, ollama: Any) -> None:
    """Whatever shape the error has, the exception says what the server said."""
    import json

    ollama.answer(CHAT, status, body if isinstance(body, str) else json.dumps(body))
    with pytest.raises(wanted, match=text):
        run(ACTIONS[CHAT])


def test_reply_that_is_not_json(run: Any, ollama: Any) -> None:
    """A proxy's page with status 200 is an error that shows it."""
    ollama.answer(CHAT, 200, "<html>sign in</html>")
    with pytest.raises(openai.InternalServerError, match="not JSON: '<html>"):
        run(ACTIONS[CHAT])


def test_reply_that_is_not_done(run: Any, ollama: Any) -> None:
    """0.24 answers 200 with done=false when it stops a model that repeats itself: that is no answer."""
    ollama.answer(CHAT, 200, {"model": "m", "message": {"role": "assistant", "content": "a a a"}, "done": False})
    with pytest.raises(openai.InternalServerError, match="ended before"):
        run(ACTIONS[CHAT])
