"""A call whose last message is the assistant's: the model goes on with it, and a reply is what it adds.

So Ollama answers, whole and streamed; llama.cpp's whole replies begin with the message, and its streams do not.
"""

from __future__ import annotations

from typing import Any

import pytest
from drivers import SYNC_AND_ASYNC, Play, every, mode

from llm_adapter import Settings
from llm_adapter.testing import serving

BEGUN: dict[str, Any] = {"role": "assistant", "content": "Hello, my"}
PARTS = {"role": "assistant", "content": [{"type": "text", "text": "Hello,"}, {"type": "text", "text": "my"}]}
ASKED: Any = [{"role": "user", "content": "Say hello."}]
NAMED = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
FORM: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": NAMED}}
SERVERS = ["ollama@0.24", "ollama@0.32", "llamacpp", "vllm", "lmstudio"]


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


def both(play: Play, settings: Settings, **arguments: Any) -> tuple[str, str]:
    """The text of the whole reply, and of the streamed one."""
    asked: Any = {"model": "m", "temperature": 0, "max_tokens": 40, **arguments}

    def script(client: Any) -> Any:
        whole = yield client.chat.completions.create(**asked)
        chunks = yield every((yield client.chat.completions.create(**asked, stream=True)))
        pieces = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
        return whole.choices[0].message.content, "".join(pieces)

    return play(script, settings=settings)  # type: ignore[no-any-return]


@pytest.mark.parametrize("begun", [BEGUN, PARTS], ids=["text", "parts"])
@pytest.mark.parametrize("persona", SERVERS)
def test_a_reply_is_what_the_model_adds(persona: str, begun: Any, play: Play) -> None:
    with serving(persona) as fake:
        fake.script(" name is Ana", repeat=True)
        assert both(play, fake.settings(), messages=[*ASKED, begun]) == (" name is Ana", " name is Ana")


@pytest.mark.parametrize("begun", [BEGUN, PARTS], ids=["text", "parts"])
def test_on_the_embedded_llamacpp(begun: Any, play: Play) -> None:
    pytest.importorskip("xllamacpp")
    whole, streamed = both(play, Settings(provider="embedded"), messages=[*ASKED, begun])
    assert whole == streamed != ""
    assert not whole.startswith("Hello")


GOES_ON = {"changed": ["messages: the reply goes on with the last one"]}


@pytest.mark.parametrize(
    ("persona", "last", "told"),
    [
        *((persona, BEGUN, GOES_ON) for persona in ("ollama@0.24", "ollama@0.32", "llamacpp")),
        ("vllm", BEGUN, {}),  # it begins a new message, as OpenAI does
        *((persona, ASKED[0], {}) for persona in ("ollama@0.32", "llamacpp")),
        *((persona, {**BEGUN, "content": ""}, {}) for persona in ("ollama@0.32", "llamacpp")),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_reply_says_that_it_goes_on(persona: str, last: Any, told: Any, stream: bool) -> None:
    with serving(persona) as fake, fake.client() as client:
        fake.script(" name is Ana")
        reply = client.chat.completions.create(model="m", messages=[*ASKED, last], stream=stream)
        *_, final = reply if stream else [reply]
    notes = final.adapter  # type: ignore[union-attr]
    assert {kind: names for kind in ("changed", "emulated", "ignored") if (names := getattr(notes, kind, None))} == told


TWO: list[Any] = [{"role": "assistant", "content": "Hello,", "name": "writer"}, BEGUN]


@pytest.mark.parametrize("persona", SERVERS)
def test_several_messages_at_the_end(persona: str, play: Play) -> None:
    """Agents that speak in turn leave them. llama.cpp refuses more than one, and gets them as one."""
    with serving(persona) as fake:
        fake.script(" name is Ana", repeat=True)
        assert both(play, fake.settings(), messages=[*ASKED, *TWO]) == (" name is Ana", " name is Ana")
        said = [one["content"] for one in fake.requests[-1].body["messages"] if one["role"] == "assistant"]
    apart, together = ["writer: Hello,", "Hello, my"], ["writer: Hello,\n\nHello, my"]
    assert said == (together if persona == "llamacpp" else apart)


def test_several_on_the_embedded_llamacpp(play: Play) -> None:
    pytest.importorskip("xllamacpp")
    whole, streamed = both(play, Settings(provider="embedded"), messages=[*ASKED, *TWO])
    assert whole == streamed != ""


def test_an_agents_message_is_answered(play: Play) -> None:
    """It was gone on with: another agent had nothing to add to a whole message, and its reply was empty."""
    pytest.importorskip("xllamacpp")
    said = {"role": "assistant", "name": "writer", "content": "Hello! How can I help you today?"}
    whole, streamed = both(play, Settings(provider="embedded"), messages=[*ASKED, said])
    assert whole == streamed != ""


def test_a_reply_in_a_form_fits_as_it_is(play: Play) -> None:
    """llama.cpp's grammar covers what was begun, too."""
    pytest.importorskip("xllamacpp")
    begun = {"role": "assistant", "content": '{"name":'}
    settings = Settings(provider="embedded", corrections=0)
    whole, streamed = both(play, settings, messages=[*ASKED, begun], response_format=FORM)
    assert whole == streamed
    assert whole.startswith('{"name":')
