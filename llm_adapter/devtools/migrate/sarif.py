"""A scan as SARIF 2.1.0, the format that code hosts and editors show beside the lines.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from llm_adapter import __version__
from llm_adapter.devtools.migrate.findings import RULES, VERDICTS, ScanFinding, SourcePlace
from llm_adapter.devtools.migrate.scan import Scan

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_KINDS = list(RULES)


def sarif(scan: Scan) -> dict[str, Any]:
    """One run: a result for each finding, and for each argument that the target does not simply take."""
    results: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for kind, place, message in _results(scan):
        results.append(_result(kind, place, message, seen))
    driver = {"name": "llm-adapter", "semanticVersion": __version__, "rules": [_rule(kind) for kind in _KINDS]}
    failed = [
        {"level": "warning", "message": {"text": f"{path}: {reason}"}} for path, reason in scan.unreadable.items()
    ]
    invocation = {"executionSuccessful": True, "toolExecutionNotifications": failed}
    run = {"tool": {"driver": driver}, "invocations": [invocation], "columnKind": "unicodeCodePoints"}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{**run, "results": results}]}


def _results(scan: Scan) -> Iterator[tuple[str, SourcePlace, str]]:
    for one in scan.findings:
        yield one.kind, one.place, _finding_text(one)
        if one.kind == "call":
            verdict = str(one.details.get("verdict", ""))
            if verdict in VERDICTS:
                yield VERDICTS[verdict], one.place, f"{one.subject} is {verdict} on {scan.target.name}: {one.message}"
            for part in one.parameters:
                if part.verdict in VERDICTS:
                    text = f"`{part.name}` of {one.subject} is {part.verdict} on {scan.target.name}: {part.note}"
                    yield VERDICTS[part.verdict], part.place, text


def _finding_text(one: ScanFinding) -> str:
    likely = "" if one.certain else " (likely)"
    return f"{RULES[one.kind].title}: {one.subject}{likely}{f' - {one.message}' if one.message else ''}"


def _rule(kind: str) -> dict[str, Any]:
    rule = RULES[kind]
    return {
        "id": kind,
        "shortDescription": {"text": f"{rule.title}."},
        "help": {"text": rule.help},
        "defaultConfiguration": {"level": rule.level},
    }


def _result(kind: str, place: SourcePlace, message: str, seen: dict[str, int]) -> dict[str, Any]:
    where: dict[str, Any] = {"artifactLocation": _artifact(place.path)}
    if place.cell:  # its lines are those of the cell, and not of the file
        message = f"cell {place.cell}, line {place.line}: {message}"
        where["region"] = {"startLine": 1}
    else:
        where["region"] = {"startLine": place.line, "startColumn": place.column}
    return {
        "ruleId": kind,
        "ruleIndex": _KINDS.index(kind),
        "level": RULES[kind].level,
        "message": {"text": message},
        "locations": [{"physicalLocation": where}],
        "partialFingerprints": {"finding/v1": _fingerprint(kind, place, message, seen)},
    }


def _artifact(path: str) -> dict[str, str]:
    if Path(path).is_absolute():  # outside the working directory
        return {"uri": Path(path).as_uri()}
    return {"uri": quote(path), "uriBaseId": "%SRCROOT%"}


def _fingerprint(kind: str, place: SourcePlace, message: str, seen: dict[str, int]) -> str:
    """The same for the same finding after lines were moved: lines do not count, the order among equals does."""
    same = f"{kind}\n{place.path}\n{place.cell}\n{message.partition(': ')[2]}"
    seen[same] = seen.get(same, 0) + 1
    return hashlib.sha256(f"{same}\n{seen[same]}".encode()).hexdigest()[:32]
