"""What makes one server another: a persona is a value, and all that differs between servers stands in its fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from llm_adapter.testing.personas.speech import CUT, prompt_tokens
from llm_adapter.testing.personas.wire import Answer, Json, ServerRequest, whole
from llm_adapter.testing.turns import Failure, Turn
from llm_adapter.translation.model_names import names_embedding_model

COMPLETION = frozenset({"completion", "tools", "thinking", "vision", "insert"})
EMBEDDING = frozenset({"embedding"})


@dataclass(frozen=True, slots=True)
class Model:
    """A model that the server has. Capabilities in Ollama's words: completion, tools, thinking, vision, embedding."""

    name: str
    capabilities: frozenset[str] = COMPLETION
    context: int | None = None  # tokens; None: the server's
    dimensions: int = 8  # of its vectors

    @property
    def tagged(self) -> str:
        """Ollama's full name of it."""
        return self.name if ":" in self.name.rpartition("/")[2] else f"{self.name}:latest"

    @property
    def manifest(self) -> str:
        """Where Ollama finds it: the same for a name in other letters, or with its registry (types/model/name.go)."""
        return self.tagged.lower().removeprefix("registry.ollama.ai/").removeprefix("library/")

    @property
    def nameable(self) -> bool:
        """Whether Ollama takes the name for one (types/model/name.go isValidPart, v0.24.0)."""
        return _NAME.fullmatch(self.name) is not None


def model_by_name(name: str) -> Model:
    """A model by its name alone: it can do everything, or it embeds."""
    return Model(name, EMBEDDING if names_embedding_model(name) else COMPLETION)


def as_models(given: Iterable[str | Model] | Mapping[str, Iterable[str]]) -> tuple[Model, ...]:
    """The models of a list of names, of models, or of names with their capabilities."""
    if isinstance(given, str):  # a name alone, and not its letters
        given = [given]
    if isinstance(given, Mapping):
        return tuple(Model(name, frozenset(able)) for name, able in given.items())
    return tuple(one if isinstance(one, Model) else model_by_name(one) for one in given)


@dataclass(frozen=True, slots=True)
class Shape:
    """How a server writes a chat completion, whole and streamed. The dictionaries are what it adds everywhere."""

    reasoning: str | None = None  # the field of a model's thoughts; None: they are not shown
    completion: Json = field(default_factory=dict)
    choice: Json = field(default_factory=dict)
    message: Json = field(default_factory=dict)
    usage: Json = field(default_factory=dict)
    chunk: Json = field(default_factory=dict)
    chunk_choice: Json = field(default_factory=dict)
    opening: Json | None = None  # the delta of a chunk of its own, which begins the stream
    every: Json = field(default_factory=dict)  # what all deltas of text and calls have
    closing: Json = field(default_factory=dict)  # the delta of the chunk with the finish_reason
    role_on_first: bool = False  # without an opening: the role comes with the first chunk
    fragments: bool = True  # a call's arguments come in pieces; else each call is one chunk
    rewrites: bool = False  # arguments are always an object, written without white space
    indexed: bool = False  # calls of a whole reply have an index too
    token: Json = field(default_factory=dict)  # what a token has besides, where its log probability is told
    no_top: bool = True  # log probabilities have a list of the top ones, even if it is empty
    no_content: Any = None  # the content beside tool calls
    repeats_last: bool = False  # a whole reply begins with the assistant's message that ends the call
    usage_null: bool = False  # chunks before the one with the usage say "usage": null
    counts: bool = False  # it knows `n`
    ids: str = "chatcmpl-fake{number:06d}"
    call_ids: str = "call_fake{number:04d}{place:04d}"
    last: Callable[[Persona, ServerRequest], Json] | None = None  # what the last chunk has besides


@dataclass(frozen=True, slots=True)
class TextShape:
    """How a server writes a text completion. The dictionaries are what it adds everywhere."""

    completion: Json = field(default_factory=dict)
    choice: Json = field(default_factory=dict)
    usage: Json = field(default_factory=dict)
    chunk: Json = field(default_factory=dict)
    early_usage: Json = field(default_factory=dict)  # in chunks before the one with the usage, where it is wanted
    own_usage: bool = True  # the usage has a chunk without choices; else it is in the last one, always
    empty_thoughts: bool = False  # a thought is a chunk without text
    counts: bool = False  # it knows `n` and lists of prompts
    ids: str = "cmpl-fake{number:06d}"


@dataclass(frozen=True, slots=True)
class ResponseShape:
    """How a server writes the Responses API."""

    base: Json = field(default_factory=dict)  # what every response object has besides
    echoes: frozenset[str] | None = None  # of the request, what its fields of `base` repeat; None: all of them
    tool: Json = field(default_factory=lambda: {"strict": None})  # what a tool has, where the request does not say
    cached: Json = field(default_factory=lambda: {"cached_tokens": 0})
    silent_thoughts: bool = False  # a stream of thoughts alone has no message
    bare: bool = False  # events without numbers and places, response objects with the least alone (llama.cpp)
    encrypted: bool = False  # reasoning comes with its text as `encrypted_content`
    text_beside_calls: bool = True  # else a text is lost when there are calls


