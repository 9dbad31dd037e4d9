"""`llm-adapter explain`: the native request that a call would become, and what becomes of each parameter."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from llm_adapter.cli.options import AsJson, Profile
from llm_adapter.cli.screen import console, print_json, print_verbose, say
from llm_adapter.devtools.endpoints import PATHS, endpoint_of
from llm_adapter.devtools.explain import Explanation, explanation
from llm_adapter.devtools.reporting.text import json_text
from llm_adapter.provider import Json
from llm_adapter.routing.destination import resolve
from llm_adapter.settings.errors import AdapterWarning
from llm_adapter.translation.model_names import CHAT_NAME

_LONG = 200  # characters of a text that are shown: an image takes a million
_STYLES = {"honoured": "green", "emulated": "cyan", "refused": "red", "left out": "yellow", "ignored": "dim"}


def explain(
    request: Annotated[
        Path | None,
        typer.Argument(
            help="A file that holds a call's arguments as JSON; - reads standard input.", metavar="REQUEST.json"
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Use this model instead of the one in the file.")
    ] = None,
    message: Annotated[
        str | None, typer.Option(help="Explain a chat call with this user message, instead of a file.")
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(help=f"The endpoint: {', '.join(PATHS)}. By default it is the one that takes the arguments."),
    ] = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Show the request that a call would become, and what becomes of each parameter. Nothing is sent."""
    if (request is None) == (message is None):
        raise typer.BadParameter("give either a file or --message", param_hint="REQUEST.json")
    said: Json = {"model": CHAT_NAME, "messages": [{"role": "user", "content": message}]}
    body = said if request is None else _read(request)
    if isinstance(body.get("body"), dict) and isinstance(body.get("url"), str):  # a line of OpenAI's Batch API
        path, body = path or body["url"], body["body"]
    if model is not None:
        body["model"] = model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AdapterWarning)  # the explanation has them
        connection = resolve(profile, None, {})
    explained = explanation(connection, _path(path, body), body)
    if as_json:
        print_json(explained.json())
    else:
        _print(console(), explained)
    if explained.refusal is not None:
        raise typer.Exit(1)


def _read(file: Path) -> Json:
    name = "standard input" if str(file) == "-" else str(file)
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        body = json.loads(data)
    except OSError as error:
        raise typer.BadParameter(f"{name}: {error.strerror}", param_hint="REQUEST.json") from None
    except ValueError as error:
        raise typer.BadParameter(f"{name} is not JSON: {error}", param_hint="REQUEST.json") from None
    if not isinstance(body, dict):
        raise typer.BadParameter(f"{name} does not hold a JSON object", param_hint="REQUEST.json")
    return body


def _path(given: str | None, body: Json) -> str:
    """The endpoint that is named, or that takes these arguments."""
    if given is not None:
        path = "/" + given.strip("/").removeprefix("v1/")
        if path not in PATHS:
            raise typer.BadParameter(f"{given!r} is not one of {', '.join(PATHS)}", param_hint="--path")
        return path
    try:
        return endpoint_of(body)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; or name the endpoint with --path", param_hint="REQUEST.json") from None


def _print(screen: Console, explained: Explanation) -> None:
    call, connection = explained.call, explained.connection
    place = "in this process" if connection.starter is not None else f"at {connection.address}"
    screen.print(f"POST {call.path} on provider {connection.provider.name}, {place}", style="bold")
    if explained.route is not None:
        screen.print(
            f"The route {explained.route.key!r} leads it to profile {explained.route.to.name!r}.", markup=False
        )
    for one in explained.fallback:
        screen.print(f"If that server cannot take it: profile {one.name!r}, {one.place}.", markup=False)
    if call.report.requested_model != call.body.get("model"):
        screen.print(f"The model {call.report.requested_model} is {call.body.get('model')} there.")
    screen.print()
    rows = [(one.name, one.verdict, one.note) for one in explained.verdicts()]
    print_verbose(screen, ("parameter", "verdict", "how, or why not"), rows, lambda row: _STYLES.get(row[1], ""))
    for warning in explained.warnings:
        say(screen, f"\nwarning: {warning}", "yellow")
    for question in explained.questions:
        say(screen, f"\nA real call would ask the server first: {question}", "dim")
    if explained.refusal is not None:
        say(
            screen,
            f"\nThe call is refused with status {explained.refusal.status}, and nothing is sent: {explained.refusal}",
            "red",
        )
    for request in explained.requests:
        screen.print(
            f"\n{request.method} {explained.url(request)}{' (streamed)' if request.stream else ''}", style="bold"
        )
        screen.print(json_text(_brief(request.body)))


def _brief(value: Any) -> Any:
    """The same with long texts cut."""
    if isinstance(value, str) and len(value) > _LONG:
        return f"{value[:_LONG]}… ({len(value)} characters)"
    if isinstance(value, dict):
        return {name: _brief(item) for name, item in value.items()}
    return [_brief(item) for item in value] if isinstance(value, list) else value
