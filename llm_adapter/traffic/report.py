"""A report of all calls: LLM_ADAPTER_REPORT names a file, and every process that has the variable adds its calls.

Each call is a line of JSON as soon as it has its reply, so that nothing is lost with a process that is ended, and
processes may write side by side. A file whose name ends in .jsonl holds these lines. For any other name they are in
`NAME.jsonl`, and when a process ends, NAME is the table of all that is there. No prompts, replies or keys are in them.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from llm_adapter.routing.description import IN_THIS_PROCESS, Destination, deciding_setting
from llm_adapter.settings.hosts import is_private
from llm_adapter.settings.sources import REPORT_VARIABLE, VERBOSE_VARIABLE
from llm_adapter.traffic.observed import ObservedCall
from llm_adapter.traffic.origin import destination_line
from llm_adapter.traffic.places import Place
from llm_adapter.traffic.watch import (
    Watcher,
    add_watcher,
    client_destination,
    client_kind,
    client_place,
)

LINES = ".jsonl"
_COLUMNS = (
    *("client", "call site", "answered by", "model asked", "model used"),
    *("calls", "tokens in", "tokens out", "errors", "adapted"),
)
_NUMBERS = ("calls", "tokens in", "tokens out")


def begin(environ: MutableMapping[str, str]) -> None:
    """Write the report, and tell of each client, where the environment asks for it."""
    if environ.get(VERBOSE_VARIABLE):
        add_watcher(Announcer(sys.stderr))
    if environ.get(REPORT_VARIABLE):
        # Child processes may have another working directory.
        environ[REPORT_VARIABLE] = os.path.abspath(environ[REPORT_VARIABLE])
        journal = Journal(Path(environ[REPORT_VARIABLE]))
        add_watcher(journal)
        atexit.register(journal.close)


class Announcer(Watcher):
    """Tells of each client, when it is made, where its calls go."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told: set[str] = set()  # a line that makes many clients is told once

    def client_made(self, client: Any) -> None:
        text = _client_line(client)
        if text not in self._told:
            self._told.add(text)
            print(f"llm-adapter: {_printable(text)}", file=self._stream, flush=True)


def _client_line(client: Any) -> str:
    connection = getattr(client, "_connection", None)
    kind, place = client_kind(client), client_place(client)
    if connection is not None:
        return destination_line(kind, place, connection)
    return f"{kind} made at {place}: goes to {client_destination(client)} (a client of the SDK's own: no profile)"


class Journal(Watcher):
    """Writes what is watched into the report's file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = lines_file(path)
        self._open: dict[ObservedCall, int] = {}  # with the process that began it: a forked one does not end it
        self._failed = False

    def client_made(self, client: Any) -> None:
        self._write({**_client_record(client), "calls": 0})

    def call_begun(self, call: ObservedCall) -> None:
        self._open[call] = os.getpid()

    def call_ended(self, call: ObservedCall) -> None:
        if self._open.pop(call, None) is not None:
            self._write(_call_record(call))

    def close(self) -> None:
        """Write the calls that have not come to an end, and the table of all."""
        for call, process in list(self._open.items()):
            if process == os.getpid():
                call.error = call.error or "not read to its end"
                self.call_ended(call)
        if self._lines != self._path:
            self._replace(table(read(self._lines)))

    def _write(self, record: dict[str, Any]) -> None:
        try:
            with open(self._lines, "ab", buffering=0) as file:  # one write to the end of the file
                file.write(json.dumps(record).encode() + b"\n")
        except OSError as error:
            self._complain(error)

    def _replace(self, text: str) -> None:
        """Write the table as a whole: another process may do so at the same time."""
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            new.write_text(text, encoding="utf-8")
            new.replace(self._path)
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        """Tell once that there is no report; calls go on."""
        if not self._failed:
            self._failed = True
            print(f"llm-adapter: no report is written to {error.filename}: {error.strerror}", file=sys.stderr)


def lines_file(path: Path) -> Path:
    """The file with the lines of JSON that belongs to a report."""
    return path if path.suffix == LINES else path.with_name(path.name + LINES)


def _client_record(client: Any) -> dict[str, Any]:
    connection = getattr(client, "_connection", None)
    return {
        "process": os.getpid(),
        "client": client_kind(client),
        "made_at": list(client_place(client)),
        **client_destination(client)._asdict(),
        "setting": None if connection is None else deciding_setting(connection, os.environ),
    }


def _call_record(call: ObservedCall) -> dict[str, Any]:
    return {
        **_client_record(call.client),
        **call.answered_by._asdict(),
        "calls": 1,
        "called_at": list(call.place),
        "request": f"{call.method} {call.path}",
        "requests_sent": len(call.urls),
        "model_asked": call.body.get("model"),
        "model_used": call.model,
        "tokens_in": call.prompt_tokens,
        "tokens_out": call.completion_tokens,
        "error": call.error,
        "adapted": call.notes,
    }


# --- the table


@dataclass
class _Row:
    """The calls that are alike."""

    calls: int = 0
    tokens_in: list[int] = field(default_factory=list)
    tokens_out: list[int] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    adapted: dict[str, None] = field(default_factory=dict)

    def add(self, record: dict[str, Any]) -> None:
        self.calls += record["calls"]
        for name in ("tokens_in", "tokens_out"):
            if record.get(name) is not None:
                getattr(self, name).append(record[name])
        if record.get("error"):
            self.errors[record["error"]] += 1
        self.adapted |= dict.fromkeys(filter(None, str(record.get("adapted") or "").split("; ")))

    def cells(self) -> tuple[str, ...]:
        errors = ", ".join(f"{many} {name}" for name, many in self.errors.items())
        return (
            str(self.calls),
            self._sum(self.tokens_in),
            self._sum(self.tokens_out),
            errors,
            "; ".join(self.adapted),
        )

    def _sum(self, counts: list[int]) -> str:
        """The tokens that were told; with a "+" where not every call told them, as streams by default do not."""
        return (f"{sum(counts)}{'+' if len(counts) < self.calls else ''}") if counts else ""


def read(path: Path, *, after: int = 0) -> list[dict[str, Any]]:
    """The records in a file of lines, from a number of bytes on. One that a process was ended within is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes()[after:].decode("utf-8", "replace").splitlines()
    return [record for record in map(_record, lines) if record is not None]


