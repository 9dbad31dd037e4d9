"""What was said is remembered, by `previous_response_id` and `conversation`, and forgotten when it should be."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import prepared
import pytest
from drivers import SYNC_AND_ASYNC, Play, every, mode
from test_responses import CALLED, OUTPUT_ITEM, WEATHER, Ollama, message, on

from llm_adapter import AdapterWarning, Settings, SettingsError
from llm_adapter.responses import store as stores
from llm_adapter.responses.store import File, Memory, Node, Store, store_of


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=["memory", "file"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The settings of a client that keeps its responses in either place."""
    return {} if request.param == "memory" else {"response_store": str(tmp_path / "responses.sqlite")}


HELLO = {"model": "m", "input": "Hello"}


# --- the conversation goes on ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_two_turns(stream: bool, play: Play, kept: dict[str, Any]) -> None:
    """The second turn knows the first, on a server that knows nothing; instructions are not carried over."""

    def script(client: Any) -> Any:
        first = yield client.responses.create(**HELLO, instructions="Be brief.", stream=stream)
        if stream:
            first = (yield every(first))[-1].response
        second = yield client.responses.create(model="m", input="And?", previous_response_id=first.id)
        yield client.responses.create(model="m", input="So?", previous_response_id=second.id, instructions="Rhyme.")
        return first, second

    server = Ollama({"content": "Hi", "thinking": "hm"}, {"content": "Well"}, {"content": "Ah"})
    first, second = on(play, server, script, **kept)
    said = [message("user", "Hello"), message("assistant", "Hi", thinking="hm"), message("user", "And?")]
    assert server.asked[1]["messages"] == said
    assert server.asked[2]["messages"] == [
        message("system", "Rhyme."),
        *said,
        message("assistant", "Well"),
        message("user", "So?"),
    ]
    assert (second.previous_response_id, first.previous_response_id) == (first.id, None)


def test_tool_round_trip(play: Play, kept: dict[str, Any]) -> None:
    """A call's result alone is enough: the call is remembered."""

    def script(client: Any) -> Any:
        first = yield client.responses.create(**HELLO, tools=[WEATHER])
        yield client.responses.create(
            model="m", input=[OUTPUT_ITEM], previous_response_id=first.id, tools=[WEATHER], tool_choice="none"
        )

    server = Ollama({"content": "", "tool_calls": [CALLED]}, {"content": "18 degrees"})
    on(play, server, script, **kept)
    assert server.asked[1]["messages"][1:] == [
        {"role": "assistant", "content": "", "tool_calls": [CALLED]},
        {"role": "tool", "content": "18", "tool_call_id": "call_1", "tool_name": "get_weather"},
    ]


def test_branches(play: Play, kept: dict[str, Any]) -> None:
    """Two turns may follow the same one; neither sees the other."""

    def script(client: Any) -> Any:
        first = yield client.responses.create(**HELLO)
        for _ in range(2):
            yield client.responses.create(model="m", input="And?", previous_response_id=first.id)

    server = Ollama(*[{"content": "Hi"}] * 3)
    on(play, server, script, **kept)
    assert server.asked[1] == server.asked[2]


UNKNOWN: dict[str, Callable[[Any], Any]] = {
    "never stored": lambda client: client.responses.create(**HELLO, store=False),
    "never said": lambda client: None,
    "deleted": lambda client: client.responses.create(**HELLO),
}


@pytest.mark.parametrize(
    "action",
    [
        lambda client: client.responses.create(**HELLO, previous_response_id="resp_other"),
        lambda client: client.responses.create(**HELLO, conversation="conv_other"),
        lambda client: client.responses.create(model="m", input=[{"id": "msg_other"}]),
        lambda client: client.responses.retrieve("resp_other"),
        lambda client: client.conversations.items.list("conv_other"),
    ],
)
def test_what_another_process_keeps(action: Any, play: Play, kept: dict[str, Any]) -> None:
    """Of several workers, each has its own memory: the error names the setting with which they share a file."""

    def script(client: Any) -> Any:
        with pytest.raises(openai.APIStatusError, match=r"other' not found.*`response_store`") as caught:
            yield action(client)
        return caught.value.status_code

    assert on(play, Ollama(), script, **kept) in (400, 404)


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_lost_turn_is_an_error(case: str, play: Play, kept: dict[str, Any]) -> None:
    """Raised before anything is sent, with OpenAI's code; Ollama's own /v1 would answer without the history."""

    def script(client: Any) -> Any:
        first = yield UNKNOWN[case](client)
        name = first.id if first else "resp_never"
        if case == "deleted":
            yield client.responses.delete(name)
        with pytest.raises(openai.BadRequestError, match=f"{name}' not found") as caught:
            yield client.responses.create(**HELLO, previous_response_id=name)
        return caught.value

    server = Ollama({"content": "Hi"})
    error = on(play, server, script, **kept)
    assert (error.code, error.param) == ("previous_response_not_found", "previous_response_id")
    assert len(server.asked) == (case != "never said")


