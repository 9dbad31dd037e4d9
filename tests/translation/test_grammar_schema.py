"""One normaliser for every schema that reaches a grammar; what it takes out is told, and the caller's schema judges."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import hypothesis
import openai
import pytest
from hypothesis import strategies as st

from llm_adapter import OpenAI, Settings
from llm_adapter.testing import json_text, serving, tool_call
from llm_adapter.testing.personas import grammar
from llm_adapter.translation.grammar_schema import GRAMMARS, normalised
from llm_adapter.translation.json_schema import faults
from llm_adapter.translation.tool_schema import shown_parameters

HI: Any = [{"role": "user", "content": "Hi"}]
ANY = {"type": ["object", "array", "string", "number", "boolean", "null"]}
LLAMA = ("ollama@0.24", "ollama@0.32", "llamacpp", "lmstudio")


def holding(required: bool = True, **inner: Any) -> Any:
    return {"type": "object", "properties": {"a": inner}, **({"required": ["a"]} if required else {})}


def text(**inner: Any) -> Any:
    return {"type": "string", **inner}


# By what a grammar cannot hold: the schema of `a`, and what is sent in its place.
TAKEN_OUT: dict[str, tuple[Any, Any]] = {
    "no anchors": (text(pattern="x"), text(description="(pattern: x)")),
    "looking ahead": (text(pattern="^(?!x)[a-z]+$"), text(description="(pattern: ^(?!x)[a-z]+$)")),
    "a description": (text(pattern="x", description="Why."), text(description="Why. (pattern: x)")),
    "long text": (text(maxLength=2000, minLength=1), text(minLength=1, description="(maxLength: 2000)")),
    "least too long": (text(minLength=5000), text(description="(minLength: 5000)")),
    "long list": ({"type": "array", "maxItems": 10**9}, {"type": "array", "description": "(maxItems: 1000000000)"}),
    "none fits": (text(minLength=3, maxLength=2), text(description="(minLength: 3) (maxLength: 2)")),
    "large number": ({"type": "integer", "maximum": 1e30}, {"type": "integer", "description": "(maximum: 1e+30)"}),
    "no schema is there": ({"$ref": "#/$defs/b"}, {**ANY, "description": "($ref: #/$defs/b)"}),
    "another host's": ({"$ref": "https://a.test/b"}, {**ANY, "description": "($ref: https://a.test/b)"}),
    "not": ({"type": "integer", "not": {"const": 1}}, {"type": "integer", "description": '(not: {"const": 1})'}),
    "names that are keywords": (
        {"type": "object", "properties": {"$ref": {"type": "string"}}},
        {"type": "object", "description": '(properties: {"$ref": {"type": "string"}})'},
    ),
}
# What has another way to say it: nothing is lost.
WRITTEN_ANEW: dict[str, tuple[Any, Any]] = {
    "digits": (text(pattern=r"^\d{3}-\d{4}$"), text(pattern="^[0-9]{3}-[0-9]{4}$")),
    "true": (True, ANY),
    "{}": ({}, ANY),
    "no type": ({"title": "A"}, {"title": "A", **ANY}),
    "list of true": ({"type": "array", "items": True}, {"type": "array"}),
    "closed tuple": (
        {"type": "array", "prefixItems": [{"type": "integer"}], "items": False},
        {"type": "array", "prefixItems": [{"type": "integer"}]},
    ),
    "allOf": ({"allOf": [text(), {"minLength": 2}]}, text(minLength=2)),
    "anyOf beside": (
        {
            "type": "object",
            "properties": {"b": text(), "c": text()},
            "anyOf": [{"required": ["b"]}, {"required": ["c"]}],
        },
        {
            "anyOf": [
                {"type": "object", "properties": {"b": text(), "c": text()}, "required": ["b"]},
                {"type": "object", "properties": {"b": text(), "c": text()}, "required": ["c"]},
            ]
        },
    ),
    "required and not described": (
        {"type": "object", "properties": {"b": text()}, "required": ["c"]},
        {"type": "object", "properties": {"b": text(), "c": ANY}, "required": ["c"]},
    ),
    "odd names": (
        {"type": "object", "properties": {"a]b": text()}, "additionalProperties": {}},
        {"type": "object", "properties": {"a]b": text()}, "description": f"(additionalProperties: {json.dumps(ANY)})"},
    ),
}
KEPT = [
    holding(type="string", pattern="^[a-z]+-(a|b){2,3}\\.$", maxLength=200),
    holding(type=["string", "null"], enum=["a", None]),
    holding(type="integer", minimum=0, maximum=9),
    holding(type="array", items={"$ref": "#/$defs/n"}) | {"$defs": {"n": holding(type="string")}},
    holding(**{"$ref": "#/definitions/n", "description": "x"}) | {"definitions": {"n": {"enum": [1]}}},
    {"$ref": "#/$defs/t", "$defs": {"t": holding(False, anyOf=[{"$ref": "#/$defs/t"}, {"type": "null"}])}},
    {"type": "object", "properties": {name: text() for name in ("definitions", "enum", "type", "anyOf", "pattern")}},
    {"type": "object", "additionalProperties": False, "properties": {"a": text(format="date")}},
]


@pytest.mark.parametrize(("inner", "sent"), [*TAKEN_OUT.values(), *WRITTEN_ANEW.values()], ids=str)
def test_what_is_sent(inner: Any, sent: Any) -> None:
    written = normalised(holding(**{}) | {"properties": {"a": inner}}, GRAMMARS["llamacpp"])
    assert written.schema == {"type": "object", "properties": {"a": sent}, "required": ["a"]}
    told = isinstance(sent, dict) and sent.get("description", "").removeprefix("Why. ")
    assert " ".join(written.taken_out) == (told or "")


@pytest.mark.parametrize("schema", KEPT, ids=str)
def test_what_a_grammar_holds_is_sent_as_it_is(schema: Any) -> None:
    for name in GRAMMARS:
        assert normalised(schema, GRAMMARS[name]).schema is schema


REFERENCES: dict[str, Any] = {
    "the root": holding(False, anyOf=[{"$ref": "#"}, text(pattern="x")]),
    "escaped": holding(**{"$ref": "#/$defs/a~1b%20c"}) | {"$defs": {"a/b c": text()}},
    "a place": {"type": "object", "properties": {"a": text(), "b": {"$ref": "#/properties/a"}, "c": True}},
    "beside": {"$ref": "#/$defs/t", "$defs": {"t": holding(False, **{"$ref": "#/$defs/t", "minProperties": 1})}},
    "begins with itself": holding(**{"$ref": "#/$defs/a"})
    | {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, text()]}}},
    "itself": holding(**{"$ref": "#/$defs/a"}) | {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "allOf": {"$defs": {"t": {"allOf": [{"$ref": "#/$defs/u"}, holding(False, **{"$ref": "#/$defs/t"})]}, "u": text()}}
    | holding(**{"$ref": "#/$defs/t"}),
}
OF_LLAMA = {**{name: holding() | {"properties": {"a": one}} for name, (one, _) in (TAKEN_OUT | WRITTEN_ANEW).items()}}


@pytest.mark.parametrize("schema", (REFERENCES | OF_LLAMA).values(), ids=(REFERENCES | OF_LLAMA).keys())
def test_what_is_sent_is_a_grammar(schema: Any) -> None:
    """The fake finds nothing to refuse, and the embedded llama.cpp builds the grammar, as a form and as a tool's."""
    written = normalised(schema, GRAMMARS["llamacpp"]).schema
    assert list(grammar.faults(written, 1000)) == []
    client = OpenAI(settings=Settings(provider="embedded"))
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    tools: Any = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    for more in ({"response_format": form}, {"tools": tools, "tool_choice": "auto"}):
        reply = client.chat.completions.create(model="m", messages=HI, max_tokens=1, **more)
        assert reply.choices[0].finish_reason == "length"


