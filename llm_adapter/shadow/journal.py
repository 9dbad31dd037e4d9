"""Where records are written: the log, one line of text each, and the file that `shadow_log` names, one of JSON each.

They hold no text of a call or of a reply, and no message of an exception, which may quote one.

A record's fields, whose meaning changes only with `version`:

version, event      1; "compared", "abandoned" (the caller did not read all of the reply), "unreadable" (it is not
                    in OpenAI's form), "ended" (the process did: `left_out` has what was still to be compared)
time                when the caller had the reply, in UTC
path, model         of the call, as the call site wrote them; stream: whether it asked for one
id, request_id      the reply's `id` and its x-request-id, to find the call again
same, differences   of compared ones, of their structure: [{"what", "first", "shadow"}], see `comparison.differences`
first, shadow       of compared ones: profile, provider, seconds, then `Outcome.json` without what is zero or nothing
left_out            calls that were chosen and not compared since the last record: the queue was full, or they too large
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from openai import APIError, OpenAIError
from pydantic_core import to_json

from llm_adapter.provider import Json

_log = logging.getLogger("llm_adapter.shadow")
_warned: set[str] = set()


def write_record(record: Json, file: str | None) -> None:
    """Log one record, which is `record.shadow` for a handler, and append it to the file."""
    _log.info("%s", line(record), extra={"shadow": record})
    if file is None:
        return
    try:
        append(Path(file).expanduser(), to_json(record) + b"\n")
    except OSError as error:
        warn_once("`shadow_log` cannot be written", error, str(error.strerror))


def append(path: Path, data: bytes) -> None:
    """Add whole lines to a file: by one write to its end, which other processes' lines cannot come between."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
    file = os.open(path, flags, 0o600)
    try:
        os.write(file, data)
    finally:
        os.close(file)


def line(record: Json) -> str:
    """The record as a sentence."""
    about = " ".join(str(record[name]) for name in ("path", "model", "id") if record.get(name))
    if record["event"] == "ended":
        return f"the process ended: {record['left_out']} calls are not compared"
    if record["event"] != "compared":
        return f"{about}: not compared, {record['event']}"
    sides = ", ".join(f"{side} {_side(record[side])}" for side in ("first", "shadow"))
    found = "; ".join(_difference(one) for one in record["differences"])
    return f"{about}: {found or 'the same structure'} ({sides})"


def _difference(found: Json) -> str:
    sides = ["none" if found[side] is None else found[side] for side in ("first", "shadow")]
    return f"{found['what']} {sides[0]} != {sides[1]}"


def _side(told: Json) -> str:
    tokens = f", {told['completion_tokens']} tokens" if "completion_tokens" in told else ""
    return f"{told['provider']} {told['seconds']:.2f} s{tokens}"


def warn_once(what: str, error: BaseException, why: str = "") -> None:
    """Warn of something that went wrong here, the first time only.

    why: in words, where they can be shown. The SDK's own of a client that cannot be made, and ours, quote no call.
    """
    kind = type(error).__name__
    if isinstance(error, OpenAIError) and not isinstance(error, APIError):
        why = why or str(error)
    if (key := f"{what} {kind}") not in _warned:
        _warned.add(key)
        _log.warning("shadow: %s (%s%s); this is told once", what, kind, f": {why}" if why else "")
