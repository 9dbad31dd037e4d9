"""What else call sites use: models, completions, the Responses API, raw responses."""

from __future__ import annotations

from functools import partial
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from llm_adapter.testing.contract.case import (
    Case,
    Check,
    Inconclusive,
    Script,
    error_of,
    expect,
    expect_longer,
    unless_refused,
)
from llm_adapter.testing.contract.player import every

_SPEECH = "Ana lives in Paris and has a dog. " * 20  # 160 words
_READ_TOKENS = 80  # tokens that it adds at least


def model_list(case: Case) -> Script:
    """The models are listed."""
    got = yield every(case.client.models.list())
    expect(got, "models", "an empty list")
    expect(all(one.id and one.object == "model" for one in got), "an id and the object 'model' for each", got[:2])


def model_by_name(case: Case) -> Script:
    """A model that is listed can be retrieved by its name."""
    known = yield every(case.client.models.list())
    expect(known, "models", "an empty list")
    got = yield case.client.models.retrieve(known[0].id)
    expect(got.id == known[0].id, f"the model {known[0].id!r}", got.id)


def unknown_model(case: Case) -> Script:
    """A model that is not there is NotFoundError."""
    call = partial(case.client.models.retrieve, "no-such-model-here")
    yield from error_of(call, openai.NotFoundError, "NotFoundError")


def raw(case: Case) -> Script:
    """A raw response has a status, headers, and parses to the type."""
    got = yield case.client.chat.completions.with_raw_response.create(**case.arguments())
    expect(got.status_code == 200, "the status 200", got.status_code)
    kind = got.headers.get("content-type", "")
    expect("application/json" in kind, "the type application/json", kind)
    expect(isinstance(got.parse(), ChatCompletion), "a ChatCompletion", type(got.parse()).__name__)


def completion(case: Case) -> Script:
    """A completion is a text_completion, limited and counted."""
    got = yield _completion_call(case, "Once upon a time")
    expect(got.object == "text_completion", "the object 'text_completion'", got.object)
    expect(len(got.choices) == 1 and isinstance(got.choices[0].text, str), "one text", got.choices)
    expect(got.choices[0].finish_reason in ("stop", "length"), "a finish_reason", got.choices[0].finish_reason)
    expect(got.usage and got.usage.completion_tokens <= 8, "at most 8 tokens, counted", got.usage)


def completions(case: Case) -> Script:
    """A list of prompts has a completion each."""
    got = yield from unless_refused(
        lambda: _completion_call(case, ["Once upon a time", "The capital of France is"]), "prompt"
    )
    indexes = [choice.index for choice in got.choices]
    expect(indexes == [0, 1], "choices of index 0 and 1", indexes)


def completion_stream(case: Case) -> Script:
    """A completion streams, and ends with a finish_reason."""
    got = yield every((yield _completion_call(case, "Once upon a time", stream=True)))
    reasons = [choice.finish_reason for chunk in got for choice in chunk.choices if choice.finish_reason]
    expect(len(reasons) == 1, "one finish_reason", reasons or "none")


def response(case: Case) -> Script:
    """A response is complete and has a text."""
    got = yield _response_call(case, "What is the capital of France?")
    if got.status == "incomplete":
        raise Inconclusive("the response was cut at the limit of tokens")
    expect(got.object == "response" and got.status == "completed", "a completed response", got.status)
    expect(got.output_text.strip(), "a text", "none")
    expect(got.usage and got.usage.input_tokens and got.usage.output_tokens, "token counts", got.usage)


def response_stream(case: Case) -> Script:
    """A response's events end with the one that it is complete."""
    stream = yield _response_call(case, "What is the capital of France?", stream=True)
    kinds = [event.type for event in (yield every(stream))]
    expect(kinds[:1] == ["response.created"], "first the event 'response.created'", kinds[:1])
    ends = ("response.completed", "response.incomplete")
    expect(kinds[-1] in ends, "last the event 'response.completed'", kinds[-1])
    expect("response.output_text.delta" in kinds or kinds[-1] == ends[1], "pieces of text", sorted(set(kinds)))


def response_after(case: Case) -> Script:
    """previous_response_id brings the earlier turn back, or is refused by name."""
    before = yield _response_call(case, _SPEECH)
    short = yield _response_call(case, "Where does she live?")
    wish = partial(_response_call, case, "Where does she live?", previous_response_id=before.id)
    after = yield from unless_refused(wish, "previous_response_id")
    grown = after.usage.input_tokens - short.usage.input_tokens
    expect_longer(grown, _READ_TOKENS)


def _completion_call(case: Case, prompt: Any, **options: Any) -> Any:
    return case.client.completions.create(model=case.model, prompt=prompt, max_tokens=8, **options)


def _response_call(case: Case, given: str, **options: Any) -> Any:
    chosen = {"model": case.model, "input": given, "max_output_tokens": 1024, **options}
    return case.client.responses.create(**chosen)


_MODELS, _COMPLETIONS, _RESPONSES = ("models",), ("completions",), ("responses",)
_LIST = "list what can be asked for: clients choose from it"
CHECKS = (
    Check("models", model_list, _LIST, _MODELS),
    Check("models_retrieve", model_by_name, "find a name that has a slash or a colon in it, too", _MODELS),
    Check("models_unknown", unknown_model, "answer 404", (*_MODELS, "unknown_models")),
    Check("raw_response", raw, "send the type and the status: LangChain and litellm read raw responses"),
    Check("completion", completion, "answer with OpenAI's fields", _COMPLETIONS),
    Check("completions", completions, "ask for each prompt, or refuse the list by name", _COMPLETIONS),
    Check("completion_stream", completion_stream, "send one finish_reason, in the last chunk", _COMPLETIONS),
    Check("response", response, "answer with OpenAI's fields", _RESPONSES),
    Check("response_stream", response_stream, "end with response.completed", _RESPONSES),
    Check("response_previous", response_after, "keep responses, or refuse it by name", _RESPONSES),
)
