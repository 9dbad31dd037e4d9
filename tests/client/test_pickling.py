"""Errors and settings go to another process, and their keys stay behind; clients stay where they are."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from conftest import HI, HOST, Run, Server
from openai.types.chat import ChatCompletion

import llm_adapter
from llm_adapter import OpenAI, Settings, SettingsError, install

KEY = "sk-planted-12345678"
SETTINGS = Settings(provider="ollama", host=HOST, api_key=KEY)
WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
ERRORS: dict[str, tuple[int, dict[str, Any], type[Exception]]] = {
    "refused here": (200, {"logit_bias": {"1": 1}}, openai.BadRequestError),
    "refused there": (404, {}, openai.NotFoundError),
    "broken": (500, {}, openai.InternalServerError),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_of_a_call(name: str, way: str, run: Run, ollama: Server) -> None:
    status, extra, kind = ERRORS[name]
    ollama.answer("/api/chat", status, {"error": "it says no"})
    with pytest.raises(kind) as raised:
        run(
            lambda client: client.chat.completions.create(
                model="m", messages=HI, extra_headers={"X-Api-Key": KEY}, extra_query={"key": KEY}, **extra
            ),
            settings=SETTINGS,
        )
    error: Any = raised.value
    again = WAYS[way](error)
    assert type(again) is kind
    assert (str(again), again.body, again.code, again.param) == (str(error), error.body, error.code, error.param)
    assert (again.status_code, again.request_id) == (error.status_code, error.request_id)
    assert (again.response.status_code, again.response.text) == (error.response.status_code, error.response.text)
    assert again.request.url.path == error.request.url.path
    assert KEY.encode() not in pickle.dumps(error)
    assert KEY in str([*error.request.headers.values()])  # the error itself is as it was


@pytest.mark.parametrize("way", WAYS)
def test_an_error_of_the_connection(way: str) -> None:
    with (
        pytest.raises(openai.APIConnectionError) as raised,
        OpenAI(settings=Settings(base_url="http://127.0.0.1:9/v1", api_key=KEY), max_retries=0) as client,
    ):
        client.models.list()
    again = WAYS[way](raised.value)
    assert (type(again), str(again)) == (type(raised.value), str(raised.value))
    assert KEY.encode() not in pickle.dumps(raised.value)


def test_errors_without_a_request() -> None:
    reply = ChatCompletion.model_construct(usage=None)
    for error in (openai.LengthFinishReasonError(completion=reply), openai.ContentFilterFinishReasonError()):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))


def test_settings() -> None:
    """What reads them elsewhere is told that the key is not there: calls do not go without it."""
    written = pickle.dumps(SETTINGS)
    assert KEY.encode() not in written
    again = pickle.loads(written)
    assert again.model_dump(exclude={"api_key"}) == SETTINGS.model_dump(exclude={"api_key"})
    with pytest.raises(SettingsError, match="`api_key` stays behind"):
        OpenAI(settings=again)
    given = again.model_copy(update={"api_key": SETTINGS.api_key})
    assert OpenAI(settings=given).api_key == KEY
    assert OpenAI(settings=again.model_copy(update={"call_site_key": True}), api_key="k").api_key == "k"


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
def test_copies_of_settings_keep_the_key(way: Callable[[Any], Any]) -> None:
    assert way(SETTINGS).api_key == SETTINGS.api_key
    assert KEY not in repr(way(SETTINGS))


def test_settings_without_a_key_lose_nothing() -> None:
    assert pickle.loads(pickle.dumps(Settings(num_ctx=5))) == Settings(num_ctx=5)


# --- clients


class WithAWay(openai.OpenAI):
    """A client of a program that says itself how it is pickled."""

    def __getstate__(self) -> dict[str, Any]:
        return {"timeout": 7.0}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(api_key="k", **state)  # type: ignore[misc]


@pytest.fixture(params=["ours", "switched", "plain"])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[[type], Any]]:
    if request.param == "ours":
        yield lambda kind: getattr(llm_adapter, kind.__name__)(settings=SETTINGS)
    elif request.param == "switched":
        with install(settings=SETTINGS.model_copy(update={"api_key": None})):
            yield lambda kind: kind(api_key=KEY)
    else:
        yield lambda kind: kind(api_key=KEY)


EARLIER = pytest.mark.filterwarnings("ignore:.* made before install")  # clients of tests before


# What deepcopy leaves half made of the plain client's connections cannot be closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@EARLIER
@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AsyncOpenAI])
@pytest.mark.parametrize("way", WAYS)
def test_a_client(make: Callable[[type], Any], kind: type, way: str) -> None:
    """As the SDK's own: a shallow copy has its connections and destination, and is refused elsewhere by a TypeError."""
    client = make(kind)
    if way == "copy":
        again = copy.copy(client)
        assert type(again) is type(client)
        assert vars(again) == vars(client)
        assert again._client is client._client
        return
    with pytest.raises(TypeError, match="cannot" if type(client) is kind else "a client cannot be pickled or deep-cop"):
        WAYS[way](client)


@EARLIER
@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
def test_a_client_of_a_class_with_a_way_of_its_own(way: str) -> None:
    """It is found again by the name of the program's own class, and switched where it arrives."""
    with install(settings=Settings(provider="ollama", host=HOST)):
        again = WAYS[way](WithAWay(api_key="k"))
        assert (again.timeout, type(again).__name__, str(again.base_url)) == (7.0, "WithAWay", f"{HOST}/v1/")
        assert isinstance(again, llm_adapter.OpenAI)
    assert not isinstance(WAYS[way](WithAWay(api_key="k")), llm_adapter.OpenAI)
