"""Messages and models on /v1 servers: what a server would read over, or does not have, is there all the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
import respx
from conftest import HI, Server
from drivers import SYNC_AND_ASYNC, Play, mode
from hypothesis import given
from hypothesis import strategies as st
from recorded import call

from llm_adapter import Rejected, Settings
from llm_adapter.providers.ollama.messages import messages
from llm_adapter.providers.v1.dialects import DIALECTS
from llm_adapter.providers.v1.messages import with_adapted_messages
from llm_adapter.translation.messages import with_one_system_message

ROOT = "http://box.test/v1"
LOCAL = ["ollama", "llamacpp", "vllm", "lmstudio"]
local = pytest.mark.parametrize("dialect", LOCAL)
EMBEDDED = Settings(provider="embedded")
SPEECH = "Be kind and brief in all that you say. "


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def server() -> Iterator[Server]:
    with respx.mock(assert_all_called=False) as router:
        yield Server(router, ROOT)


@pytest.fixture
def live(play: Play) -> Any:
    """A script on the embedded llama.cpp."""
    pytest.importorskip("xllamacpp")
    return lambda script: play(script, settings=EMBEDDED)


def system(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "system", "content": content, **more}


def parts(*texts: str) -> list[Any]:
    return [{"type": "text", "text": text} for text in texts]


# --- one system message at the head -----------------------------------------------------------------------------------

PICTURE: Any = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
HEADS: dict[str, tuple[list[Any], list[Any]]] = {
    "one": ([system("a"), *HI], [system("a"), *HI]),
    "two": ([system("a"), system("b"), *HI], [system("a\n\nb"), *HI]),
    "three, and nothing else": ([system("a"), system("b"), system("c")], [system("a\n\nb\n\nc")]),
    "parts": ([system(parts("a", "b")), system("c"), *HI], [system("a\nb\n\nc"), *HI]),
    "names": ([system("a", name="x"), system("b", name="y", more=1)], [system("a\n\nb", name="x", more=1)]),
    "a later one": ([system("a"), *HI, system("b")], [system("a"), *HI, system("b")]),
    "later ones": ([*HI, system("a"), system("b")], [*HI, system("a"), system("b")]),
    "more than text": ([system("a"), system(PICTURE), *HI], [system("a"), system(PICTURE), *HI]),
    "no message": ([system("a"), "b"], [system("a"), "b"]),
    "no text": ([system("a"), system(None)], [system("a"), system(None)]),
}


@pytest.mark.parametrize(("before", "after"), HEADS.values(), ids=HEADS)
def test_one_system_message_at_the_head(before: list[Any], after: list[Any]) -> None:
    """Templates read the first alone."""
    assert with_one_system_message(before) == after


@given(st.lists(st.builds(dict, role=st.sampled_from(["system", "user"]), content=st.text())))
def test_no_text_is_lost(said: list[Any]) -> None:
    """Joining the leading system messages keeps every text."""
    made = with_one_system_message(said)
    assert "\n\n".join(one["content"] for one in made) == "\n\n".join(one["content"] for one in said)
    assert with_one_system_message(made) == made


@local
def test_instructions_of_both_kinds(dialect: str, play: Play, server: Server) -> None:
    """A developer's message is one, too."""
    reply = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    server.answer("/chat/completions", body=reply)
    said: Any = [system("a"), {"role": "developer", "content": parts("b")}, *HI]

    def script(client: Any) -> Any:
        yield client.chat.completions.create(model="m", messages=said)

    play(script, settings=Settings(base_url=ROOT, dialect=dialect))
    assert server.sent["messages"] == [system("a\n\nb"), *HI]
    assert said[0] == system("a")  # the call site's own list stays as it is


@local
def test_the_same_as_natively(dialect: str) -> None:
    """A switch from Ollama's native API to a /v1 server, or back, does not change the prompt."""
    said = [system("a"), system(parts("b", "c"), name="x"), *HI, system("d")]
    asked = call("/chat/completions", {"messages": said})
    adapted = with_adapted_messages(asked.body, asked, DIALECTS[dialect])["messages"]
    assert adapted == messages(asked)


def test_a_second_system_message_is_read(live: Any) -> None:
    """On llama.cpp the prompt grew by nothing."""

    def script(client: Any) -> Any:
        counts = []
        for said in ([system(SPEECH)], [system(SPEECH), system(SPEECH * 5)]):
            reply = yield client.chat.completions.create(model="m", messages=[*said, *HI], max_tokens=1)
            counts.append(reply.usage.prompt_tokens)
        return counts

    one, two = live(script)
    assert two - one > 5 * len(SPEECH.split())


