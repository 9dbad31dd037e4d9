"""What leaves without the SDK's transform is what leaves with it, whatever a call is made with."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints
from unittest import mock

import openai
import pytest
from drivers import HTTPX
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import NOT_GIVEN, Omit
from openai._utils import PropertyInfo, _transform, maybe_transform
from openai.resources import AsyncEmbeddings, Embeddings
from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.types import completion_create_params as old_completion
from openai.types import embedding_create_params as embedding
from openai.types.chat import ChatCompletionMessage, completion_create_params
from openai.types.responses import response_create_params
from pydantic import BaseModel
from typing_extensions import is_typeddict

from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.client import plain_arguments

HI: list[Any] = [{"role": "user", "content": "Hello"}]
REPLY = ChatCompletionMessage(role="assistant", content="Hi", tool_calls=None)
OPTIONS = {"extra_headers", "extra_query", "extra_body", "timeout", "self"}
ROUNDS = settings(max_examples=25)


class Stopped(Exception):  # noqa: N818 - it stands for a reply
    """Raised in the place of a reply; holds what was sent."""


def mocked(kind: Any, **options: Any) -> Any:
    """A client whose requests end before they leave."""

    def stop(request: Any) -> Any:
        raise openai.OpenAIError(Stopped(str(request.url), request.headers.raw, request.read()))

    http = HTTPX.AsyncClient if issubclass(kind, openai.AsyncOpenAI) else HTTPX.Client
    transport = HTTPX.MockTransport(stop)
    return kind(api_key="k", http_client=http(transport=transport, verify=False), max_retries=0, **options)


THEIRS, OURS = mocked(openai.OpenAI), mocked(OpenAI, settings=Settings())
ASYNC_THEIRS, ASYNC_OURS = mocked(openai.AsyncOpenAI), mocked(AsyncOpenAI, settings=Settings())
METHODS: dict[str, Callable[[Any], Any]] = {
    "chat": lambda client: client.chat.completions.create,
    "chat, parsed": lambda client: client.chat.completions.parse,
    "chat, beta": lambda client: client.beta.chat.completions.create,
    "completions": lambda client: client.completions.create,
    "embeddings": lambda client: client.embeddings.create,
    "responses": lambda client: client.responses.create,
    "responses, parsed": lambda client: client.responses.parse,
    "raw": lambda client: client.chat.completions.with_raw_response.create,
    "with_options": lambda client: client.with_options(timeout=3).responses.create,
}
methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def outcome(call: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """What a call sends, or the error that it raises before it sends something."""
    try:
        sent = call(**arguments)
        return asyncio.run(sent) if inspect.isawaitable(sent) else sent
    except openai.OpenAIError as error:
        return error.args[0].args if isinstance(error.args[0], Stopped) else (type(error), str(error))
    except Exception as error:
        return type(error), re.sub(" at 0x[0-9a-f]+", "", str(error))


# --- generated calls -------------------------------------------------------------------------------------------------


class Recipe:
    """A value that is made for each call anew: an iterator is used up by the first."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


class Person(BaseModel):
    name: str


class OwnDict(dict[str, Any]):
    pass


class OwnText(str):
    __slots__ = ()


ODD = [
    *(Recipe(lambda: iter([{"role": "user", "content": "a"}])), Recipe(lambda: ({"role": "user"},))),
    *(b"bytes", OwnDict(role="user"), OwnText("text"), {1: "a key that is no text"}, Path("/no/such/file")),
    *(REPLY, [REPLY], [*HI, REPLY], Person(name="Ana"), {"deep": [REPLY]}, Person, Omit(), NOT_GIVEN, [Omit()], ...),
]
NAMES = st.sampled_from(["role", "content", "type", "text", "name", "tool_calls", "function", "url", "data", "schema"])
scalars = st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.floats(0, 1), st.sampled_from(["", "user", "text"]))
plain = st.recursive(
    scalars, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(NAMES, inside, max_size=4), max_leaves=8
)
values = st.one_of(plain, st.lists(st.dictionaries(NAMES, plain, max_size=4), max_size=3), st.sampled_from(ODD))


