"""What was said is remembered, by `previous_response_id` and `conversation`, and forgotten when it should be."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest
from drivers import SYNC_AND_ASYNC, Play, every, mode
from test_responses import CALLED, OUTPUT_ITEM, WEATHER, Ollama, message, on

from llm_adapter import AdapterWarning, Settings, SettingsError
from llm_adapter.responses import store as stores
from llm_adapter.responses.store import File, Memory, Store, store_of


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


# --- the stores ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "file"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store of three records."""
    return Memory(3) if request.param == "memory" else File(str(tmp_path / "r.sqlite"), 3)


def put(store: Store, key: str, value: Any) -> None:
    store.change(key, lambda _: {"value": value})


def test_store(small: Store) -> None:
    put(small, "a", "é\u2028\ud800")
    assert small.read("a") == {"value": "é\u2028\ud800"}
    small.change("a", lambda record: {"value": [record]})
    assert small.read("a") == {"value": [{"value": "é\u2028\ud800"}]}
    small.change("a", lambda _: None)
    small.change("a", lambda record: record)
    assert small.read("a") is None


def test_store_is_bounded(small: Store) -> None:
    """What was not used for longest goes first; reading is using."""
    for key in "abc":
        put(small, key, key)
    assert small.read("a") == {"value": "a"}
    put(small, "d", "d")
    assert {key: small.read(key) is not None for key in "abcd"} == {"a": True, "b": False, "c": True, "d": True}


def test_memory_is_bounded_in_size() -> None:
    """Images are in there: a thousand of them would be too much. The newest stays, whatever its size."""
    store = Memory(1000, size=100)
    for key in "abc":
        put(store, key, "x" * 40)
    assert [store.read(key) is not None for key in "abc"] == [False, False, True]
    put(store, "d", "x" * 500)
    assert [store.read(key) is not None for key in "abcd"] == [False, False, False, True]
    put(store, "d", "x")
    put(store, "e", "x")
    assert [store.read(key) is not None for key in "de"] == [True, True]


def test_what_is_read_is_ones_own(small: Store) -> None:
    put(small, "a", [1])
    record = small.read("a")
    assert record is not None
    record["value"].append(2)
    assert small.read("a") == {"value": [1]}


def test_a_change_that_fails_changes_nothing(small: Store) -> None:
    put(small, "a", 1)
    with pytest.raises(ZeroDivisionError):
        small.change("a", lambda record: {"value": 1 / 0})
    put(small, "b", 1)
    assert small.read("a") == {"value": 1}


def added(store: Store) -> None:
    for _ in range(25):
        store.change("count", lambda record: {"value": (record or {"value": 0})["value"] + 1})


def test_threads(small: Store) -> None:
    """No change is lost among threads."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(added, [small] * 4))
    assert small.read("count") == {"value": 100}


PROCESS = """
import sys
import threading
from llm_adapter.responses.store import File
store = File(sys.argv[1])
for _ in range(25):
    store.change("count", lambda record: {"value": (record or {"value": 0})["value"] + 1})
"""


def test_processes(tmp_path: Path) -> None:
    """... nor among processes."""
    path = str(tmp_path / "r.sqlite")
    running = [subprocess.Popen([sys.executable, "-c", PROCESS, path]) for _ in range(2)]
    assert [one.wait(30) for one in running] == [0, 0]
    assert File(path).read("count") == {"value": 50}


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
    store = File(str(tmp_path / "r.sqlite"))
    put(store, "a", 1)
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
    other.execute("CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
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
