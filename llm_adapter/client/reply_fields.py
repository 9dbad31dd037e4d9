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
    """Put the report onto a reply that came as its server made it."""
    extra: dict[str, Any] | None = getattr(reply, "__pydantic_extra__", None)
    if extra is not None and (model := getattr(reply, "model", None)):
        extra.setdefault("adapter", report.json(model))


def _object(kind: type[BaseModel], fields: dict[str, Any]) -> BaseModel:
    try:
        return kind.__pydantic_validator__.validate_python(fields, strict=True)  # type: ignore[no-any-return]
    except ValidationError:  # whatever a server says is passed on, by the slower way of the SDK
        return kind.construct(**fields)
