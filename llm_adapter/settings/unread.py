"""Settings that do not reach the server behind a profile: which, why, and how gravely."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from llm_adapter.settings.readers import ALL, MACHINE_OPTIONS, OVER_V1, READERS, listed, option_readers
from llm_adapter.settings.settings import Settings

# Beside the readers: what does the same on a server.
_CURES = {
    ("num_ctx", "/v1 llamacpp"): "; llama.cpp is started with it: --ctx-size",
    ("num_ctx", "/v1 vllm"): "; vLLM is started with it: --max-model-len",
}


class UnreadSetting(NamedTuple):
    """One setting that has no effect."""

    name: str  # "num_ctx", or "options.top_k" for one of the options
    message: str  # a clause that says so
    field: str
    changes_reply: bool  # the reply would be another one, if it were read
    shared: bool  # it stands where it holds for several profiles: in the environment, or above a file's profiles


def unread_settings(settings: Settings, reader: frozenset[str]) -> list[UnreadSetting]:
    """What was set and is not read. reader: the server, or all that it may be."""
    return [
        UnreadSetting(name, _message(settings, field, name, readers, reader), field, grave, settings.is_shared(field))
        for field in type(settings).model_fields
        if field in settings.model_fields_set
        for name, readers, grave in _parts(settings, field)
        if not readers & reader
    ]


def readers_of(field: str) -> frozenset[str]:
    """Who reads a field of the settings."""
    return frozenset(_declared(field).get("read_by", ALL))


def _declared(field: str) -> dict[str, Any]:
    extra = Settings.model_fields[field].json_schema_extra
    return extra if isinstance(extra, dict) else {}


def _parts(settings: Settings, field: str) -> Iterator[tuple[str, frozenset[str], bool]]:
    """A field, or each of the options in it: its name, its readers, and whether it changes the reply."""
    value = getattr(settings, field)
    if value == Settings.model_fields[field].get_default(call_default_factory=True):
        return
    if field == "options":
        for name in value:
            yield f"options.{name}", option_readers(name), name not in MACHINE_OPTIONS
    else:
        yield field, readers_of(field), bool(_declared(field).get("changes_reply"))


def _message(settings: Settings, field: str, name: str, readers: frozenset[str], reader: frozenset[str]) -> str:
    where = READERS[next(iter(reader))] if len(reader) == 1 else "a /v1 server" if reader == OVER_V1 else "this server"
    cure = _CURES.get((name, next(iter(reader))), "") if len(reader) == 1 else ""
    origin = settings.origin(field)
    source = "set in code" if origin in ("argument", "default") else f"from {origin}"
    return f"`{name}` ({source}) has no effect on {where}: it is read by {listed(readers)}{cure}"