# --- no messages ------------------------------------------------------------------------------------------------------


@local
@pytest.mark.parametrize("body", [{"messages": []}, {"messages": "Hi"}, {}], ids=str)
def test_no_messages(dialect: str, body: Any) -> None:
    """llama.cpp answers them: OpenAI refuses them, and so do we, as natively."""
    with pytest.raises(Rejected, match="at least one message") as refusal:
        with_adapted_messages(body, call("/chat/completions", body), DIALECTS[dialect])
    assert (refusal.value.status, refusal.value.error["param"]) == (400, "messages")


@pytest.mark.parametrize("stream", [False, True])
def test_no_messages_on_llamacpp(stream: bool, live: Any) -> None:
    """A call without messages is refused before it reaches the server."""

    def script(client: Any) -> Any:
        with pytest.raises(openai.BadRequestError, match="at least one message"):
            yield client.chat.completions.create(model="m", messages=[], stream=stream)

    live(script)


# --- one model --------------------------------------------------------------------------------------------------------

LISTED = {"id": "org/tiny", "object": "model", "created": 1, "owned_by": "llamacpp", "aliases": ["tiny"]}


def retrieved(play: Play, name: str, dialect: Any = None, **settings: Any) -> Any:
    def script(client: Any) -> Any:
        return (yield client.models.retrieve(name))

    return play(script, settings=Settings(base_url=ROOT, dialect=dialect, **settings))


@pytest.mark.parametrize("dialect", ["llamacpp", "lmstudio"])
@pytest.mark.parametrize("name", ["org/tiny", "tiny", "gpt-4o-mini"])
def test_a_model_of_a_list(name: str, dialect: str, play: Play, server: Server) -> None:
    """llama.cpp has GET /models alone, and answers 404 to any name. A name may have a slash, or be an alias."""
    server.answer("/models", body={"object": "list", "data": [LISTED]}, method="GET")
    model = retrieved(play, name, dialect, models={"gpt-4o-mini": "tiny"})
    assert (model.id, model.owned_by) == ("org/tiny", "llamacpp")


@pytest.mark.parametrize(
    ("listed", "said"),
    [([LISTED], "lists org/tiny"), ([], "lists none"), (None, "lists none")],
)
def test_a_model_that_is_not_in_the_list(listed: Any, said: str, play: Play, server: Server) -> None:
    """The error is a 404 that names the models that the server has."""
    server.answer("/models", body={"data": listed}, method="GET")
    with pytest.raises(openai.NotFoundError, match=f"'nope' not found: the server {said}") as caught:
        retrieved(play, "nope", "llamacpp")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_a_list_that_cannot_be_had(play: Play, server: Server) -> None:
    """The server's own error is raised."""
    server.answer(
        "/models", 401, {"error": {"message": "Invalid API Key", "type": "authentication_error"}}, method="GET"
    )
    with pytest.raises(openai.AuthenticationError, match="Invalid API Key"):
        retrieved(play, "tiny", "llamacpp")


@pytest.mark.parametrize("dialect", ["openai", "ollama", "vllm", "other"])
def test_a_server_that_shows_its_models_is_asked(dialect: str, play: Play, server: Server) -> None:
    """The reply is its own, as it came."""
    server.answer("/models/tiny", body={**LISTED, "id": "tiny", "odd": 1}, method="GET")
    if dialect == "other":  # nobody said what it is: it is asked
        server.answer("/models", body={"data": []}, method="GET")
    model = retrieved(play, "tiny", None if dialect == "other" else dialect)
    assert (model.id, model.odd) == ("tiny", 1)


def test_a_model_of_the_embedded_server(live: Any) -> None:
    """The embedded server's chat model can be retrieved by its name."""

    def script(client: Any) -> Any:
        known = [one.id for one in (yield client.models.list()).data]
        chat, embedder = (yield client.models.retrieve(known[0])), (yield client.models.retrieve(known[1]))
        with pytest.raises(openai.NotFoundError, match="lists tiny-chat") as caught:
            yield client.models.retrieve("nope")
        return known, [(one.id, one.owned_by, one.created > 0) for one in (chat, embedder)], caught.value.code

    told = [("tiny-chat", "llamacpp", True), ("tiny-embed", "llamacpp", True)]
    assert live(script) == (["tiny-chat", "tiny-embed"], told, "model_not_found")
