"""What a reply has to be before anything is made of it: the fields that are read here, and their types.

Any server may answer 200 with something that is no reply: `null`, a list, an error's object, a page of a gateway. Here
bodies and events become objects; what does not fit is an error with the server's own words. Fields that nobody reads
may hold anything, and are passed on.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeAlias

from pydantic_core import CoreSchema, SchemaValidator, ValidationError
from pydantic_core import core_schema as cs

from llm_adapter.provider import Json, NativeReply, parsed_json
from llm_adapter.translation.errors import checked, no_reply

Field: TypeAlias = CoreSchema


def _nullable(field: Field) -> Field:
    return cs.nullable_schema(field)


def _list(field: Field, least: int = 0) -> Field:
    return cs.list_schema(field, min_length=least, strict=True)


def _object(needed: str = "", /, **fields: Field) -> Field:
    """An object. needed: the names of the fields that must be there, separated by spaces."""
    rows = {name: cs.typed_dict_field(field, required=name in needed.split()) for name, field in fields.items()}
    return cs.typed_dict_schema(rows, extra_behavior="allow", strict=True)


_STRING = cs.str_schema(strict=True)
_TEXT = _nullable(_STRING)
_NUMBER = cs.union_schema([cs.int_schema(strict=True), cs.float_schema(strict=True)])
_COUNT = _nullable(_NUMBER)
_SWITCH = _nullable(cs.bool_schema(strict=True))
_ANY_OBJECT = cs.dict_schema(strict=True)
_NUMBERS = _nullable(_list(_COUNT))

_TOP_TOKEN = _object("token logprob", token=_STRING, logprob=_NUMBER)
_TOKENS = _nullable(
    _list(
        _object("token logprob", token=_STRING, logprob=_NUMBER, top_logprobs=_nullable(_list(_TOP_TOKEN))),
    )
)
_USAGE = _nullable(
    _object(
        prompt_tokens=_COUNT,
        completion_tokens=_COUNT,
        total_tokens=_COUNT,
        completion_tokens_details=_nullable(cs.dict_schema(_STRING, _COUNT, strict=True)),
    )
)
_ARGUMENTS = cs.union_schema([_TEXT, _ANY_OBJECT])
_CALLED = _object("name", name=_STRING, arguments=_ARGUMENTS)
_CALLS = _nullable(_list(_object("function", id=_TEXT, type=_TEXT, function=_CALLED)))
_CALL_DELTAS = _nullable(
    _list(
        _object(
            id=_TEXT,
            type=_TEXT,
            index=_COUNT,
            function=_nullable(_object(name=_TEXT, arguments=_TEXT)),
        )
    )
)
# Some of the servers of which nothing is known give a content in parts; it is passed on.
_CONTENT = cs.union_schema([_TEXT, _list(_ANY_OBJECT)])
_LOGPROBS = _nullable(_object(content=_TOKENS))
_TEXT_LOGPROBS = _nullable(
    _object(content=_TOKENS, tokens=_nullable(_list(_TEXT)), token_logprobs=_NUMBERS, text_offset=_NUMBERS)
)
_MESSAGE = _object(content=_CONTENT, tool_calls=_CALLS)
_DELTA = _object(content=_CONTENT, tool_calls=_CALL_DELTAS)
_INDEX = _nullable(cs.int_schema(strict=True))
_CHOICE = _object("message", index=_INDEX, message=_MESSAGE, finish_reason=_TEXT, logprobs=_LOGPROBS)
_CHUNK_CHOICE = _object(index=_INDEX, delta=_nullable(_DELTA), finish_reason=_TEXT, logprobs=_LOGPROBS)
_TEXT_CHUNK_CHOICE = _object(index=_INDEX, text=_TEXT, finish_reason=_TEXT, logprobs=_TEXT_LOGPROBS)
_TEXT_CHOICE = _object("text", index=_INDEX, text=_TEXT, finish_reason=_TEXT, logprobs=_TEXT_LOGPROBS)
_FLOATS = _list(cs.float_schema(strict=True, allow_inf_nan=False), least=1)
_VECTOR = cs.union_schema([_STRING, _FLOATS])
# Ollama's own. Source: ollama/api/types.go ChatResponse, GenerateResponse, EmbedResponse, ListResponse, v0.24.0.
_NATIVE_CALL = _object("function", id=_TEXT, function=_object("name", name=_STRING, arguments=_nullable(_ANY_OBJECT)))
_NATIVE_MESSAGE = _object(content=_TEXT, thinking=_TEXT, tool_calls=_nullable(_list(_NATIVE_CALL)))
_FIGURES: dict[str, Field] = {
    "done": _SWITCH,
    "done_reason": _TEXT,
    "prompt_eval_count": _COUNT,
    "eval_count": _COUNT,
    "total_duration": _COUNT,
    "load_duration": _COUNT,
    "prompt_eval_duration": _COUNT,
    "eval_duration": _COUNT,
    "logprobs": _TOKENS,
}


class Shape:
    """What one kind of reply looks like. name: what it is, for messages: "a chat completion"."""

    def __init__(self, name: str, fields: Field, any_of: tuple[str, ...] = ()) -> None:
        self.name = name
        self._fields = fields
        self._any_of = any_of  # fields of which one has to be there

    @cached_property
    def _validator(self) -> SchemaValidator:
        return SchemaValidator(self._fields)

    def parsed(self, data: bytes) -> Json:
        """The object of a JSON text, checked. Raises ValueError for what is not JSON, and `Rejected`."""
        try:
            value = self._validator.validate_json(data)
        except ValidationError:
            return self.checked(parsed_json(data))
        return value if self._is_told(value) else self.checked(value)

    def checked(self, value: Any) -> Json:
        """The value itself. Raises `Rejected` where it is no such reply."""
        if isinstance(value, dict) and value.get("error"):
            raise no_reply(value, "")
        try:
            self._validator.validate_python(value)
        except ValidationError as error:
            raise no_reply(value, f"the server's reply is not {self.name}{_place(error)}") from None
        if not self._is_told(value):
            raise no_reply(value, f"the server's reply is not {self.name}")
        return value  # type: ignore[no-any-return]

    def _is_told(self, value: Json) -> bool:
        """Whether it is no error, and has one of the fields without which it says nothing."""
        return not value.get("error") and (
            not self._any_of or any(value.get(name) is not None for name in self._any_of)
        )


def _place(error: ValidationError) -> str:
    """Where the first thing is that does not fit: " (at choices.0.message)"."""
    names = error.errors(include_url=False, include_context=False, include_input=False)[0]["loc"]
    where = ".".join(str(one) for one in names if isinstance(one, int) or one.isidentifier())
    return f" (at {where})" if where else ""


COMPLETION = Shape("a chat completion", _object("choices", choices=_list(_CHOICE, least=1), usage=_USAGE))
TEXT_COMPLETION = Shape("a completion", _object("choices", choices=_list(_TEXT_CHOICE, least=1), usage=_USAGE))
CHUNK = Shape(
    "a chunk of a chat completion",
    _object(choices=_nullable(_list(_CHUNK_CHOICE)), usage=_USAGE),
    any_of=("choices", "usage"),
)
TEXT_CHUNK = Shape(
    "a chunk of a completion",
    _object(choices=_nullable(_list(_TEXT_CHUNK_CHOICE)), usage=_USAGE),
    any_of=("choices", "usage"),
)
EMBEDDINGS = Shape(
    "a list of embeddings",
    _object("data", data=_list(_object("embedding", index=_INDEX, embedding=_VECTOR)), usage=_USAGE),
)
# By the path of the call.
WHOLE = {"/chat/completions": COMPLETION, "/completions": TEXT_COMPLETION, "/embeddings": EMBEDDINGS}
STREAMED = {"/chat/completions": CHUNK, "/completions": TEXT_CHUNK}
MODEL = Shape("a model", _object("id", id=_STRING))
# An Ollama without a model says null (recorded on its /v1).
MODELS = Shape(
    "a list of models",
    _object("data", data=_nullable(_list(_object("id", id=_STRING, aliases=_nullable(_list(_STRING)))))),
)
NATIVE_CHAT = Shape(
    "a chat reply",
    _object(message=_nullable(_NATIVE_MESSAGE), **_FIGURES),
    any_of=("message", "done"),
)
NATIVE_TEXT = Shape(
    "a generated text",
    _object(response=_TEXT, thinking=_TEXT, **_FIGURES),
    any_of=("response", "thinking", "done"),
)
NATIVE_EMBEDDINGS = Shape(
    "a list of embeddings",
    _object("embeddings", embeddings=_list(_FLOATS), **_FIGURES),
)
NATIVE_MODELS = Shape(
    "a list of models",
    _object("models", models=_nullable(_list(_object(name=_TEXT, modified_at=_TEXT)))),
)
NATIVE_RUNNING = Shape("a list of models", _object("models", models=_nullable(_list(_ANY_OBJECT))))
NATIVE_VERSION = Shape("a version", _object("version", version=_STRING))
NATIVE_MODEL = Shape(
    "a model's description",
    _object(),
    any_of=("details", "model_info", "capabilities", "modelfile", "template", "parameters", "modified_at"),
)
ANSWER = Shape("an answer", _object())


def index_of_plain_text(chunk: Any) -> int | None:
    """The choice of a chunk that is a piece of text of one choice and nothing more; None for any other.

    Nearly all chunks are: of those, everything has been looked at here that the shapes check and that is repaired.
    """
    if type(chunk) is not dict or chunk.get("usage") is not None or chunk.get("error"):
        return None
    choices = chunk.get("choices")
    if type(choices) is not list or len(choices) != 1 or type(choice := choices[0]) is not dict:
        return None
    if choice.get("finish_reason") is not None or choice.get("logprobs") is not None:
        return None
    delta = choice.get("delta")
    if delta is None:
        is_text = type(choice.get("text")) is str and "delta" not in choice
    else:
        is_text = type(delta) is dict and type(delta.get("content")) is str and len(delta) == 1 + ("role" in delta)
    index = choice.get("index")
    return index if is_text and type(index) is int else None


def reply_of(reply: NativeReply, shape: Shape, path: str = "/chat/completions") -> Json:
    """The object that a whole reply holds. Raises `Rejected` for an error, and for what is no such reply.

    path: the OpenAI call's.
    """
    try:
        return shape.parsed(checked(reply, path).body)
    except ValueError:
        reply.json()  # raises what says that it is not JSON
        raise