def fresh(value: Any) -> Any:
    if isinstance(value, Recipe):
        return value.make()
    if type(value) is list:
        return [fresh(one) for one in value]
    return {name: fresh(one) for name, one in value.items()} if type(value) is dict else value


@methods
@ROUNDS
@given(data=st.data())
def test_the_same_is_sent(method: Any, data: st.DataObject) -> None:
    """Any arguments that the SDK's method names, with values that fit, or do not."""
    names = sorted(inspect.signature(method(THEIRS)).parameters.keys() - OPTIONS)
    common = {"model": "m", "messages": HI, "input": "a", "prompt": "a"}
    arguments = {name: value for name, value in common.items() if name in names}
    arguments |= data.draw(st.dictionaries(st.sampled_from(names), values, max_size=3))
    ours, theirs = (outcome(method(client), fresh(arguments)) for client in (OURS, THEIRS))
    assert ours == theirs


@methods
def test_the_same_is_sent_by_async_clients(method: Any) -> None:
    names = inspect.signature(method(THEIRS)).parameters.keys()
    given_by_name = {"model": "m", "messages": [*HI, REPLY], "input": HI, "prompt": ["a"], "user": Omit()}
    arguments = {name: value for name, value in given_by_name.items() if name in names}
    assert outcome(method(ASYNC_OURS), arguments) == outcome(method(ASYNC_THEIRS), arguments)


@methods
@pytest.mark.parametrize("arguments", [{}, {"model": "m"}, {"model": "m", "unheard_of": 1}], ids=repr)
def test_wrong_arguments_raise_the_sdks_error(method: Any, arguments: dict[str, Any]) -> None:
    ours, theirs = (outcome(method(client), arguments) for client in (OURS, THEIRS))
    assert ours == theirs


# --- why it is safe --------------------------------------------------------------------------------------------------

PARAMETERS = [
    completion_create_params.CompletionCreateParamsNonStreaming,
    completion_create_params.CompletionCreateParamsStreaming,
    old_completion.CompletionCreateParamsNonStreaming,
    old_completion.CompletionCreateParamsStreaming,
    embedding.EmbeddingCreateParams,
    response_create_params.ResponseCreateParamsNonStreaming,
    response_create_params.ResponseCreateParamsStreaming,
]


def annotations(kind: Any, seen: set[Any]) -> Iterator[PropertyInfo]:
    """What the transform is told about the parts of a type, all the way down."""
    if is_typeddict(kind) and kind not in seen:
        seen.add(kind)
        for part in get_type_hints(kind, include_extras=True).values():
            yield from annotations(part, seen)
    if hasattr(kind, "__metadata__"):
        yield from (one for one in kind.__metadata__ if isinstance(one, PropertyInfo))
    for part in get_args(kind):
        yield from annotations(part, seen)