def test_a_deleted_turn_in_the_midst(play: Play) -> None:
    """A history with a hole is no history: it is refused, not shortened."""

    def script(client: Any) -> Any:
        first = yield client.responses.create(**HELLO)
        second = yield client.responses.create(**HELLO, previous_response_id=first.id)
        yield client.responses.delete(first.id)
        with pytest.raises(openai.BadRequestError, match=first.id):
            yield client.responses.create(**HELLO, previous_response_id=second.id)

    on(play, Ollama(*[{"content": "Hi"}] * 2), script)


def test_reference(play: Play, kept: dict[str, Any]) -> None:
    """An item by its id, from a response or within the history; one that was not stored is an error."""

    def script(client: Any) -> Any:
        first = yield client.responses.create(**HELLO)
        reference = {"type": "item_reference", "id": first.output[0].id}
        yield client.responses.create(model="m", input=[reference, message("user", "And?")])
        yield client.responses.create(
            model="m", input=[{"id": first.output[0].id}, message("user", "So?")], previous_response_id=first.id
        )
        lost = yield client.responses.create(**HELLO, store=False)
        with pytest.raises(openai.NotFoundError, match=lost.output[0].id):
            yield client.responses.create(model="m", input=[{"type": "item_reference", "id": lost.output[0].id}])

    server = Ollama(*[{"content": "Hi"}] * 4)
    on(play, server, script, **kept)
    assert server.asked[1]["messages"] == [message("assistant", "Hi"), message("user", "And?")]
    assert [one["content"] for one in server.asked[2]["messages"]] == ["Hello", "Hi", "Hi", "So?"]


def test_the_reply_sent_back_as_it_came(play: Play) -> None:
    """The other way to go on, without a store: the output's own objects as input."""

    def script(client: Any) -> Any:
        first = yield client.responses.create(**HELLO, store=False, tools=[WEATHER])
        turn = [message("user", "Hello"), *first.output, OUTPUT_ITEM]
        yield client.responses.create(model="m", input=turn, store=False)

    server = Ollama({"content": "One", "thinking": "hm", "tool_calls": [CALLED]}, {"content": "18"})
    on(play, server, script)
    assert server.asked[1]["messages"][1] == {
        "role": "assistant",
        "content": "One",
        "thinking": "hm",
        "tool_calls": [CALLED],
    }


# --- retrieve, delete, list ------------------------------------------------------------------------------------------


def test_retrieve_and_delete(play: Play, kept: dict[str, Any]) -> None:
    """With no request to the server."""

    def script(client: Any) -> Any:
        first = yield client.responses.create(**HELLO, metadata={"a": "b"})
        again = yield client.responses.retrieve(first.id)
        yield client.responses.delete(first.id)
        for gone in (client.responses.retrieve, client.responses.delete):
            with pytest.raises(openai.NotFoundError, match=first.id):
                yield gone(first.id)
        return first.to_dict(), again.to_dict()

    server = Ollama({"content": "Hi"})
    first, again = on(play, server, script, **kept)
    assert {**again, "adapter": None} == {**first, "adapter": None}
    assert server.paths == ["/api/chat"]


