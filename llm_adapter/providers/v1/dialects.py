"""Dialects of `/v1`: what one kind of server does differently from OpenAI. Its parameters are in `parameters`.

Sources: the recordings of ollama 0.24.0 and 0.32.15; llama.cpp tools/server/server-common.cpp and server-schema.cpp
(006639c3); vllm entrypoints/openai/chat_completion/protocol.py (002032ee); lmstudio-ai/docs openai-compat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from llm_adapter.provider import Call, Json
from llm_adapter.providers.v1.parameters import FIELDS, ROWS
from llm_adapter.settings.errors import warn_caller
from llm_adapter.settings.hosts import is_loopback, is_openai
from llm_adapter.translation.grammar_schema import GRAMMARS, Grammar
from llm_adapter.translation.parameters import Rows, warn_of_unknown, write_argument
from llm_adapter.translation.token_ids import are_openais

# What only Ollama's native API understands; `extra_body` is where a call site puts them.
OLLAMA_ONLY = frozenset(
    {"keep_alive", "options", "think", "truncate", "shift", "raw", "template", "context", "num_ctx"}
)
# Sampling options that OpenAI does not have, by the names Ollama and llama.cpp give them.
SAMPLERS = frozenset(
    {
        "top_k",
        "min_p",
        "typical_p",
        "repeat_last_n",
        "repeat_penalty",
        "num_keep",
        "num_predict",
        "num_batch",
        "num_gpu",
    }
    | {"main_gpu", "use_mmap", "num_thread", "draft_num_predict"}
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one kind of server reads of a request, and what its replies need."""

    name: str
    understands: frozenset[str] = frozenset()  # which of `OLLAMA_ONLY` and `SAMPLERS`
    needs_repair: bool = True  # its replies lack one spelling of reasoning, sound tool calls, or an end
    # Which `tool_choice` it reads: a named function too, "auto" and "required" alone, or none at all.
    tool_choice_forms: Literal["named", "words", "none"] = "words"
    supports_n: bool = False  # it reads `n`, lists of prompts and `echo`, and counts their tokens
    own_forms: bool = False  # of `response_format`, which it judges itself; its completions read it too
    schema_fields: tuple[str, ...] = ()  # of its own: each holds a schema of the reply
    supports_json_object: bool = True  # it takes `response_format` json_object
    # It takes a content as a list of parts, and shows a model the whole of a tool's schema.
    accepts_content_parts: bool = True
    accepts_token_ids: bool = False  # as ids of its own model
    goes_on_with_last_message: bool = False  # where it is the assistant's; others begin a new one, as OpenAI does
    # A whole reply begins with the assistant's message that ends the call, and goes on with it; a stream only goes on
    # (asked of xllamacpp's server, 2026-11).
    repeats_last_message: bool = False
    fetches_images: bool = True  # those that are given by their address
    has_model_endpoint: bool = True  # GET /models/{id}, beside the list
    accepts_any_path: bool = False  # one that it does not have is answered with 200 and an error's text
    larger_context: str = ""  # how a server gets a context of {tokens}

    @property
    def where(self) -> str:
        """What a call goes to, for messages."""
        return f"dialect {self.name!r}"

    @property
    def grammar(self) -> Grammar:
        """What it takes of a schema; of a server that is none of the known ones, the least is expected."""
        return GRAMMARS.get(self.name, GRAMMARS["llamacpp"])

    @property
    def server(self) -> str:
        """What kind of server it is, for messages; "" where nobody knows."""
        return _server(self.name) if self.name in ROWS else ""

    @property
    def rows(self) -> Mapping[str, Rows]:
        """The rows of every path, which the requests are held against; none where nothing is changed."""
        return ROWS.get(self.name, {})

    def takes_token_ids(self, call: Call) -> bool:
        """Whether token ids go to the server as they are."""
        return self.accepts_token_ids and not are_openais(call)

    def body(self, call: Call) -> Json:
        """The request's body as this server wants it; the same object when nothing changes. Raises `Rejected`."""
        body = call.body
        stripped = (OLLAMA_ONLY | SAMPLERS).intersection(body) - self.understands
        if stripped:
            listed = ", ".join(f"`{name}`" for name in sorted(stripped))
            warn_caller(f"left out on {_server(self.name)}, which does not know it: {listed}")
            for name in sorted(stripped):
                call.report.note("left_out", name)
            body = {name: value for name, value in body.items() if name not in stripped}
        rows = self.rows.get(call.path)
        if rows is None:
            return body
        self._warn_of_unknown_fields(rows, call, body)
        body = _by_rows(rows, call, body, self.where)
        messages = body.get("messages")
        if isinstance(messages, list) and any(_role(message) == "developer" for message in messages):
            body = {**body, "messages": [_system(message) for message in messages]}
        return body

    def _warn_of_unknown_fields(self, rows: Rows, call: Call, body: Json) -> None:
        """Warn of names that the server reads over in silence, such as a misspelt one. They are sent all the same."""
        known = FIELDS.get(self.name, {}).get(call.path)
        if known is None or body.keys() <= rows.keys():
            return
        for name in sorted(body.keys() - rows.keys() - known - self.understands):
            if body[name] is not None:
                warn_of_unknown(call, name, _server(self.name), [*rows, *known])


