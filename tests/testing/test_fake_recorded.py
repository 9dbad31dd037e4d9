"""The Ollama personas against every recorded exchange: the same request and turn give the same status, type and shape.

A shape is every key at every level with the type of its value; in a stream, also the order of its events. What tells
one event from another (`object`, `finish_reason`, `done` ...) and the texts of errors are compared as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

import pytest
from recorded import RECORDINGS, Exchange, exchanges

from llm_adapter.testing import Model, ServerRequest, Turn, answer, persona, reply
from llm_adapter.testing.personas import after
from llm_adapter.testing.personas.persona import Persona
from llm_adapter.testing.turns import HELLO, ToolCall, Usage

TINY = Model("tiny", frozenset({"completion", "tools", "thinking"}), 2048, 128)
PLAIN = Model("tiny-plain", frozenset({"completion"}), 2048, 128)
EMBED = Model("tiny-embed", frozenset({"embedding"}), 512, 96)
JINJA = Model("tiny-jinja", frozenset({"completion"}), 2048, 128)
PERSONAS = {
    "ollama-0.24.0": "ollama@0.24",
    "ollama-0.32.15": "ollama@0.32",
    "ollama-0.32.15-jinja": "ollama@0.32",
}

# What the personas do not play, and why.
LAYERS = "a created model's layers depend on its Modelfile"
OFFLINE = "the recording had no network: the error is of its DNS or socket"
SHOWN = "test_show: the keys of model_info are those of the model's architecture"
TEMPLATE = "a model with a Jinja template of its own takes another way in 0.32: a prompt is never cut, an image is 500"
_OLLAMA = {
    "manage-native-2": LAYERS,
    "manage-native-6": OFFLINE,
    "pull_unknown-native-0": OFFLINE,
    "pull_unknown-native-1": OFFLINE,
    "models-native-1": SHOWN,
    "models-native-2": SHOWN,
}
LEFT_OUT = {
    "ollama-0.24.0": _OLLAMA,
    "ollama-0.32.15": _OLLAMA,
    "ollama-0.32.15-jinja": {
        "context_overflow-native-1": TEMPLATE,
        "context_overflow-v1-0": TEMPLATE,
        "vision_unsupported-native-0": TEMPLATE,
        "vision_unsupported-v1-0": TEMPLATE,
    },
}

LITERAL = {"object", "type", "role", "finish_reason", "done", "done_reason", "index", "system_fingerprint", "owned_by"}


class Case(NamedTuple):
    before: list[Exchange]
    one: Exchange
    kind: str | None

    def answers(self, name: str) -> tuple[Any, Any]:
        """What the persona answers and what the server did: the status, the type and the shape."""
        one, kind = self.one, self.kind
        found = answer(played(name, self.before), request_of(one), turn(one))
        ours = (found.status, found.content_type, shapes(found.body.decode(), kind))
        return ours, (one.status, media_type(kind), shapes(one.body, kind))


def cases(server: str) -> Iterator[tuple[str, Case]]:
    for file in sorted((RECORDINGS / server).glob("*.json")):
        recorded = json.loads(file.read_text("utf-8"))
        for side in ("native", "v1"):
            found = exchanges(server, file.stem, side)
            for place, one in enumerate(found):
                case = f"{file.stem}-{side}-{place}"
                if case not in LEFT_OUT[server]:
                    yield case, Case(found[:place], one, recorded[side][place]["content_type"])


def played(name: str, before: list[Exchange]) -> Persona:
    """The server, with the models of the recordings, after these exchanges."""
    server = persona(name, models=[TINY, PLAIN, EMBED, JINJA], context=2048)
    for one in before:
        server = after(server, request_of(one), answer(server, request_of(one), turn(one)))
    return server


def request_of(one: Exchange) -> ServerRequest:
    return ServerRequest(one.method, one.path, one.request)


# --- the turn of a recorded reply ------------------------------------------------------------------------------------


def turn(one: Exchange) -> Turn:
    """What the model said, whatever the reply's form."""
    if one.status != 200 or one.method != "POST" or not one.body:
        return HELLO
    if one.body.startswith(("data:", "event:")):
        return from_events([data for _, data in events(one.body) if isinstance(data, dict)])
    if one.path.startswith("/v1"):
        return reply(json.loads(one.body))
    return from_lines([json.loads(line) for line in one.body.splitlines()])


def from_lines(lines: list[Any]) -> Turn:
    last = lines[-1]
    if "embeddings" in last:
        return Turn(vectors=tuple(map(tuple, last["embeddings"])), usage=Usage(last.get("prompt_eval_count", 0), 0))
    messages = [line.get("message") or {"content": line.get("response"), **line} for line in lines]
    calls = [call["function"] for message in messages for call in message.get("tool_calls") or []]
    return Turn(
        "".join(message.get("content") or "" for message in messages),
        "".join(message.get("thinking") or "" for message in messages),
        tuple(ToolCall(call["name"], call["arguments"]) for call in calls),
        last.get("done_reason"),
        Usage(last.get("prompt_eval_count", 0), last.get("eval_count", 0)),
    )