def test_input_items(play: Play, kept: dict[str, Any]) -> None:
    """What a response was made from, its history included; newest first, and by pages."""

    def script(client: Any) -> Any:
        first = yield client.responses.create(**HELLO)
        second = yield client.responses.create(model="m", input="And?", previous_response_id=first.id)
        newest = yield client.responses.input_items.list(second.id)
        page = yield client.responses.input_items.list(second.id, limit=2, order="asc")
        following = yield page.get_next_page()
        with pytest.raises(openai.NotFoundError):
            yield client.responses.input_items.list(second.id, after="msg_none")
        return newest, page, following

    newest, page, following = on(play, Ollama(*[{"content": "Hi"}] * 2), script, **kept)
    texts = [item.content[0].text for item in newest.data]
    assert (texts, newest.has_more) == (["And?", "Hi", "Hello"], False)
    assert ([item.content[0].text for item in page.data], page.has_more) == (["Hello", "Hi"], True)
    assert [item.content[0].text for item in following.data] == ["And?"]
    assert len({item.id for item in newest.data}) == 3


NOT_HERE: dict[str, tuple[Callable[[Any, str], Any], type[Exception], str]] = {
    "cancel": (lambda client, name: client.responses.cancel(name), openai.BadRequestError, "Cannot cancel"),
    "stream": (
        lambda client, name: client.responses.retrieve(name, stream=True),
        openai.BadRequestError,
        "background",
    ),
    "compact": (lambda client, name: client.responses.compact(model="m"), openai.NotFoundError, "/responses/compact"),
}


@pytest.mark.parametrize(("action", "kind", "match"), NOT_HERE.values(), ids=NOT_HERE)
def test_what_is_not_here(action: Any, kind: Any, match: str, play: Play) -> None:
    def script(client: Any) -> Any:
        first = yield client.responses.create(**HELLO)
        with pytest.raises(kind, match=match):
            yield action(client, first.id)

    on(play, Ollama({"content": "Hi"}), script)


# --- conversations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [True, False])
def test_conversation(store: bool, play: Play, kept: dict[str, Any]) -> None:
    """Each turn is added to it, whether the response itself is stored or not."""

    def script(client: Any) -> Any:
        conversation = yield client.conversations.create(items=[message("system", "Be brief.")])
        first = yield client.responses.create(**HELLO, conversation=conversation.id, store=store)
        yield client.responses.create(model="m", input="And?", conversation={"id": conversation.id}, store=store)
        return first, conversation, (yield client.conversations.items.list(conversation.id, order="asc"))

    server = Ollama({"content": "Hi"}, {"content": "Well"})
    first, conversation, page = on(play, server, script, **kept)
    told = [
        message("system", "Be brief."),
        message("user", "Hello"),
        message("assistant", "Hi"),
        message("user", "And?"),
    ]
    assert server.asked[1]["messages"] == told
    assert [item.content[0].text for item in page.data] == ["Be brief.", "Hello", "Hi", "And?", "Well"]
    assert first.conversation.id == conversation.id


def test_previous_response_of_a_conversation(play: Play, kept: dict[str, Any]) -> None:
    """A branch off a conversation has what was said until then, whatever became of the conversation."""

    def script(client: Any) -> Any:
        conversation = yield client.conversations.create(items=[message("user", "Zero")])
        first = yield client.responses.create(**HELLO, conversation=conversation.id)
        yield client.conversations.delete(conversation.id)
        yield client.responses.create(model="m", input="And?", previous_response_id=first.id)

    server = Ollama(*[{"content": "Hi"}] * 2)
    on(play, server, script, **kept)
    assert [one["content"] for one in server.asked[1]["messages"]] == ["Zero", "Hello", "Hi", "And?"]


def test_conversations(play: Play, kept: dict[str, Any]) -> None:
    """Create, read, change and delete them and their items, with no request to any server."""

    def script(client: Any) -> Any:
        conversation = yield client.conversations.create(metadata={"a": "b"})
        name = conversation.id
        assert (yield client.conversations.retrieve(name)) == conversation
        assert (yield client.conversations.update(name, metadata={"c": "d"})).metadata == {"c": "d"}
        added = yield client.conversations.items.create(name, items=[message("user", "a"), message("user", "b")])
        one, other = added.data
        assert (yield client.conversations.items.retrieve(one.id, conversation_id=name)) == one
        assert (yield client.conversations.items.delete(one.id, conversation_id=name)).id == name
        assert (yield client.conversations.items.list(name)).data == [other]
        with pytest.raises(openai.NotFoundError, match=one.id):
            yield client.conversations.items.retrieve(one.id, conversation_id=name)
        assert (yield client.conversations.delete(name)).deleted
        for gone in (client.conversations.retrieve, client.conversations.items.list, client.conversations.delete):
            with pytest.raises(openai.NotFoundError, match=name):
                yield gone(name)
        with pytest.raises(openai.BadRequestError, match=name):
            yield client.responses.create(**HELLO, conversation=name)

    server = Ollama()
    on(play, server, script, **kept)
    assert server.paths == []


