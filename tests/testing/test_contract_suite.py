"""The contract suite: a gateway that is well passes it; one that is not fails the checks of what is wrong, alone."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from gateway import HEALTHY, MODELS, Fault, Json, client

from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.testing import contract

CHAT, EMBEDDING = MODELS
NAMES = [check.name for check in contract.CHECKS]
# What our own client does on the embedded models.
EMBEDDED = {
    "unknown_models": "the embedded models answer to any name",
}


def run(of: Any, **options: Any) -> contract.Results:
    return contract.run(of, CHAT, **{"embedding_model": EMBEDDING, "context": 2048, **options})


# --- what passes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [OpenAI, AsyncOpenAI])
def test_our_client_on_the_embedded_models(kind: Any) -> None:
    """Everything that the embedded models can do."""
    results = run(kind(settings=Settings(provider="embedded")), without=EMBEDDED)
    outcomes = {result.name: result.outcome for result in results if result.outcome != "passed"}
    left_out = {check.name for check in contract.CHECKS if EMBEDDED.keys() & {check.name, *check.needs}}
    assert outcomes == {**dict.fromkeys(left_out, "skipped"), "embedding_dimensions": "inconclusive"}


@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AsyncOpenAI])
def test_a_gateway_that_is_well(kind: Any) -> None:
    """The SDK's own clients, on a gateway that has what the embedded models lack."""
    results = run(client(HEALTHY, kind))
    assert {result.name: result.line for result in results if result.outcome != "passed"} == {
        "embedding_dimensions": "`dimensions` is refused by name: the model gives embeddings of 96 "
        "dimensions, not 48: use another model, or build the index anew with 96"
    }


# --- what fails ------------------------------------------------------------------------------------------------------


def ignoring(*names: str) -> Fault:
    return Fault(asked=lambda path, body: {name: value for name, value in body.items() if name not in names})


def namelessly(name: str) -> Fault:
    """A refusal of something else."""
    return Fault(asked=lambda path, body: {**body, "temperature": "warm"} if name in body else body)


def messages(change: Any) -> Fault:
    return Fault(
        asked=lambda path, body: {**body, "messages": change(body["messages"])} if "messages" in body else body
    )


def said(change: Any) -> Fault:
    """Another text in the messages of whole replies and in the first piece of streams."""

    def reply(path: str, value: Json) -> Json:
        for choice in value["choices"] if path == "/chat/completions" else ():
            choice["message"]["content"] = change(choice["message"]["content"])
        return value

    return Fault(reply=reply)


def choice(**fields: Any) -> Fault:
    def reply(path: str, value: Json) -> Json:
        for one in value["choices"] if path == "/chat/completions" else ():
            one.update(fields)
        return value

    return Fault(reply=reply)


def calls(change: Any) -> Fault:
    """Other tool calls, in whole replies and in streams."""

    def reply(path: str, value: Json) -> Json:
        for one in value.get("choices", ()):
            for call in (one.get("message") or one.get("delta") or {}).get("tool_calls") or ():
                change(call)
        return value

    return Fault(
        reply=reply, events=lambda path, events: [one if one == "[DONE]" else reply(path, one) for one in events]
    )


def chunked(change: Any) -> Fault:
    """Other chunks in chat's streams."""

    def events(path: str, found: list[Any]) -> list[Any]:
        return change(found) if path == "/chat/completions" else found

    return Fault(events=events)


def each(change: Any) -> Fault:
    def events(found: list[Any]) -> list[Any]:
        for chunk in found[:-1]:
            change(chunk)
        return found

    return chunked(events)


def vectors(change: Any) -> Fault:
    return Fault(reply=lambda path, value: change(value) if path == "/embeddings" else value)


def erring(change: Any) -> Fault:
    return Fault(error=lambda path, error: change(*error))


def merged(found: list[Any]) -> list[Any]:
    """The usage of a stream, asked for or not."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    asked = any(chunk != "[DONE]" and chunk.get("usage") for chunk in found)
    return found if asked else [*found[:-1], {**found[0], "choices": [], "usage": usage}, "[DONE]"]


def as_text(path: str, value: Json) -> Json:
    """A tool call that no parser saw."""
    for one in value.get("choices", ()):
        if (made := one.get("message", {}).pop("tool_calls", None)) is not None:
            function = made[0]["function"]
            content = {"name": function["name"], "arguments": json.loads(function["arguments"])}
            one.update(message={"role": "assistant", "content": json.dumps(content)}, finish_reason="stop")
    return value


def cut(path: str, body: Json) -> Json:
    """As Ollama's /v1: the start of a long prompt."""
    for message in body.get("messages", ()):
        if isinstance(message["content"], str):
            message["content"] = message["content"][:1500]
    return body


def of_usage(chunk: Json) -> None:
    chunk.pop("usage", None)


def numbered(found: list[Any]) -> list[Any]:
    return [{**chunk, "id": f"chatcmpl-{place}"} for place, chunk in enumerate(found[:-1])] + found[-1:]


