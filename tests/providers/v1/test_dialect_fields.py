"""Names that a /v1 server reads over: passed on, with a warning, and on the reply."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import openai
import pytest
import respx
from conftest import DONE, HI, HOST, Server
from drivers import SYNC_AND_ASYNC, Play, mode

from llm_adapter import AdapterWarning, OpenAI, Settings
from llm_adapter.providers.v1.dialects import DIALECTS, OLLAMA_ONLY, SAMPLERS
from llm_adapter.providers.v1.parameters import FIELDS, ROWS
from llm_adapter.translation.process_cache import clear_caches

ROOT = "http://box.test/v1"
SAID = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
REPLY = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [SAID]}
EMBEDDED = Settings(provider="embedded")
EACH = [(dialect, path) for dialect, paths in FIELDS.items() for path in paths]


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def nothing_warned() -> None:
    """As in a new process: no warning has been given yet."""
    clear_caches()


@pytest.fixture
def server() -> Iterator[Server]:
    with respx.mock(assert_all_called=False) as router:
        server = Server(router, ROOT)
        server.answer("/chat/completions", body=REPLY)
        yield server


def ask(play: Play, dialect: Any, times: int = 1, **extra: Any) -> Any:
    def script(client: Any) -> Any:
        for _ in range(times):
            reply = yield client.chat.completions.create(model="m", messages=HI, extra_body=extra)
        return reply

    return play(script, settings=Settings(base_url=ROOT, dialect=dialect))


# --- what is told -----------------------------------------------------------------------------------------------------

MISSPELT = {
    "llamacpp": ("cache_promt", "; did you mean `cache_prompt`?"),
    "vllm": ("repetition_penalti", "; did you mean `repetition_penalty`?"),
    "ollama": ("reasonning", "; did you mean `reasoning`?"),
}


@pytest.mark.parametrize("dialect", MISSPELT)
def test_a_misspelt_name_is_told(dialect: str, play: Play, server: Server) -> None:
    """The server would read over it without a word. It goes out: a newer server may know it."""
    name, hint = MISSPELT[dialect]
    with pytest.warns(AdapterWarning) as warned:
        reply = ask(play, dialect, **{name: 1})
    article = "an" if dialect == "ollama" else "a"
    said = f"`{name}` is passed on to {article} {dialect} /v1 server, which is not known to read it{hint}"
    assert [str(one.message) for one in warned] == [said]
    assert (server.sent[name], reply.adapter.unknown) == (1, [name])


def test_one_of_openais_names_may_be_meant(play: Play, server: Server) -> None:
    """A misspelt parameter is answered with the name that may be meant."""
    with pytest.warns(AdapterWarning, match=r"did you mean `temperature`\?"):
        ask(play, "llamacpp", temprature=0)


def test_told_once_for_each_name(play: Play, server: Server) -> None:
    """A call site in a loop warns once; the reply says it each time."""
    with pytest.warns(AdapterWarning) as warned:
        ask(play, "llamacpp", times=3, no_such=1)
    assert len(warned) == 1
    with pytest.warns(AdapterWarning, match="`nor_this`"):
        reply = ask(play, "llamacpp", no_such=1, nor_this=1)
    assert reply.adapter.unknown == ["no_such", "nor_this"]


@pytest.mark.parametrize("dialect", ["lmstudio", "openai"])
def test_where_nobody_has_a_list_nothing_is_told(dialect: str, play: Play, server: Server) -> None:
    """LM Studio's source is closed; OpenAI refuses by name what it does not know."""
    ask(play, dialect, no_such=1)
    assert server.sent["no_such"] == 1


def test_null_is_not_given(play: Play, server: Server) -> None:
    ask(play, "llamacpp", no_such=None)