def _record(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "made_at" in found else None


def table(records: Iterable[dict[str, Any]]) -> str:
    """All clients and their calls as a table of text, with a line about each host at its end."""
    records = list(records)
    rows: dict[tuple[str, ...], _Row] = {}
    records.sort(key=lambda one: (one["made_at"], one["client"], one.get("called_at") or []))
    called = {_client_cell(one) for one in records if one["calls"]}
    for record in records:
        if record["calls"] or _client_cell(record) not in called:
            rows.setdefault(_key(record), _Row()).add(record)
    if not rows:
        return "No client of the openai SDK was made.\n"
    lines = [_COLUMNS, *((*key, *row.cells()) for key, row in rows.items())]
    return _aligned(lines) + "\n" + _summary(records)


def _key(record: dict[str, Any]) -> tuple[str, ...]:
    place = str(Place(*record["called_at"])) if record["calls"] else "(no call)"
    asked, used = record.get("model_asked"), record.get("model_used")
    return _client_cell(record), place, _answerer(record), str(asked or ""), str(used or "")


def _client_cell(record: dict[str, Any]) -> str:
    return f"{record['client']} {Place(*record['made_at'])}"


def _answerer(record: dict[str, Any]) -> str:
    profile = f" ({record['profile']})" if record["profile"] else ""
    return f"{Destination(record['provider'], record['host']).server}{profile}"


def _aligned(lines: list[tuple[str, ...]]) -> str:
    lines = [tuple(map(_printable, line)) for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ""
    for line in lines:
        cells = (
            cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
            for name, cell, width in zip(_COLUMNS, line, widths, strict=True)
        )
        text += "  ".join(cells).rstrip() + "\n"
    return text


def _summary(records: list[dict[str, Any]]) -> str:
    """How many calls each host answered, and how many failed."""
    calls = Counter(_answerer(one) for one in records if one["calls"])
    failed = Counter(_answerer(one) for one in records if one["calls"] and one["error"])
    public = {_answerer(one) for one in records if not _is_private(one["host"])}
    lines = [
        f"{many} call{'s' if many > 1 else ''} to {host}{', a public host' if host in public else ''}"
        f"{f'; {failed[host]} with an error' if failed[host] else ''}"
        for host, many in calls.most_common()
    ]
    return _lines(map(_printable, lines or ["no calls"]))


def _is_private(host: str) -> bool:
    return host == IN_THIS_PROCESS or is_private(f"http://{host}")


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _printable(text: str) -> str:
    """Without what would be an order to a terminal: names of models are a server's."""
    return "".join(one if one.isprintable() else "?" for one in text)