def without_role(chunk: Json) -> None:
    for one in chunk["choices"]:
        one["delta"].pop("role", None)


def without_text(chunk: Json) -> None:
    for one in chunk["choices"]:
        one["delta"].pop("content", None)


def role_again(chunk: Json) -> None:
    for one in chunk["choices"]:
        one["delta"]["role"] = "assistant"


ERRORS = {
    *("unknown_parameter", "stream_unknown_model", "unknown_model", "bad_request", "no_messages", "overlong_prompt"),
    *("no_endpoint", "embedding_dimensions", "embedding_dimensions_above", "embedding_empty", "embedding_tokens"),
    *("embedding_unknown_model", "models_unknown"),
}
CALLS = {
    "tool_call",
    "tool_calls_parallel",
    "tool_choice_required",
    "tool_choice_named",
    "stream_tool_call",
    "stream_tool_calls",
}
TOOL_CHOICES = {"tool_choice_none", "tool_choice_required", "tool_choice_named"}
BESIDE = {"embeddings", "completions", "responses", "models", "tools", "json"}
FORMS = {"json_object", "json_schema", "json_schema_refs", "parse"}
ENDS = {"stream_finish", "stream_helper", "stream_length", "stream_tool_call"}
FAULTS: dict[str, tuple[Fault, set[str]]] = {
    # limits and stops
    "max_tokens ignored": (ignoring("max_tokens"), {"max_tokens", "completion"}),
    "max_completion_tokens ignored": (ignoring("max_completion_tokens"), {"max_completion_tokens", "stream_length"}),
    "stop ignored": (ignoring("stop"), {"stop_text", "stop_list"}),
    # messages
    "developer messages lost": (
        messages(lambda all_: [one for one in all_ if one["role"] != "developer"]),
        {"developer_role"},
    ),
    "one system message kept": (
        messages(lambda all_: all_[1:] if [one["role"] for one in all_[:2]] == ["system"] * 2 else all_),
        {"system_twice"},
    ),
    "the last message kept": (
        messages(lambda all_: all_[-1:] if all_[-1]["role"] == "user" else all_),
        {"earlier_turns", "system_role", "system_twice", "developer_role"},
    ),
    "the last part kept": (
        messages(
            lambda all_: [
                {**one, "content": one["content"][-1:]}
                if one["role"] == "user" and isinstance(one["content"], list)
                else one
                for one in all_
            ]
        ),
        {"text_parts"},
    ),
    "tool results lost": (
        messages(lambda all_: [{**one, "content": ""} if one["role"] == "tool" else one for one in all_]),
        {"tool_result", "tool_result_parts"},
    ),
    "a long prompt is cut": (Fault(asked=cut), {"overlong_prompt"}),
    # parameters of tools and choices
    "n ignored": (ignoring("n"), {"n"}),
    "tool_choice ignored": (ignoring("tool_choice"), TOOL_CHOICES),
    "parallel_tool_calls ignored": (ignoring("parallel_tool_calls"), {"tool_calls_one"}),
    "logprobs ignored": (ignoring("logprobs", "top_logprobs"), {"logprobs"}),
    # structured output
    "response_format ignored": (ignoring("response_format"), {"json_schema_refs"}),
    "fences around JSON": (
        said(lambda text: f"```json\n{text}\n```" if text and text[0] == "{" else text),
        FORMS,
    ),
    # thoughts
    "thoughts in the answer": (
        said(lambda text: f"<think>Hm.</think>{text}" if text else text),
        FORMS | {"reply_text", "reasoning_effort"},
    ),
    "no text": (said(lambda text: ""), FORMS | {"reply_text", "reasoning_effort", "tool_result", "tool_result_parts"}),
    # the end of a stream
    "the stream breaks off": (
        chunked(lambda found: found[:2]),
        ENDS | {"stream_usage", "stream_end", "stream_parse", "stream_tool_calls"},
    ),
    "no [DONE]": (chunked(lambda found: found[:-1]), {"stream_end"}),
    "no finish_reason": (
        each(lambda chunk: [one.update(finish_reason=None) for one in chunk["choices"]]),
        ENDS,
    ),
    # token counts
    "no usage in streams": (each(of_usage), {"stream_usage"}),
    "usage unasked": (chunked(merged), {"stream_choices"}),
    # OpenAI's fields
    "no object": (
        Fault(reply=lambda path, value: {**value, "object": ""}),
        {"reply", "completion", "response", "embedding"},
    ),
    "no counts": (
        Fault(reply=lambda path, value: {**value, "usage": None} if path == "/chat/completions" else value),
        {"usage"},
    ),
    "an id for each chunk": (chunked(numbered), {"stream_shape"}),
    "no role": (each(without_role), {"stream_role", "stream_helper"}),
    "no text in streams": (each(without_text), {"stream_text", "stream_parse"}),
    "one id for all": (Fault(reply=lambda path, value: {**value, "id": "chatcmpl-1"}), {"reply_ids"}),
    "the role with each piece": (each(role_again), {"stream_helper"}),
    "always finish_reason stop": (choice(finish_reason="stop"), {"tool_call", "max_completion_tokens", "max_tokens"}),
    # tool calls
    "a tool call as text": (
        Fault(reply=as_text),
        {"tool_call", "tool_calls_parallel", "tool_calls_one", "tool_choice_required", "tool_choice_named"},
    ),
    "index 0 for each call": (calls(lambda call: call.update(index=0)), {"stream_tool_calls"}),
    "no index": (calls(lambda call: call.pop("index", None)), {"stream_tool_call", "stream_tool_calls"}),
    "no ids of calls": (calls(lambda call: call.update(id="")), CALLS),
    "one id of calls": (calls(lambda call: call.update(id="call_1")), {"tool_calls_parallel", "stream_tool_calls"}),
    # errors
    "errors without a code": (
        erring(lambda status, body: (status, {"error": {**body["error"], "code": None}})),
        {"unknown_model", "overlong_prompt", "embedding_unknown_model"},
    ),
    "every error is 500": (erring(lambda status, body: (500, body)), ERRORS),
    "any model's name": (
        erring(lambda status, body: (200 if "does not exist" in str(body) else status, body)),
        {"unknown_model", "stream_unknown_model", "embedding_unknown_model", "models_unknown"},
    ),
    "unknown parameters ignored": (
        erring(lambda status, body: (200 if "Unrecognized" in str(body) else status, body)),
        {"unknown_parameter"},
    ),
    # embeddings
    "vectors out of order": (
        vectors(
            lambda value: {**value, "data": [{**one, "index": place} for place, one in enumerate(value["data"][::-1])]}
        ),
        {"embedding_order"},
    ),
    "encoding_format ignored": (ignoring("encoding_format"), {"embedding_encodings"}),
    "dimensions ignored": (ignoring("dimensions"), {"embedding_dimensions", "embedding_dimensions_above"}),
    "one vector for a list": (
        vectors(lambda value: {**value, "data": value["data"][:1]}),
        {"embedding_order"},
    ),
    "the same vector for every text": (
        vectors(
            lambda value: {**value, "data": [{**value["data"][0], "index": one["index"]} for one in value["data"]]}
        ),
        {"embedding_order"},
    ),
    "vectors without a model": (vectors(lambda value: {**value, "model": ""}), {"embedding"}),
    "vectors without counts": (vectors(lambda value: {**value, "usage": None}), {"embedding_usage"}),
    # refusals that name nothing
    "seed refused, and not said": (namelessly("seed"), {"seed"}),
    "penalties refused, and not said": (namelessly("presence_penalty"), {"penalties"}),
    "user refused, and not said": (namelessly("user"), {"user_label"}),
    "reasoning_effort refused, and not said": (namelessly("reasoning_effort"), {"reasoning_effort"}),
    "an empty turn refused": (
        messages(lambda all_: "no list" if any(one["content"] == "" for one in all_) else all_),
        {"empty_turn"},
    ),
    # other endpoints
    "one prompt of a list": (
        Fault(
            asked=lambda path, body: (
                {**body, "prompt": body["prompt"][0]} if isinstance(body.get("prompt"), list) else body
            )
        ),
        {"completions"},
    ),
    "completions break off": (
        Fault(events=lambda path, found: found[:1] if path == "/completions" else found),
        {"completion_stream"},
    ),
    "responses break off": (
        Fault(events=lambda path, found: found[:2] if path == "/responses" else found),
        {"response_stream"},
    ),
    "a response that is not complete": (
        Fault(reply=lambda path, value: {**value, "status": "failed"} if path == "/responses" else value),
        {"response"},
    ),
    "previous_response_id ignored": (ignoring("previous_response_id"), {"response_previous"}),
    "no models": (
        Fault(reply=lambda path, value: {**value, "data": []} if path == "/models" else value),
        {"models", "models_retrieve"},
    ),
    "another type": (Fault(headers=(("content-type", "text/plain"),)), {"raw_response", "stream_end"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_gateway_with_a_fault(name: str) -> None:
    """The checks of what is wrong fail, and no other."""
    fault, expected = FAULTS[name]
    areas = {need for check in contract.CHECKS if check.name in expected for need in check.needs}
    untouched = dict.fromkeys(BESIDE - areas, "it has nothing to do with this fault")
    results = run(client(fault), without=untouched)
    assert set(results.failed) == expected, results


def test_every_check_can_fail() -> None:
    """What leaves a client usable, a raw response and a list of models show themselves elsewhere."""
    failing = set().union(*(expected for _, expected in FAULTS.values()))
    assert set(NAMES) - failing == {"stream_closed"}


def test_a_reply_that_is_not_openais() -> None:
    fault = Fault(reply=lambda path, value: {"text": "Hello"})
    results = {result.name: result for result in run(client(fault))}
    assert results["reply"].advice.startswith("expected an id; came None. What to do: answer with OpenAI's fields")
    assert results["seed"].line.startswith("expected a reply; came ChatCompletion(")
    assert results["n"].line.startswith("the reply is not OpenAI's: TypeError: 'NoneType' object is not iterable")
