"""`completion.ollama` and `completion.adapter`: the server's figures and what became of the call, with attributes."""

from __future__ import annotations

from typing import Any

from openai import BaseModel
from pydantic import ValidationError

from llm_adapter.provider import Report


class OllamaFigures(BaseModel):
    """What Ollama says of the work it did; a figure that the server did not give is None."""

    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None


class AdapterReport(BaseModel):
    """What became of a call. Lists hold parameters' names; more fields may follow."""

    provider: str
    model: str | None = None
    requested_model: str | None = None
    emulated: list[str] | None = None
    ignored: list[str] | None = None
    left_out: list[str] | None = None
    changed: list[str] | None = None
    unknown: list[str] | None = None  # passed on to a server that is not known to read it
    structured_output: dict[str, Any] | None = None
    route: dict[str, Any] | None = None  # where a profile's `routes` led the call: to, by
    fallback: dict[str, Any] | None = None  # which profile answered for which, and why: from, to, reason


def adapted(reply: object) -> AdapterReport | None:
    """What became of the call, with types: `completion.adapter`, which a type checker does not know.

    reply: a completion, a chunk, a response or one of its events, embeddings. None where nothing is said of it: it came
    from OpenAI as it is, or it is not the chunk that has it.
    """
    found = _field(reply, "adapter")
    return found if isinstance(found, AdapterReport) else None


def timings(reply: object) -> OllamaFigures | None:
    """Ollama's own figures, in nanoseconds and tokens, with types: `completion.ollama`. None where it gave none."""
    found = _field(reply, "ollama")
    return found if isinstance(found, OllamaFigures) else None


def _field(reply: object, name: str) -> object:
    """A field of ours, on a reply or on the response that an event holds."""
    found: object = getattr(reply, name, None)
    return found if found is not None else getattr(getattr(reply, "response", None), name, None)


_CLASSES: dict[str, type[BaseModel]] = {"ollama": OllamaFigures, "adapter": AdapterReport}
_FIELDS = {name: frozenset(kind.model_fields) for name, kind in _CLASSES.items()}


def with_attributes(reply: Any) -> Any:
    """The reply itself, its extra fields of ours turned from dictionaries into objects."""
    extra: dict[str, Any] | None = getattr(reply, "__pydantic_extra__", None)
    if extra:
        for name, fields in _FIELDS.items():
            # A model's `ollama` holds its digest and details, and stays a dictionary.
            if type(extra.get(name)) is dict and not fields.isdisjoint(extra[name]):
                extra[name] = _object(_CLASSES[name], extra[name])
    response = getattr(reply, "__dict__", {}).get("response")
    if response is not None:  # an event of a streamed response, which holds all of it
        with_attributes(response)
    return reply


def with_report(reply: Any, report: Report) -> None:
    """Put the report onto a reply that came as its server made it; of a streamed response's events, onto its whole."""
    reply = getattr(reply, "response", None) or reply
    extra: dict[str, Any] | None = getattr(reply, "__pydantic_extra__", None)
    model = getattr(reply, "model", None)
    led_away = (report.route or report.fallback) and not hasattr(reply, "sequence_number")
    if extra is not None and (model or led_away):
        extra.setdefault("adapter", report.json(model))


def _object(kind: type[BaseModel], fields: dict[str, Any]) -> BaseModel:
    try:
        return kind.__pydantic_validator__.validate_python(fields, strict=True)  # type: ignore[no-any-return]
    except ValidationError:  # whatever a server says is passed on, by the slower way of the SDK
        return kind.construct(**fields)