def test_the_work_is_linear() -> None:
    """Unions beside what they stand for multiply, and kinds that hold one another are written once each."""
    union: Any = holding(type="string")
    for place in range(9):
        union = {"type": "object", "properties": {f"x{place}": text()}, "anyOf": [union, {**union, "required": ["a"]}]}
    names = range(12)
    each = {"type": "object", "properties": {f"p{one}": {"allOf": [{"$ref": f"#/$defs/N{one}"}]} for one in names}}
    kinds = {"$ref": "#/$defs/N0", "$defs": {f"N{one}": each for one in names}}
    deep: Any = text()
    for _ in range(300):
        deep = holding(**deep)
    for schema in (union, kinds, deep):
        written = normalised(schema, GRAMMARS["ollama"]).schema
        assert len(json.dumps(written)) < 10 * len(json.dumps(schema))


# --- through the client

STRICT = holding(type="string", pattern=r"^(?!x)\w+$", maxLength=5000)
RIGHT, WRONG = {"a": "abc"}, {"a": "xyz"}
FORM: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": STRICT}}
TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": STRICT, "strict": True}}
ASKED: dict[str, Any] = {
    "a form": {"response_format": FORM},
    "a demanded tool": {"tools": [TOOL], "tool_choice": "required"},
    "a named tool": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    "a tool": {"tools": [TOOL]},
}


