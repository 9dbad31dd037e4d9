"""The arguments that the models' commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(help="The model's name, with or without its tag.", metavar="MODEL")]
Names = Annotated[list[str], typer.Argument(help="Models' names.", metavar="MODEL...")]