def test_local_answers_start_no_server(play: Play) -> None:
    """What is in the store needs no model: nothing is loaded for it."""

    class Never:
        name = "never"

        def base_url(self, settings: Any) -> str:
            return "http://never.test/v1"

        def start(self, settings: Any, path: str) -> Any:
            raise AssertionError("started")

        def endpoint(self, method: str, path: str) -> Any:
            from llm_adapter import responses

            return responses.endpoint(method, path, lambda call: (_ for _ in ()))  # type: ignore[arg-type, return-value]

    def script(client: Any) -> Any:
        with pytest.raises(openai.NotFoundError):
            yield client.responses.retrieve("resp_none")

    play(script, settings=Settings(provider=Never()))


def test_two_writers_of_one_conversation(play: Play, kept: dict[str, Any]) -> None:
    """Each other's calls and outputs stay together, in the order in which the outputs came."""

    def script(client: Any) -> Any:
        talk = yield client.conversations.create()
        about = {"model": "m", "conversation": talk.id, "tools": [WEATHER]}
        yield client.responses.create(**about, input="One?")
        yield client.responses.create(**about, input="Two?")
        other = {**OUTPUT_ITEM, "call_id": "call_2"}
        yield client.responses.create(**about, input=[OUTPUT_ITEM])
        yield client.responses.create(**about, input=[other])
        yield client.responses.create(**about, input="So?")

    calls = [{"content": "", "tool_calls": [{**CALLED, "id": f"call_{number}"}]} for number in (1, 2)]
    server = Ollama(*calls, {"content": "1"}, {"content": "2"}, {"content": "3"})
    on(play, server, script, **kept)
    roles = [(one["role"], one.get("tool_call_id") or one["content"]) for one in server.asked[4]["messages"]]
    assert roles == [
        ("user", "One?"),
        ("user", "Two?"),
        ("assistant", ""),
        ("tool", "call_1"),
        ("assistant", "1"),
        ("tool", "call_2"),
        ("assistant", "2"),
        ("user", "So?"),
    ]


# --- the stores ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "file"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store of ten nodes."""
    return Store(Memory() if request.param == "memory" else File(str(tmp_path / "r.sqlite")), 10)


def said(name: str, parent: str | None = None, text: str = "") -> Node:
    """A response that says so."""
    return Node(name, parent, {"object": "response"}, [], [{"text": text or name}])


def texts(store: Store, name: str) -> list[str] | None:
    """What was said up to a response, or in a conversation; None where a part is not there any more."""
    past = store.history(name)
    if past is None or past.missing:
        return None
    return [item["text"] for item in (*past.before, *past.node.items)]


def test_a_chain(small: Store) -> None:
    """What was said comes back as it was; each has a copy of its own."""
    small.add(said("a", text="é\u2028\ud800"))
    small.add(said("b", "a"))
    past = small.history("b")
    assert past is not None
    past.before.clear()
    assert texts(small, "b") == ["é\u2028\ud800", "b"]
    small.remove("a")
    assert (texts(small, "a"), texts(small, "b")) == (None, None)


def add_chain(store: Store, name: str, turns: int) -> None:
    for turn in range(turns):
        store.add(said(f"{name}{turn}", f"{name}{turn - 1}" if turn else None))


def test_the_longest_conversation_makes_room(small: Store) -> None:
    """One conversation pays for its own length, not others for it; and it is told once."""
    for name in ("u1", "v1"):
        small.add(said(name))
    small.add(said("v2", "v1"))
    with pytest.warns(AdapterWarning, match="is full: it keeps 10 .*`response_store_limit`") as told:
        add_chain(small, "w", 30)
    assert len(told) == 1
    assert (texts(small, "u1"), texts(small, "v2"), texts(small, "w29")) == (["u1"], ["v1", "v2"], None)
    assert small.node("w22") is None
    assert small.node("w23") is not None