async def awaited(fake: Any, call: Any) -> None:
    async with fake.async_client() as client:
        await client.chat.completions.create(**call)


def asked(fake: Any, how: str, **call: Any) -> None:
    call = {"model": "m", "messages": HI, **call}
    if how == "async":
        asyncio.run(awaited(fake, call))
    elif how == "stream":
        with fake.client().chat.completions.create(**call, stream=True) as chunks:
            assert list(chunks)
    else:
        fake.client().chat.completions.create(**call)


@pytest.mark.parametrize("how", ["sync", "async", "stream"])
@pytest.mark.parametrize("name", [*LLAMA, "vllm"])
def test_every_place(name: str, how: str) -> None:
    """No server is sent what it would refuse or die of, and a reply that breaks the caller's schema is an error."""
    for what, arguments in ASKED.items():
        for value in (RIGHT, WRONG):
            forced = what in ("a demanded tool", "a named tool") and name.startswith("ollama")
            turn = json_text({"name": "f", "arguments": value} if forced else value)
            turn = tool_call("f", value) if "tool" in what and not forced else turn
            with serving(name) as fake:
                fake.script(*[turn] * 4)
                if value is RIGHT:
                    asked(fake, how, **arguments)
                else:
                    with pytest.raises(openai.APIError, match=r"does not match '\^\(\?!x\)"):
                        asked(fake, how, **arguments)
                assert not list(grammar.faults(fake.last.body.get("format"), 1000))


@pytest.mark.parametrize("name", LLAMA)
def test_responses(name: str) -> None:
    form: Any = {"format": {"type": "json_schema", "name": "x", "schema": STRICT}}
    with serving(name) as fake:
        fake.script(json_text(RIGHT))
        assert fake.client().responses.create(model="m", input="Hi", text=form).output_text == json.dumps(RIGHT)
        fake.script(*[json_text(WRONG)] * 2)
        with pytest.raises(openai.UnprocessableEntityError, match="does not match"):
            fake.client().responses.create(model="m", input="Hi", text=form)