def from_events(chunks: list[Any]) -> Turn:
    if chunks[-1].get("type") == "response.completed":
        return reply(chunks[-1]["response"])
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    if "text" in choices[0]:
        said = [choice["text"] for choice in choices]
        thoughts = " x" * said[:-1].count("")  # a thought is a chunk without text
        return Turn("".join(said), thoughts, finish=choices[-1]["finish_reason"])
    deltas = [choice["delta"] for choice in choices]
    parts = [call for delta in deltas for call in delta.get("tool_calls") or []]
    names = {part["index"]: part["function"]["name"] for part in parts if "name" in part["function"]}
    written = {index: [part["function"]["arguments"] for part in parts if part["index"] == index] for index in names}
    return Turn(
        "".join(delta.get("content") or "" for delta in deltas),
        "".join(delta.get("reasoning") or "" for delta in deltas),
        tuple(ToolCall(name, "".join(written[index])) for index, name in names.items()),
        choices[-1]["finish_reason"],
    )


# --- shapes ----------------------------------------------------------------------------------------------------------


def events(body: str) -> Iterator[tuple[str | None, Any]]:
    """Server-sent events: their names and their data."""
    for block in body.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        data = fields["data"]
        yield fields.get("event"), data if data == "[DONE]" else json.loads(data)


def shape(value: Any, name: str = "", *, error: bool = False) -> Any:
    match value:
        case {"token": "", **rest} if "bytes" not in rest:  # a special token has none
            return shape({**value, "bytes": [0]})
        case dict():
            return {key: shape(part, key, error=error or key == "error") for key, part in value.items()}
        case list():
            parts = [shape(part, error=error) for part in value]
            return [part for part, _ in groupby(parts)]
        case bool() | None:
            return value if name in LITERAL else type(value).__name__
        case int() | float():
            return value if name in LITERAL else "number"
        case str() if error:
            return re.sub(r"\d+", "N", value)
        case _:
            return value if name in LITERAL else type(value).__name__


def shapes(body: str, kind: str | None) -> Any:
    """The shape of a whole body, with events of one kind that follow each other as one."""
    if kind == "text/event-stream":
        return [one for one, _ in groupby((name, shape(data)) for name, data in events(body))]
    if kind == "application/x-ndjson":
        return [one for one, _ in groupby(shape(json.loads(line)) for line in body.splitlines())]
    return shape(json.loads(body)) if kind and kind.startswith("application/json") else body.strip()


def media_type(kind: str | None) -> str | None:
    """A content type without its character set: the fake writes none."""
    return kind and kind.partition(";")[0]


@pytest.mark.parametrize(("server", "name"), PERSONAS.items(), ids=PERSONAS)
def test_persona_answers_as_the_server_did(server: str, name: str) -> None:
    answers = {case: one.answers(name) for case, one in cases(server)}
    assert len(answers) > 40
    assert {case: (ours, theirs) for case, (ours, theirs) in answers.items() if ours != theirs} == {}


@pytest.mark.parametrize(("server", "name"), [*PERSONAS.items()][:2])
def test_show(server: str, name: str) -> None:
    """/api/show has no key that the server has not, each of the same type, and the same capabilities."""
    for model, one in zip((TINY, EMBED), exchanges(server, "models", "native")[1:3], strict=True):
        recorded = json.loads(one.body)
        shown = json.loads(answer(played(name, []), request_of(one), HELLO).body)
        info, known = shown.pop("model_info"), recorded.pop("model_info")
        shown.pop("tensors")
        assert shape(shown) == {key: part for key, part in shape(recorded).items() if key in shown}
        assert shown["capabilities"] == sorted(recorded["capabilities"]) == sorted(model.capabilities)
        assert info.items() <= {**known, "general.parameter_count": 10**9}.items()


@pytest.mark.parametrize("server", PERSONAS)
def test_what_is_left_out_is_recorded(server: str) -> None:
    """The list above names recordings that there are."""
    for case in LEFT_OUT[server]:
        intent, side, place = case.split("-")
        assert len(exchanges(server, intent, side)) > int(place)


def test_the_shapes_tell_servers_apart() -> None:
    """0.24's stream is not 0.32's: the comparison would see one in the place of the other."""
    one = exchanges("ollama-0.24.0", "chat_stream", "v1")[-1]
    found = answer(played("ollama@0.32", []), request_of(one), turn(one))
    assert shapes(found.body.decode(), "text/event-stream") != shapes(one.body, "text/event-stream")