def test_what_was_not_used_for_longest_makes_room(small: Store) -> None:
    """... among those that are equally long; reading is using."""
    for turn in range(10):
        small.add(said(str(turn)))
    small.node("0")
    small.history("1")
    with pytest.warns(AdapterWarning, match="is full"):
        small.add(said("new"))
    assert [turn for turn in range(10) if small.node(str(turn)) is None] == [2]


def test_a_conversation_that_made_room_says_so(play: Play, kept: dict[str, Any]) -> None:
    def script(client: Any) -> Any:
        talk = yield client.conversations.create()
        for _ in range(3):
            yield client.responses.create(**HELLO, conversation=talk.id)
        with pytest.raises(openai.BadRequestError, match="made room for newer ones"):
            yield client.responses.create(**HELLO, conversation=talk.id)
        assert (yield client.conversations.retrieve(talk.id)) == talk

    monkeyed = {"response_store_limit": 3, **kept}
    clear_memory()
    with pytest.warns(AdapterWarning, match="is full"):
        on(play, Ollama(*[{"content": "Hi"}] * 3), script, **monkeyed)


def clear_memory() -> None:
    """The memory is one for all tests, and so is what makes room in it."""
    with stores.MEMORY.opened() as database:
        database.execute("DELETE FROM response_nodes")


@pytest.mark.filterwarnings("ignore:the response store is full")
def test_memory_is_bounded_in_size() -> None:
    """Images are in there: thousands of them would be too much. The newest stays, whatever its size."""
    store = Store(Memory(size=150))
    for name in "abc":
        store.add(said(name, text="x" * 40))
    assert [store.node(name) is not None for name in "abc"] == [False, False, True]
    store.add(said("d", text="x" * 500))
    assert [store.node(name) is not None for name in "cd"] == [False, True]


def test_two_turns_at_once(small: Store) -> None:
    """Both are in the conversation; each response knows what it was made from."""
    small.add(Node("conv_1", about={"object": "conversation"}))
    small.add(said("a"), "conv_1")
    for name in "bc":
        small.add(said(name, "a"), "conv_1")
    small.add(said("d", "turn_c"), "conv_1")
    assert [texts(small, name) for name in ("conv_1", "b", "c", "d")] == [
        ["a", "b", "c", "d"],
        ["a", "b"],
        ["a", "c"],
        ["a", "b", "c", "d"],
    ]


def test_what_is_deleted_and_what_stays(small: Store) -> None:
    """A conversation keeps the items of a deleted response, and a response what it was made from."""
    small.add(Node("conv_1", about={"object": "conversation"}))
    small.add(Node("turn_1", input=[{"id": "i", "text": "t"}]), "conv_1")
    small.add(said("a", "turn_1"), "conv_1")
    small.add(said("b", "a"), "conv_1")
    small.remove("b")
    assert (texts(small, "conv_1"), small.node("b")) == (["t", "a", "b"], None)
    small.remove_item("conv_1", "i", "turn_2")
    assert (texts(small, "conv_1"), texts(small, "a")) == (["a", "b"], ["t", "a"])
    small.remove("conv_1")
    assert texts(small, "a") == ["t", "a"]
    small.remove("a")
    with small._database.opened() as database:
        assert database.execute("SELECT * FROM response_nodes").fetchall() == []


def test_deleted_text_is_gone_from_the_file(play: Play, tmp_path: Path) -> None:
    def script(client: Any) -> Any:
        talk = yield client.conversations.create(items=[message("user", "SECRET one")])
        first = yield client.responses.create(model="m", input="SECRET two", instructions="SECRET three")
        yield client.conversations.items.create(talk.id, items=[message("user", "SECRET four")])
        assert holds(tmp_path, b"SECRET")
        yield client.conversations.delete(talk.id)
        yield client.responses.delete(first.id)

    on(play, Ollama({"content": "SECRET five"}), script, response_store=str(tmp_path / "r.sqlite"))
    assert not holds(tmp_path, b"SECRET")


def holds(folder: Path, text: bytes) -> bool:
    return any(text in one.read_bytes() for one in folder.iterdir())


def test_a_file_grows_by_what_is_new(tmp_path: Path) -> None:
    """By a turn each time, and not by the conversation until then."""
    path = tmp_path / "r.sqlite"
    store = Store(File(str(path)))
    store.add(Node("conv_1", about={"object": "conversation"}))
    for turn in range(100):
        past = store.history("conv_1")
        assert past is not None
        store.add(said(f"r{turn}", past.node.parent, "x" * 1000), "conv_1")
    assert path.stat().st_size < 300_000
    assert len(texts(store, "conv_1") or ()) == 100