FIELDS: list[tuple[str, str, Any]] = [
    ("ollama@0.24", "format", STRICT),
    ("ollama@0.32", "format", STRICT),
    ("llamacpp", "json_schema", STRICT),
    ("vllm", "structured_outputs", {"json": STRICT}),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize(("name", "field", "form"), FIELDS)
def test_the_servers_own_fields(name: str, field: str, form: Any, chat: bool, stream: bool) -> None:
    """A schema in `extra_body` reaches the same grammars, of chats and of completions, and is judged all the same."""
    with serving(name) as fake:
        fake.script(json_text(RIGHT), *[json_text(WRONG)] * 2)

        def last() -> Any:
            client, given = fake.client(), {"messages": HI} if chat else {"prompt": "Hi"}
            made: Any = client.chat.completions if chat else client.completions
            reply = made.create(model="m", extra_body={field: form}, stream=stream, **given)
            if not stream:
                return reply
            with reply as chunks:
                return list(chunks)[-1]

        told = last().adapter
        assert (told.changed, told.structured_output["validated"]) == ([field], True)
        sent = fake.last.body[field]
        assert "pattern" not in sent.get("json", sent)["properties"]["a"]
        with pytest.raises(openai.APIError, match=f"does not fit `{field}`"):
            last()


def test_what_was_taken_out_is_told_on_the_reply() -> None:
    with serving("ollama@0.24") as fake:
        fake.script(json_text(RIGHT), json_text({"name": "f", "arguments": RIGHT}), json_text({"a": "b"}))
        create = fake.client().chat.completions.create
        assert create(model="m", messages=HI, response_format=FORM).adapter.changed == ["response_format"]
        assert create(model="m", messages=HI, tools=[TOOL], tool_choice="required").adapter.changed == ["tools"]
        plain: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": holding(type="string")}}
        assert create(model="m", messages=HI, response_format=plain).adapter.changed is None


@pytest.mark.parametrize(
    "schema",
    [
        {**holding(type="string"), "type": ["object", "null"]},
        {"anyOf": [holding(type="string"), {"type": "null"}]},
        {"oneOf": [{"$ref": "#/$defs/n"}, {"const": None}], "$defs": {"n": holding(type="string")}},
    ],
    ids=str,
)
def test_a_root_that_may_be_null(schema: Any) -> None:
    """The grammar holds the object, the model is told; null is right all the same, where a server sends it."""
    sent = normalised(schema, GRAMMARS["ollama"])
    assert sent.taken_out == ("(may be null)",)
    assert "null" not in json.dumps({key: value for key, value in sent.schema.items() if key != "description"})
    assert (faults(schema, None), len(faults(schema, 1))) == ([], 1)


# --- what judges

JUDGED: dict[str, tuple[Any, Any, Any]] = {
    "a name that is a keyword": (holding() | {"properties": {"a": text(), "definitions": text()}}, {"a": ""}, {"a": 1}),
    "below the first level": (
        holding(**holding(type="integer"), additionalProperties=False),
        {"a": {"a": 1}},
        {"a": {"a": 1, "b": 2}},
    ),
    "a recursive type that is no object": (
        holding(**{"$ref": "#/$defs/J"})
        | {"$defs": {"J": {"anyOf": [text(), {"type": "array", "items": {"$ref": "#/$defs/J"}}]}}},
        {"a": [["x"], "y"]},
        {"a": [[1]]},
    ),
    "a named group": (holding(type="string", pattern="^(?<year>[0-9]{4})$"), {"a": "2026"}, {"a": "26"}),
}


@pytest.mark.parametrize(("schema", "right", "wrong"), JUDGED.values(), ids=JUDGED.keys())
@pytest.mark.parametrize("name", ["ollama@0.32", "llamacpp", "vllm"])
def test_the_callers_schema_judges(name: str, schema: Any, right: Any, wrong: Any) -> None:
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}
    with serving(name) as fake:
        fake.script(tool_call("f", right), *[tool_call("f", wrong)] * 2)
        create = fake.client().chat.completions.create
        [made] = create(model="m", messages=HI, tools=[tool]).choices[0].message.tool_calls or ()
        assert json.loads(made.function.arguments) == right
        with pytest.raises(openai.UnprocessableEntityError):
            create(model="m", messages=HI, tools=[tool])


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://a.test/b"},
        {"$ref": "#/$defs/b"},
        {"pattern": "("},
        {"type": "any"},
        {"properties": 3},
        {"$ref": "#"},
    ],
    ids=str,
)
def test_a_schema_that_cannot_be_used(schema: Any) -> None:
    """Nothing is fetched, and nothing but a fault comes of it."""
    [fault] = faults(schema, "x") or faults(schema, {})
    assert fault.startswith("the schema cannot be used")


WORDS = "type properties items anyOf allOf $ref $defs enum const required pattern minLength maxItems not description a"
VALUES = st.none() | st.booleans() | st.integers() | st.sampled_from(["#", "#/$defs/a", "object", "^a$", "(", "a"])
ANYTHING = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS.split()), inner, max_size=5),
    max_leaves=20,
)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(st.dictionaries(st.sampled_from(WORDS.split()), ANYTHING, max_size=5), ANYTHING)
def test_any_json_in_the_place_of_a_schema(schema: Any, value: Any) -> None:
    """What is no schema is for the server to refuse: here nothing but a fault comes of it."""
    assert all(isinstance(fault, str) for fault in faults(schema, value))
    assert all(json.dumps(normalised(schema, one, arguments=True).schema) for one in GRAMMARS.values())
    assert "$ref" not in shown_parameters(schema)
