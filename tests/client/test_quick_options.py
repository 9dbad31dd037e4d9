"""The options of a request are those that the SDK's `post` makes."""

from __future__ import annotations

from typing import Any
from unittest import mock

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import NOT_GIVEN, NotGiven, Omit
from openai._models import FinalRequestOptions

from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.client.quick_options import options_of, quick_post

CLIENT = OpenAI(api_key="k", settings=Settings())
HI: list[Any] = [{"role": "user", "content": "Hello"}]

mappings = st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["1", Omit(), NOT_GIVEN, None]), max_size=2)
FIELDS: dict[str, Any] = {
    "headers": mappings,
    "params": mappings,
    "extra_json": mappings,
    "timeout": st.sampled_from([None, 3.0, openai.Timeout(5)]),
    "max_retries": st.just(4),
    "idempotency_key": st.just("key"),
    "post_parser": st.just(repr),
    "security": st.just({"bearer_auth": True}),
    "follow_redirects": st.booleans(),
}


def made_by_post(path: str, **arguments: Any) -> Any:
    """The options with which the SDK's own method calls `request`."""
    with mock.patch.object(CLIENT, "request") as request:
        openai.OpenAI.post(CLIENT, path, cast_to=object, **arguments)
    return request.call_args.args[1]


def fields(options: Any) -> dict[str, Any]:
    """Its fields. The SDK's mark for what is not given is not equal to a copy of itself."""
    return {name: NOT_GIVEN if isinstance(one, NotGiven) else one for name, one in vars(options).items()}


@settings(max_examples=60)
@given(body=mappings, options=st.fixed_dictionaries({}, optional=FIELDS))
def test_the_same_options(body: Any, options: dict[str, Any]) -> None:
    body = {name: value for name, value in body.items() if not isinstance(value, Omit) and value is not NOT_GIVEN}
    theirs, ours = made_by_post("/a", body=body, options=options), options_of("/a", body, options)
    assert type(ours) is FinalRequestOptions
    assert fields(ours) == fields(theirs)
    assert ours.model_fields_set == theirs.model_fields_set


def test_nothing_is_shared() -> None:
    """Options are changed on their way: a page's query, for one."""
    first = options_of("/a", {}, {})
    first.params["x"] = "1"  # type: ignore[index]
    first.json_data["y"] = 1  # type: ignore[index]
    first.timeout = 1
    assert fields(options_of("/a", {}, {})) == fields(made_by_post("/a", body={}, options={}))


def test_it_is_used() -> None:
    with (
        mock.patch.object(FinalRequestOptions, "construct", side_effect=AssertionError),
        mock.patch.object(CLIENT, "request") as request,
    ):
        CLIENT.chat.completions.create(model="m", messages=HI, stream=True)
    assert request.call_args.args[1].json_data == {"model": "m", "stream": True, "messages": HI}
    assert request.call_args.kwargs["stream"] is True


CALLS: dict[str, Any] = {
    "chat": lambda client, **more: client.chat.completions.create(model="m", messages=HI, **more),
    "completions": lambda client, **more: client.completions.create(model="m", prompt="Hello", **more),
    "responses": lambda client, **more: client.responses.create(model="m", input="Hello", **more),
    "embeddings": lambda client, **more: client.embeddings.create(model="m", input="Hello", **more),
}


@pytest.mark.parametrize("more", [{}, {"stream": True}], ids=["whole", "streamed"])
@pytest.mark.parametrize("call", CALLS)
def test_request_is_called_as_the_sdk_calls_it(call: str, more: dict[str, Any]) -> None:
    """OpenInference's tracer wraps `request`, and reads its arguments by their places."""
    seen = []
    for client in (openai.OpenAI(api_key="k"), CLIENT):
        with mock.patch.object(client, "request") as request:
            CALLS[call](client, **({} if call == "embeddings" else more))
        seen.append(request.call_args)
    (theirs, ours) = seen
    assert (ours.args[0], ours.kwargs) == (theirs.args[0], theirs.kwargs)
    assert ours.args[1].json_data == theirs.args[1].json_data


@pytest.mark.parametrize("kind", [OpenAI, AsyncOpenAI])
def test_who_replaces_post_gets_the_call(kind: Any) -> None:
    """On a class of the caller's own, on a client, or on the SDK's class."""

    class Own(kind):  # type: ignore[misc]
        def post(self, path: str, **arguments: Any) -> Any:
            return path, arguments["body"]

    for client in (Own(api_key="k", settings=Settings()), kind(api_key="k", settings=Settings())):
        with mock.patch.object(type(client), "post", Own.post):
            assert client.embeddings.create(model="m", input="a") if kind is OpenAI else True
            assert quick_post(client, client.post, "/a", body={}, options={}, cast_to=object) == ("/a", {})


@pytest.mark.parametrize("arguments", [{"files": []}, {"body": None}, {"body": b"x"}, {"content": b"x"}], ids=repr)
def test_what_is_no_json_is_posted_by_the_sdk(arguments: dict[str, Any]) -> None:
    post = mock.Mock()
    quick_post(CLIENT, post, "/a", **{"body": {}, "options": {}, "cast_to": object, **arguments})
    assert post.called