def add_many(store: Store, name: str) -> None:
    for turn in range(25):
        store.add(said(f"{name}{turn}"), "conv_1")


@pytest.mark.parametrize("place", ["memory", "file"])
def test_threads(place: str, tmp_path: Path) -> None:
    """No turn is lost among threads."""
    store = Store(Memory() if place == "memory" else File(str(tmp_path / "r.sqlite")))
    store.add(Node("conv_1", about={"object": "conversation"}))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_many, [store] * 4, "abcd"))
    assert len(texts(store, "conv_1") or ()) == 100


PROCESS = """
import sys
from llm_adapter.responses.store import File, Node, Store
store = Store(File(sys.argv[1]))
for turn in range(25):
    store.add(Node(f"{sys.argv[2]}{turn}", None, {"object": "response"}, [], [{"text": ""}]), "conv_1")
"""


def test_processes(tmp_path: Path) -> None:
    """... nor among processes."""
    path = str(tmp_path / "r.sqlite")
    store = Store(File(path))
    store.add(Node("conv_1", about={"object": "conversation"}))
    with ThreadPoolExecutor(2) as pool:
        done = [*pool.map(lambda name: prepared.run(PROCESS, path, name), "ab")]
    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * 2
    assert len(texts(store, "conv_1") or ()) == 50


