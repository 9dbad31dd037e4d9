"""The help of the commands on a narrow terminal: names above their texts, where columns would cut both short."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from llm_adapter.cli.screen import console

COLUMNS = 72  # rich's table of options cuts names short on less


class App(typer.Typer):
    """A Typer whose commands are readable at any width."""

    def __init__(self, **options: Any) -> None:
        super().__init__(cls=_Group, **options)

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        return super().command(name, cls=_Command, **options)


class _Command(TyperCommand):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        if not _write_if_narrow(self, ctx, formatter):
            super().format_help(ctx, formatter)


class _Group(TyperGroup):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        if not _write_if_narrow(self, ctx, formatter):
            super().format_help(ctx, formatter)


def _write_if_narrow(command: Any, context: Any, formatter: Any) -> bool:
    width = console().width
    if width < COLUMNS:
        formatter.write("\n".join(_lines(command, context, max(width, 20))))
    return width < COLUMNS


def _lines(command: Any, context: Any, width: int) -> Iterator[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield from _wrapped(f"Usage: {usage}", width, hanging=7)
    for paragraph in (command.help or "").split("\n\n"):
        yield ""
        yield from _wrapped(paragraph, width)
    for title, rows in _sections(command, context):
        yield from ("", f"{title}:")
        for name, text in rows:
            yield from _wrapped(name, width, 2)
            yield from _wrapped(text, width, 4)


def _sections(command: Any, context: Any) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    records = [(one.param_type_name, one.get_help_record(context)) for one in command.get_params(context)]
    for title, kind in (("Arguments", "argument"), ("Options", "option")):
        if rows := [record for its, record in records if its == kind and record is not None]:
            yield title, rows
    if isinstance(command, TyperGroup):
        found = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
        yield "Commands", [(name, one.get_short_help_str(limit=1_000)) for name, one in found if one and not one.hidden]


def _wrapped(text: str, width: int, margin: int = 0, hanging: int = 0) -> list[str]:
    space = " " * margin
    return textwrap.wrap(
        text, width, initial_indent=space, subsequent_indent=space + " " * hanging, break_on_hyphens=False
    )