@pytest.mark.parametrize(("dialect", "path"), EACH)
def test_a_servers_own_names_are_not_told(dialect: str, path: str, play: Play) -> None:
    """Nor those that are left out, for only others know them, and are warned of so."""
    own = dict.fromkeys(FIELDS[dialect][path] | DIALECTS[dialect].understands, 1)
    body = {"model": "m", "messages": HI, "prompt": "x", "input": "x", **own}
    body = {name: value for name, value in body.items() if name in {*own, *ROWS[dialect][path]}}
    with respx.mock as router:
        router.post(url__startswith=ROOT).respond(400, json={"error": {"message": "enough"}})

        def script(client: Any) -> Any:
            with pytest.raises(openai.BadRequestError):
                yield client.post(path, cast_to=object, body=body)

        play(script, settings=Settings(base_url=ROOT, dialect=dialect, unsupported="ignore"))


def test_the_lists_are_of_names_that_go_out() -> None:
    """A name that is stripped before would be told as known, and lost."""
    stripped = {dialect: (OLLAMA_ONLY | SAMPLERS) - DIALECTS[dialect].understands for dialect in FIELDS}
    found = {(dialect, path): FIELDS[dialect][path] & stripped[dialect] for dialect, path in EACH}
    assert not any(found.values()), found


# --- llama.cpp itself -------------------------------------------------------------------------------------------------

# Values that no field takes: a server that reads one refuses one of them.
WRONG: tuple[Any, ...] = ({"x": 1}, [["x"]], "no", -7.5)
# Read, but whatever the value is: shown by what they do, or inside of llama.cpp alone.
_ANY = {"chat_template_kwargs", "id_slot", "response_fields", "reasoning_budget_message", "logit_bias"}
_ANY |= {"add_generation_prompt", "json_schema"}
_OWN = {"chat_format", "chat_parser", "generation_prompt", "parse_tool_calls"}
_OWN |= {"grammar_lazy", "grammar_triggers", "preserved_tokens"}
_NAMELESS = {"grammar", "reasoning_format"}  # refused without their names
READ = sorted(FIELDS["llamacpp"]["/chat/completions"] - _ANY - _OWN - _NAMELESS)


@pytest.fixture(scope="module")
def embedded() -> Iterator[OpenAI]:
    pytest.importorskip("xllamacpp")
    if tuple(map(int, version("xllamacpp").split(".")[:2])) < (2026, 10):
        pytest.skip("the list is of 2026-10")
    with OpenAI(settings=EMBEDDED, max_retries=0) as client:
        yield client


def test_llamacpp_reads_what_the_list_says(embedded: OpenAI) -> None:
    """Each is refused by its name when its value is wrong: no name in the list is one that is lost."""
    unread = [name for name in READ if not _refused(embedded, name)]
    assert unread == []


def test_llamacpp_reads_nothing_else(embedded: OpenAI) -> None:
    """What this file is about: whatever an unknown name holds, a reply comes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AdapterWarning)
        assert not _refused(embedded, "no_such_parameter")


def _refused(client: OpenAI, name: str) -> bool:
    return any(name in _said(client, name, value) for value in WRONG)


def _said(client: OpenAI, name: str, value: Any) -> str:
    """The error, or nothing."""
    try:
        client.chat.completions.create(model="m", messages=HI, max_tokens=1, extra_body={name: value})
    except openai.BadRequestError as error:
        return str(error)
    return ""


# --- Ollama's own options, which it passes over in the same way ------------------------------------------------------


@pytest.mark.parametrize("place", ["call", "profile"])
def test_a_misspelt_option(play: Play, ollama: Server, place: str) -> None:
    """The server logs it where nobody of the caller's looks; it goes out, for a newer one may know it."""
    ollama.answer("/api/chat", body={"model": "m", "message": {"content": "Hi"}, **DONE})
    options = {"num_ctxx": 3, "top_k": 4}
    settings = Settings(provider="ollama", host=HOST, options=options if place == "profile" else {})
    extra = {"extra_body": {"options": options}} if place == "call" else {}

    def script(client: Any) -> Any:
        for _ in range(2):
            reply = yield client.chat.completions.create(model="m", messages=HI, **extra)
        return reply

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reply = play(script, settings=settings)
    assert [str(one.message) for one in caught] == [
        "`options.num_ctxx` is passed on to Ollama, which is not known to read it; did you mean `options.num_ctx`?"
    ]
    assert (reply.adapter.unknown, ollama.sent["options"]) == (["options.num_ctxx"], options)