def test_a_file_outlives_its_process(play: Play, tmp_path: Path) -> None:
    """Another client, another process: the conversation goes on. A store opened anew stands for both."""
    settings = {"response_store": str(tmp_path / "r.sqlite")}

    def first(client: Any) -> Any:
        return (yield client.responses.create(**HELLO))

    name = on(play, Ollama({"content": "Hi"}), first, **settings).id
    stores._file.cache_clear()

    def second(client: Any) -> Any:
        yield client.responses.create(model="m", input="And?", previous_response_id=name)

    server = Ollama({"content": "Well"})
    on(play, server, second, **settings)
    assert [one["content"] for one in server.asked[0]["messages"]] == ["Hello", "Hi", "And?"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_a_file_is_its_owners(tmp_path: Path) -> None:
    """Prompts are in it."""
    Store(File(str(tmp_path / "r.sqlite"))).add(said("a"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_file_that_cannot_be(play: Play, tmp_path: Path) -> None:
    """Said by the setting's name, and not sent: the reply would be lost."""
    path = tmp_path / "none" / "r.sqlite"

    def script(client: Any) -> Any:
        with pytest.raises(SettingsError, match=r"`response_store` cannot be used: .*r\.sqlite"):
            yield client.responses.create(**HELLO)

    server = Ollama()
    on(play, server, script, response_store=str(path))
    assert server.asked == []


def test_a_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    path.write_text(json.dumps({"not": "a database"}) * 100, encoding="utf-8")
    with pytest.raises(SettingsError, match="not a database"):
        store_of(Settings(response_store=str(path)))


def test_one_memory_for_all(play: Play) -> None:
    """Sync and async clients, and clients of other providers, go on with each other's conversations."""
    name = on(SYNC_AND_ASYNC[0], Ollama({"content": "Hi"}), lambda client: (yield client.responses.create(**HELLO))).id

    def script(client: Any) -> Any:
        yield client.responses.create(model="m", input="And?", previous_response_id=name)

    server = Ollama({"content": "Well"})
    on(play, server, script)
    assert len(server.asked[0]["messages"]) == 3


# --- a file that fails -----------------------------------------------------------------------------------------------


def lock(path: Path) -> sqlite3.Connection:
    """Another process's lock, held until this is closed: a backup, or a worker on a slow disk."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def spoil(path: Path) -> sqlite3.Connection:
    """The file becomes something else."""
    for one in path.parent.iterdir():
        one.unlink()
    path.write_bytes(b"x" * 5000)
    return sqlite3.connect(":memory:")


def fill(path: Path) -> sqlite3.Connection:
    """As on a full disk, whatever is added is refused."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TRIGGER full BEFORE INSERT ON response_nodes BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    return other


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks are waited for a moment only."""
    monkeypatch.setattr(stores, "PATIENCE", 0.05)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("harm", "cause"), [(lock, "locked"), (spoil, "not a database"), (fill, "full")])
def test_a_file_that_fails_costs_the_record(
    harm: Any, cause: str, stream: bool, play: Play, tmp_path: Path, hasty: None
) -> None:
    """... and not the reply, which says so, as one warning does."""
    path = tmp_path / "r.sqlite"

    def script(client: Any) -> Any:
        yield client.responses.create(**HELLO)
        other = harm(path)
        for _ in range(2):
            reply = yield client.responses.create(**HELLO, stream=stream)
            if stream:
                reply = (yield every(reply))[-1].response
        other.close()
        return reply

    with pytest.warns(AdapterWarning, match=rf"could not be kept.*r\.sqlite: .*{cause}") as told:
        reply = on(play, Ollama(*[{"content": "Hi"}] * 3), script, response_store=str(path))
    assert (reply.output_text, reply.adapter.left_out, len(told)) == ("Hi", ["store"], 1)


def test_a_locked_file_can_be_read(play: Play, tmp_path: Path, hasty: None) -> None:
    path = tmp_path / "r.sqlite"

    def script(client: Any) -> Any:
        first = yield client.responses.create(**HELLO)
        with closing(lock(path)):
            yield client.responses.retrieve(first.id)
            yield client.responses.create(**HELLO, previous_response_id=first.id, store=False)

    server = Ollama(*[{"content": "Hi"}] * 2)
    on(play, server, script, response_store=str(path))
    assert len(server.asked[1]["messages"]) == 3


def test_what_cannot_be_read_is_an_error(play: Play, tmp_path: Path, hasty: None) -> None:
    """Nothing is sent without the history that it stands on; the SDK does not try again."""
    path = tmp_path / "r.sqlite"

    def script(client: Any) -> Any:
        first = yield client.responses.create(**HELLO)
        spoil(path).close()
        for action in (
            lambda: client.responses.create(**HELLO, previous_response_id=first.id),
            lambda: client.responses.retrieve(first.id),
            lambda: client.responses.delete(first.id),
        ):
            with pytest.raises(openai.InternalServerError, match=r"r\.sqlite.*not a database") as caught:
                yield action()
            assert caught.value.response.headers["x-should-retry"] == "false"

    server = Ollama({"content": "Hi"})
    on(play, server, script, response_store=str(path))
    assert len(server.asked) == 1


def test_a_deleted_file_is_made_anew(play: Play, tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"

    def script(client: Any) -> Any:
        yield client.responses.create(**HELLO)
        for one in tmp_path.iterdir():
            one.unlink()
        second = yield client.responses.create(**HELLO)
        return (yield client.responses.retrieve(second.id))

    assert on(play, Ollama(*[{"content": "Hi"}] * 2), script, response_store=str(path)).output_text == "Hi"


@pytest.mark.parametrize("stream", [False, True])
def test_a_file_is_never_used_in_the_event_loop(stream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a disk, or for another's lock, is a thread of ours."""
    users = set()
    connect = sqlite3.connect

    def connected(*args: Any, **options: Any) -> sqlite3.Connection:
        users.add(threading.current_thread() is threading.main_thread())
        return connect(*args, **options)

    monkeypatch.setattr(stores.sqlite3, "connect", connected)

    def script(client: Any) -> Any:
        talk = yield client.conversations.create()
        reply = yield client.responses.create(**HELLO, conversation=talk.id, stream=stream)
        name = (yield every(reply))[-1].response.id if stream else reply.id
        yield client.responses.input_items.list(name)
        yield client.responses.delete(name)

    on(SYNC_AND_ASYNC[1], Ollama({"content": "Hi"}), script, response_store=str(tmp_path / "r.sqlite"))
    assert users == {False}


def test_a_timeout_does_not_cost_the_reply(play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is over when the reply is there and is to be kept; keeping it has an end of its own."""
    path = tmp_path / "r.sqlite"

    def script(client: Any) -> Any:
        yield client.responses.create(**HELLO)
        with closing(lock(path)):
            return (yield client.responses.create(**HELLO, timeout=0.05))

    monkeypatch.setattr(stores, "PATIENCE", 0.2)
    with pytest.warns(AdapterWarning, match="locked"):
        assert on(play, Ollama(*[{"content": "Hi"}] * 2), script, response_store=str(path)).output_text == "Hi"