_NAME = re.compile(r"((\w[\w\-.:]{0,349}/)?\w[\w\-]{0,79}/)?\w[\w\-.]{0,79}(:\w[\w\-.]{0,79})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a server refuses, with where that is known from."""

    name: str
    source: str
    refuse: Callable[[Persona, ServerRequest], Failure | None]


def _nothing(persona: Persona, request: ServerRequest) -> Answer | None:
    return None


Headers: TypeAlias = "tuple[tuple[str, str], ...]"
Handler: TypeAlias = Callable[["Persona", ServerRequest, Turn], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: its checks in their order, then what may stand instead of a turn, then its reply."""

    handler: Handler
    spoken: bool = False  # a turn is used up by it
    checks: tuple[Check, ...] = ()
    instead: Callable[[Persona, ServerRequest], Answer | None] = _nothing
    streams: bool = True


def _model_entry(request: ServerRequest, model: Model) -> Json:
    return {"id": model.name, "object": "model", "created": int(request.time), "owned_by": "system"}


def _no_headers(request: ServerRequest) -> Headers:
    return ()


def _no_form(request: ServerRequest) -> Any:
    return None


def _no_extra(persona: Persona) -> Json:
    return {}


def _no_model(name: str) -> Failure:
    return Failure(f"The model `{name}` does not exist.", 404, "model_not_found", "invalid_request_error")


@dataclass(frozen=True)
class Persona:
    """One server, with the models that it has. Nothing that is asked changes it: `after` gives another."""

    name: str
    dialect: str  # of /v1, as `Settings.dialect` names it
    routes: Mapping[str, Mapping[str, Route]]  # path -> method; `{model}` stands for the rest of the path
    envelope: Callable[[Failure], Json]  # of an error on /v1
    unknown: Callable[[ServerRequest, bool], Answer]  # an unknown path, or (True) another method of a known one
    interrupted: Callable[
        [Persona, ServerRequest, Failure], tuple[bytes, ...]
    ]  # a failure in the middle of a stream on /v1
    shape: Shape = Shape()
    reads: frozenset[str] | None = None  # of a chat's parameters, the others are dropped; None: none is
    limits: tuple[str, ...] = ("max_tokens", "max_completion_tokens")  # what cuts a reply on /v1, the first one given
    form: Callable[[ServerRequest], Any] = _no_form  # the schema, or "json", that covers a whole reply
    own_name: bool = False  # replies name the server's model, whatever was asked for
    text_shape: TextShape = TextShape()
    vectors: Json = field(default_factory=dict)  # what a list of vectors has besides
    model_entry: Callable[[ServerRequest, Model], Json] = _model_entry  # a model in /v1/models
    response: ResponseShape = ResponseShape()
    no_models: Any = field(default_factory=list)  # what /v1/models lists without any
    models_extra: Callable[[Persona], Json] = _no_extra
    headers: Callable[[ServerRequest], Headers] = _no_headers  # that every answer has besides
    missing: Callable[[str], Failure] = _no_model  # the words for a model that is not there
    version: str = "0"
    tells_capabilities: bool = False  # /api/tags knows capabilities and lengths
    library: frozenset[str] = frozenset()  # models that can be pulled
    blobs: Mapping[str, str] = field(default_factory=dict)  # the first four characters of files, by their digests
    models: tuple[Model, ...] | None = None  # None: any model that is asked for
    context: int | None = None  # tokens that a prompt may have; None: any number
    # Ollama: models in memory, with their keep_alive, the time of their last call and their context.
    loaded: Mapping[str, tuple[Any, float, int | None]] = field(default_factory=dict)

    def model(self, name: str) -> Model | None:
        """The model of a name; None, if the server does not have it."""
        if self.models is None:
            return model_by_name(name)
        if self.dialect == "ollama":
            return next((model for model in self.models if model.manifest == Model(name).manifest), None)
        tagged = Model(name).tagged
        return next((model for model in self.models if model.name == name or model.tagged == tagged), None)

    @property
    def listed_models(self) -> tuple[Model, ...]:
        """What a list of models shows: each with the context that it has here."""
        have = (Model("fake-model"), Model("fake-embed", EMBEDDING)) if self.models is None else self.models
        return tuple(replace(model, context=model.context or self.context) for model in have)

    def reply_model(self, request: ServerRequest) -> str:
        """The model's name in a reply."""
        return self.models[0].name if self.own_name and self.models else request.model

    def context_size(self, request: ServerRequest) -> int | None:
        """The context that a request has, in tokens."""
        wanted = request.part("options").get("num_ctx") if request.native else None
        if isinstance(wanted, int) and wanted > 0:
            return wanted
        model = self.model(request.model)
        return (model and model.context) or self.context

    def having(self, **fields: Any) -> Persona:
        return replace(self, **fields)


def refused(persona: Persona, request: ServerRequest, failure: Failure) -> Answer:
    """An error, as this server writes it on this API. Without a status the server, or its connection, breaks down."""
    if not failure.status:
        return CUT
    native = persona.dialect == "ollama" and request.native
    content = {"error": failure.message} if native else persona.envelope(failure)
    return whole(content, failure.status, failure.headers)


# --- checks that several servers have, each in words of its own


def missing_model(source: str) -> Check:
    """The model is there."""

    def refuse(persona: Persona, request: ServerRequest) -> Failure | None:
        return persona.missing(request.model) if persona.model(request.model) is None else None

    return Check("the model is there", source, refuse)


def overflow(persona: Persona, request: ServerRequest) -> tuple[int, int] | None:
    """The prompt's tokens and the context, when they are too many for it."""
    size, tokens = persona.context_size(request), prompt_tokens(request.body)
    return (tokens, size) if size is not None and tokens > size else None


def too_long(source: str, failure: Failure) -> Check:
    """A prompt fits into the context. The failure's words name {tokens} and {size}."""

    def refuse(persona: Persona, request: ServerRequest) -> Failure | None:
        over = overflow(persona, request)
        return replace(failure, message=failure.message.format(tokens=over[0], size=over[1])) if over else None

    return Check("the prompt fits", source, refuse)
