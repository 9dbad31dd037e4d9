"""`llm-adapter embed`: texts as vectors, and how similar they are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from llm_adapter.cli.defaults import embedding_model
from llm_adapter.cli.options import AsJson, AskedModel, Profile
from llm_adapter.cli.screen import NARROW, console, print_json, print_table
from llm_adapter.client.clients import OpenAI
from llm_adapter.comparison import cosine
from llm_adapter.devtools.reporting.text import shortened

_FIRST = 3  # values of a vector that are shown


def embed(
    texts: Annotated[
        list[str] | None, typer.Argument(help="The texts; by default, the lines that are piped in.")
    ] = None,
    model: AskedModel = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Embed texts, and show their vectors and how similar they are; --json prints the vectors."""
    inputs = list(texts or _lines())
    if not inputs:
        raise typer.BadParameter("give a text, as an argument or piped in", param_hint="TEXTS")
    with OpenAI(profile=profile) as client:
        asked = model or embedding_model(client)
        reply = client.embeddings.create(model=asked, input=inputs, encoding_format="float")
    if as_json:
        print_json(reply.to_dict(mode="json"))
        return
    vectors = [one.embedding for one in reply.data]
    screen = console()
    room = 32 if not screen.is_terminal or screen.width >= NARROW else 16  # columns that a text gets
    rows = [
        [str(number), shortened(text, room), str(len(vector)), _values(vector)]
        for number, (text, vector) in enumerate(zip(inputs, vectors, strict=True), 1)
    ]
    print_table(screen, ("#", "text", "dimensions", "values"), rows)
    if len(vectors) > 1:
        screen.print()
        _print_similarity(screen, vectors)


def _lines() -> list[str]:
    if sys.stdin is None or sys.stdin.isatty():
        return []
    lines = sys.stdin.buffer.read().decode("utf-8", "replace").splitlines()
    return [line for line in lines if line.strip()]


def _values(vector: Sequence[float]) -> str:
    shown = " ".join(f"{value:+.3f}" for value in vector[:_FIRST])
    return f"{shown} …" if len(vector) > _FIRST else shown


def _print_similarity(screen: Console, vectors: Sequence[Sequence[float]]) -> None:
    """The cosine of each pair; where that is wider than the terminal, the nearest other text of each."""
    table = [[cosine(one, other) for other in vectors] for one in vectors]
    numbers = [str(number) for number in range(1, len(vectors) + 1)]
    if not screen.is_terminal or 4 + 6 * len(vectors) <= screen.width:
        rows = [[number, *(f"{value:+.2f}" for value in row)] for number, row in zip(numbers, table, strict=True)]
        print_table(screen, ("~", *(number.rjust(5) for number in numbers)), rows)
        return
    nearest = []
    for place, row in enumerate(table):
        best = max((other for other in range(len(row)) if other != place), key=row.__getitem__)
        nearest.append([numbers[place], numbers[best], f"{row[best]:+.2f}"])
    print_table(screen, ("#", "nearest", "similarity"), nearest)