@pytest.mark.parametrize("kind", PARAMETERS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_no_type_renames_a_field(kind: Any) -> None:
    """An alias in a new SDK turns this red. Formats are for dates, bytes and files, and those are no JSON values."""
    seen: set[Any] = set()
    assert [one for one in annotations(kind, seen) if one.alias is not None] == []
    assert seen


def test_an_alias_would_be_found() -> None:
    assert [one.alias for one in annotations(Annotated[str, PropertyInfo(alias="theirName")], set())] == ["theirName"]


@ROUNDS
@given(value=plain)
def test_a_copy_is_equal_and_another_one(value: Any) -> None:
    copied = plain_arguments.plain_copy(value)
    assert copied == value == maybe_transform(copied, object)
    assert not isinstance(value, list | dict) or copied is not value


def test_the_callers_lists_may_change_while_a_call_runs() -> None:
    """The SDK copies them too; a retry sends what the first attempt sent."""
    inner = ["a"]
    copied = plain_arguments.plain_copy([{"content": inner}])
    inner.append("b")
    assert copied == [{"content": ["a"]}]


def test_a_list_within_itself_raises_the_sdks_error() -> None:
    endless: list[Any] = []
    endless.append(endless)
    arguments = {"model": "m", "messages": endless}
    assert outcome(OURS.chat.completions.create, arguments) == outcome(THEIRS.chat.completions.create, arguments)


# --- it is used, and nobody sees it ----------------------------------------------------------------------------------

RESOURCES = {
    "chat": lambda client: client.chat.completions,
    "beta": lambda client: client.beta.chat.completions,
    "completions": lambda client: client.completions,
    "embeddings": lambda client: client.embeddings,
    "responses": lambda client: client.responses,
}


def is_async(function: Any) -> bool:
    """As LangSmith finds it out (langsmith 0.15.1, run_helpers.py is_async)."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__wrapped__", None))


@pytest.mark.parametrize(("ours", "theirs"), [(OURS, THEIRS), (ASYNC_OURS, ASYNC_THEIRS)], ids=["sync", "async"])
@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES)
def test_the_resources_are_the_sdks(resource: Any, ours: Any, theirs: Any) -> None:
    mine, original = resource(ours), resource(theirs)
    assert isinstance(mine, type(original))
    assert (type(mine).__name__, type(mine).__module__) == (type(original).__name__, type(original).__module__)
    assert resource(ours) is mine
    for name in plain_arguments.METHODS:
        if hasattr(original, name):
            method, known = getattr(mine, name), getattr(original, name)
            assert name in vars(type(mine)), "the SDK's method has no transform any more, or in another place"
            assert inspect.signature(method) == inspect.signature(known)
            assert inspect.iscoroutinefunction(method) == inspect.iscoroutinefunction(known)
            assert is_async(method) == is_async(known)
            assert (method.__doc__, method.__qualname__) == (known.__doc__, known.__qualname__)


def transforms(call: Callable[..., Any], **arguments: Any) -> int:
    """How many values a call has the SDK's transform look at."""
    walk = _transform._transform_recursive
    with mock.patch.object(_transform, "_transform_recursive", side_effect=walk) as transform:
        assert isinstance(outcome(call, arguments)[0], str)
    return int(transform.call_count)


def test_nothing_is_transformed() -> None:
    """However many messages and tools there are: the transform's work grew with both."""
    tools = [{"type": "function", "function": {"name": f"f{place}", "parameters": {}}} for place in range(50)]
    assert transforms(OURS.chat.completions.create, model="m", messages=HI * 100, tools=tools) == 0
    assert transforms(OURS.chat.completions.parse, model="m", messages=HI * 100, response_format=Person) == 0
    assert transforms(OURS.responses.create, model="m", input=HI * 100, tools=tools) == 0
    assert transforms(OURS.embeddings.create, model="m", input=["a"] * 100) == 0
    assert transforms(OURS.completions.create, model="m", prompt=["a"] * 100) == 0
    assert transforms(THEIRS.chat.completions.create, model="m", messages=HI) > 0


def test_a_reply_among_the_messages_is_transformed_alone() -> None:
    """Agents append the SDK's message to the conversation."""
    assert transforms(OURS.chat.completions.create, model="m", messages=[*HI * 100, REPLY]) == 1


@pytest.mark.parametrize("kind", [Completions, AsyncCompletions, Embeddings, AsyncEmbeddings])
def test_who_replaces_a_method_of_the_sdks_class_gets_the_call(kind: Any) -> None:
    """As tracing libraries do: with the arguments themselves, also where the class was used before."""
    client = ASYNC_OURS if kind.__name__.startswith("Async") else OURS
    resource = client.embeddings if "Embeddings" in kind.__name__ else client.chat.completions
    with mock.patch.object(kind, "create") as create:
        outcome(resource.create, {"messages": HI})
    assert create.call_args.kwargs["messages"] is HI


def test_a_method_of_one_client_can_be_replaced() -> None:
    with mock.patch.object(OURS.chat.completions, "create", return_value=7):
        assert OURS.chat.completions.create(model="m", messages=HI) == 7
    assert outcome(OURS.chat.completions.create, {"model": "m", "messages": HI})[0].startswith("https://")
