"""The commands, and the one place where an error becomes a line on stderr."""

from __future__ import annotations

import sys

import openai
import pydantic
import typer

from llm_adapter.cli.config import config
from llm_adapter.cli.demo import demo
from llm_adapter.cli.failures import explained

app = typer.Typer(
    help="OpenAI call sites on OpenAI, any /v1 server, native Ollama or an embedded llama.cpp.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command()(config)


def run() -> None:
    """Run the command that the arguments name. A user's mistake gets one line, not a traceback."""
    try:
        app()
    except openai.OpenAIError as error:
        sys.exit(f"llm-adapter: {explained(error)}")
    except pydantic.ValidationError as error:  # from .parse(): the reply is not what the call asked for
        sys.exit(f"llm-adapter: the model's reply does not fit {error.title}: try a larger model")