def _by_rows(rows: Rows, call: Call, body: Json, where: str) -> Json:
    """The body as the rows have it. A parameter without a row is the server's own, and is passed on."""
    changed = dict(body)
    for name, value in body.items():
        row = rows.get(name)
        if row is not None and value is not None and not write_argument(row, name, value, changed, call, where):
            del changed[name]
    return body if changed == body else changed


def _system(message: Any) -> Any:
    """A developer message as a system message: most chat templates know no developer."""
    return {**message, "role": "system"} if _role(message) == "developer" else message


_LLAMACPP_KNOWS = frozenset({"top_k", "min_p", "typical_p", "repeat_last_n", "repeat_penalty"})
# A server that is none of the known ones: nothing is changed for it, and its replies are repaired all the same.
OTHER = Dialect("other", understands=OLLAMA_ONLY | SAMPLERS)

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("openai", needs_repair=False),
        Dialect(
            "ollama",
            tool_choice_forms="none",
            accepts_content_parts=False,
            goes_on_with_last_message=True,
            fetches_images=False,
            larger_context="with provider 'ollama', `num_ctx = {tokens}` in the profile loads the model with more",
        ),
        Dialect(
            "llamacpp",
            understands=_LLAMACPP_KNOWS,
            schema_fields=("json_schema",),
            accepts_token_ids=True,
            goes_on_with_last_message=True,
            repeats_last_message=True,
            has_model_endpoint=False,
            larger_context="start the server with `--ctx-size {tokens}`, times its number of slots",
        ),
        Dialect(
            "vllm",
            understands=frozenset({"top_k", "min_p"}),
            tool_choice_forms="named",
            supports_n=True,
            own_forms=True,
            schema_fields=("structured_outputs",),
            accepts_token_ids=True,
            larger_context="start vLLM with `--max-model-len {tokens}`",
        ),
        Dialect(
            "lmstudio",
            understands=frozenset({"top_k", "repeat_penalty"}),
            supports_json_object=False,
            fetches_images=False,
            larger_context="load the model in LM Studio with a context length of {tokens}",
            has_model_endpoint=False,
            accepts_any_path=True,
        ),
        OTHER,
    )
}

# Ports that belong to one kind of server; 8000 and 8080 belong to anybody.
_PORTS = {11434: "ollama", 1234: "lmstudio"}
_OWNERS = {
    "llamacpp": "llamacpp",
    "vllm": "vllm",
    "library": "ollama",
    "organization_owner": "lmstudio",
}  # "openai" is what gateways say, too: OpenAI itself is known by its address


def guessed(url: str) -> str | None:
    """The dialect, where the address alone tells it."""
    if is_openai(url):
        return "openai"
    return _PORTS.get(urlsplit(url).port or 0) if is_loopback(url) else None


def recognised(models: Any) -> str:
    """The dialect of a server by its reply to GET /v1/models; "other" when it says nothing that is known."""
    data = models.get("data") if isinstance(models, dict) else None
    owners = [str(one.get("owned_by")) for one in (data if isinstance(data, list) else ()) if isinstance(one, dict)]
    return next((_OWNERS[owner] for owner in owners if owner in _OWNERS), OTHER.name)


def _server(dialect: str) -> str:
    return f"{'an' if dialect[0] in 'aeiou' else 'a'} {dialect} /v1 server"


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None
