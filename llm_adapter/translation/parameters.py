"""Parameters as rows: what becomes of each argument of an OpenAI call, why, and how we know.

A row is read, counted, tested and printed (the table of the migration guide is made of them); a branch hides.
Rule: every parameter is honoured, emulated, ignored with a reason, or refused by name. Nothing falls through.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from llm_adapter.provider import Call, Json, Rejected
from llm_adapter.translation.process_cache import register_cache

Verdict: TypeAlias = Literal["honoured", "emulated", "ignored", "refused"]
Apply: TypeAlias = Callable[[Any, Json, Call], None]


class AdapterWarning(UserWarning):
    """Something the call asked for was changed or left out because the settings allow it."""


def _never(value: Any) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter on one provider."""

    verdict: Verdict
    note: str  # how it is honoured, or why not
    source: str = ""  # where the fact comes from: file, symbol, version
    apply: Apply | None = None  # writes the value into the native request
    harmless: Callable[[Any], bool] = _never  # values that are what happens anyway: nothing is refused, or emulated


Rows: TypeAlias = Mapping[str, Row]
_TOOLING = ("tools", "functions", "tool_choice", "function_call", "parallel_tool_calls")


def honoured(note: str, apply: Apply | None = None, *, source: str = "") -> Row:
    """A parameter that means the same on the backend. Without `apply`, the endpoint's code carries it."""
    return Row("honoured", note, source, apply)


def emulated(
    note: str, apply: Apply | None = None, *, source: str = "", harmless: Callable[[Any], bool] = _never
) -> Row:
    return Row("emulated", note, source, apply, harmless)


def ignored(reason: str, *, source: str = "") -> Row:
    """A parameter that only labels a request: it is accepted and left out."""
    return Row("ignored", reason, source)


def refused(reason: str, *, source: str = "", harmless: Callable[[Any], bool] = _never) -> Row:
    return Row("refused", reason, source, None, harmless)


def among(*accepted: Any) -> Callable[[Any], bool]:
    """A row's `harmless`: these values."""
    return lambda value: value in accepted


def only(value: Any, reason: str, *, source: str = "") -> Row:
    """A parameter of which one value is accepted, because it is what happens anyway."""
    return refused(reason, source=source, harmless=lambda given: bool(given == value))


def field(name: str, note: str = "", *, source: str = "") -> Row:
    """A top-level field of the native request with the same meaning."""

    def apply(value: Any, native: Json, call: Call) -> None:
        native[name] = value

    return honoured(note or f"`{name}`", apply, source=source)


def option(name: str, note: str = "", *, source: str = "") -> Row:
    """An entry of the native request's `options` with the same meaning."""

    def apply(value: Any, native: Json, call: Call) -> None:
        native.setdefault("options", {})[name] = value

    return honoured(note or f"`options.{name}`", apply, source=source)


def note_emulated(rows: Rows, body: Json, call: Call) -> None:
    """Remember which of a call's parameters about tools are emulated; the endpoint's code does it."""
    for name in _TOOLING:
        row = rows[name]
        if body.get(name) is not None and row.verdict == "emulated" and not row.harmless(body[name]):
            call.report.note("emulated", name)


def translate(rows: Rows, call: Call, native: Json, *, provider: str) -> None:
    """Write every argument of the call into `native` by its row. None is OpenAI's "not given".

    Raises `Rejected` for a refused or unknown parameter, unless the settings say "warn" or "ignore".
    """
    for name, value in call.body.items():
        if value is None:
            continue
        row = rows.get(name)
        if row is None:
            unsupported(
                call, name, f"`{name}` is not a parameter of {call.path} on provider {provider!r}{near(name, rows)}"
            )
        elif row.apply is not None:
            row.apply(value, native, call)
        elif row.verdict == "ignored":
            call.report.note("ignored", name)
        elif row.verdict == "refused" and not row.harmless(value):
            unsupported(call, name, f"`{name}` is not available on provider {provider!r}: {row.note}")


def count(value: Any, native: Json, call: Call) -> None:
    """A row's `apply` for `n` and `best_of`: what is made of them, the endpoint's code does. Raises `Rejected`."""
    countable(value, native, call)
    if value > 1:
        call.report.note("emulated", "n" if call.body.get("n") == value else "best_of")


def countable(value: Any, native: Json, call: Call) -> None:
    """The same for a server that counts itself. Raises `Rejected`."""
    least = 0 if call.body.get("n") != value else 1  # OpenAI takes 0 for `best_of`, as "not given"
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 128:
        raise Rejected("`n` and `best_of` must be whole numbers up to 128", param="n", code="invalid_value")


def agreed_length(call: Call) -> None:
    """Raises `Rejected` where the two names of one limit are given with two values."""
    both = (call.body.get("max_tokens"), call.body.get("max_completion_tokens"))
    if None not in both and both[0] != both[1]:
        raise Rejected(
            "`max_tokens` and `max_completion_tokens` are given and differ: give one of them", param="max_tokens"
        )


def unsupported(call: Call, name: str, message: str) -> None:
    """Apply the settings' policy to something that cannot be done. Raises `Rejected` when it is "error"."""
    call.report.note("left_out", name)
    match call.settings.unsupported:
        case "error":
            hint = '; `unsupported = "warn"` in the profile leaves it out instead'
            raise Rejected(message + hint, param=name, code="unsupported_parameter")
        case "warn":
            warnings.warn(f"left out: {message}", AdapterWarning, stacklevel=2)
        case "ignore":
            pass


_told: set[tuple[str, str]] = register_cache(set())


def passed_on(call: Call, name: str, server: str, known: Iterable[str]) -> None:
    """Tell, once, of a name that a server reads over in silence. It goes out: a newer server may know it."""
    call.report.note("unknown", name)
    if (server, name) not in _told:
        _told.add((server, name))
        message = f"`{name}` is passed on to {server}, which is not known to read it{near(name, known)}"
        warnings.warn(message, AdapterWarning, stacklevel=2)


def near(name: str, known: Iterable[str]) -> str:
    """What may be meant by an unknown name, as the end of a message."""
    from difflib import get_close_matches  # only a mistake pays for it

    matches = get_close_matches(name, known, n=1)
    return f"; did you mean `{matches[0]}`?" if matches else ""


# Rows of what one server after another lacks.
MANY = emulated("as many requests, side by side; a seed is counted up", count, harmless=among(1))
ECHO = emulated("the prompt is put before the text; without logprobs of it", harmless=among(False))
BEST = emulated("as many requests, ranked by their mean log probability; not streamed", count, harmless=among(0, 1))
