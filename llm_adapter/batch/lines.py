"""The lines of OpenAI's Batch files: requests that come in, results that go out. No IO.

Source: the Batch API's reference at platform.openai.com, and openai-python types/batch*.py, v3.54.0.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from llm_adapter.provider import Json, parsed_json

ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/moderations")
MOST_LINES = 50_000  # of OpenAI's own service
_MOST_PROBLEMS = 100  # that are told of


@dataclass(frozen=True)
class Problem:
    """What is wrong with an input, as OpenAI's `batch.errors.data` has it."""

    code: str
    message: str
    line: int | None = None  # from 1
    param: str | None = None

    def json(self) -> Json:
        return {"code": self.code, "message": self.message, "line": self.line, "param": self.param}


class BadLineError(ValueError):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True)
class Line:
    """One request. `number` counts from 1."""

    number: int
    custom_id: str
    url: str
    body: Json

    @property
    def path(self) -> str:
        """Below /v1."""
        return self.url.removeprefix("/v1")

    @property
    def model(self) -> str:
        return str(self.body.get("model"))

    def result_id(self, profile: str) -> str:
        """The same for the same request on the same profile: what is recorded under it need not be asked again."""
        said = json.dumps([self.custom_id, self.url, self.body, profile], sort_keys=True)
        return f"batch_req_{hashlib.sha256(said.encode()).hexdigest()[:32]}"


def read_line(data: bytes, number: int) -> Line:
    """The request that a line holds. Raises `BadLineError`."""

    def bad(code: str, message: str, param: str | None = None) -> BadLineError:
        return BadLineError(Problem(code, message, number, param))

    try:
        said = parsed_json(data)
    except ValueError:
        raise bad("invalid_json_line", "This line is not parseable as valid JSON.") from None
    if not isinstance(said, dict):
        raise bad("invalid_json_line", "This line is no JSON object.")
    custom_id, method, url, body = (said.get(name) for name in ("custom_id", "method", "url", "body"))
    if not isinstance(custom_id, str) or not custom_id:
        raise bad("missing_required_parameter", "`custom_id` has to be a text that names the line.", "custom_id")
    if method != "POST":
        raise bad("invalid_method", f"`method` has to be POST, and is {method!r}.", "method")
    if url not in ENDPOINTS:
        raise bad("invalid_url", f"`url` has to be one of {', '.join(ENDPOINTS)}, and is {url!r}.", "url")
    if not isinstance(body, dict):
        raise bad("invalid_request", "`body` has to be an object with the arguments of the call.", "body")
    if body.get("stream"):
        raise bad("invalid_request", "A batch has no streams: leave `stream` out.", "body.stream")
    return Line(number, custom_id, url, body)


@dataclass
class Check:
    """What a look through an input found."""

    count: int = 0
    models: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    def add(self, *problems: Problem) -> None:
        self.problems += problems[: _MOST_PROBLEMS - len(self.problems)]


def check(lines: Iterable[tuple[int, bytes]], *, endpoint: str | None = None, most: int | None = None) -> Check:
    """Look through the numbered lines of an input, before the first request.

    endpoint: the url that every line must have; None: that of the first one. most: lines that are allowed.
    """
    found, names = Check(), dict[str, int]()
    for number, data in lines:
        found.count += 1
        try:
            line = read_line(data, number)
        except BadLineError as error:
            found.add(error.problem)
            continue
        endpoint = endpoint or line.url
        found.models[line.model] += 1
        first = names.setdefault(line.custom_id, number)
        if first != number:
            message = f"The custom_id {line.custom_id!r} is that of line {first}, too."
            found.add(Problem("duplicate_custom_id", message, number, "custom_id"))
        if line.url != endpoint:
            found.add(Problem("url_mismatch", f"The url {line.url} is not {endpoint}.", number, "url"))
    if not found.count:
        found.add(Problem("empty_file", "The file has no requests."))
    if most is not None and found.count > most:
        found.add(Problem("too_many_tasks", f"The file has {found.count} requests, and may have {most}."))
    return found


def result(line: Line, name: str, status: int, body: Any, request_id: str) -> Json:
    """A line of the output or the error file."""
    response = {"status_code": status, "request_id": request_id, "body": body}
    return {"id": name, "custom_id": line.custom_id, "response": response, "error": None}


def not_run(line: Line, name: str, code: str, message: str) -> Json:
    """A line of the error file for a request that was not sent: `batch_expired` or `batch_cancelled`."""
    return {"id": name, "custom_id": line.custom_id, "response": None, "error": {"code": code, "message": message}}


def is_error(result: Json) -> bool:
    response = result.get("response")
    return not response or response["status_code"] >= 400
