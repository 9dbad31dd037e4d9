"""The commands, and the one place where an error becomes a line on stderr."""

from __future__ import annotations

import platform
import sys
import warnings
from functools import partial
from typing import Annotated, Any, NoReturn

import openai
import pydantic
import typer

from llm_adapter import __version__
from llm_adapter.cli import config, models
from llm_adapter.cli.batch import batch
from llm_adapter.cli.chat import chat
from llm_adapter.cli.demo import demo
from llm_adapter.cli.doctor import doctor
from llm_adapter.cli.embed import embed
from llm_adapter.cli.explain import explain
from llm_adapter.cli.help import App
from llm_adapter.cli.parity import parity
from llm_adapter.cli.profiles import profiles
from llm_adapter.cli.run import OPTIONS
from llm_adapter.cli.run import run as run_program
from llm_adapter.cli.scan import scan
from llm_adapter.cli.screen import allow_all_scripts, console, say
from llm_adapter.cli.serve import serve
from llm_adapter.cli.shadow import shadow
from llm_adapter.cli.trust import trust
from llm_adapter.cli.verify import verify
from llm_adapter.devtools.reporting.failures import explained
from llm_adapter.settings.errors import AdapterWarning
from llm_adapter.shadow import paused

app = App(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"llm-adapter {__version__} (openai {openai.__version__}, Python {platform.python_version()})")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Run code written for the openai SDK on OpenAI, any /v1 server, native Ollama or an embedded llama.cpp."""


app.command()(demo)
app.command()(chat)
app.command()(embed)
app.add_typer(models.app, name="models")
app.command("run", context_settings=OPTIONS)(run_program)
app.command()(serve)
app.command()(batch)
app.command()(scan)
app.command()(explain)
app.command()(doctor)
app.command()(verify)
app.command()(parity)
app.command()(shadow)
app.command()(trust)
app.command()(profiles)
app.add_typer(config.app, name="config")


def run(arguments: list[str] | None = None) -> None:
    """Run the command that the arguments name. A user's mistake gets one line, not a traceback."""
    allow_all_scripts()
    try:
        with warnings.catch_warnings(), paused():
            warnings.showwarning = partial(_print_warning, warnings.showwarning)
            app(arguments)
    except openai.OpenAIError as error:
        _fail(explained(error))
    except pydantic.ValidationError as error:  # from .parse(): the reply is not what the call asked for
        _fail(f"the model's reply does not fit {error.title}: try a larger model")
    except Exception as error:
        # A stream that is cut raises the HTTP library's own error, before the SDK's version 3.
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpcore"):
            raise
        _fail(f"the connection was lost: {str(error) or type(error).__name__}")


def _fail(text: str) -> NoReturn:
    say(console(stderr=True), f"llm-adapter: {text}")
    sys.exit(1)


def _print_warning(otherwise: Any, message: Warning | str, category: type[Warning], *where: Any) -> None:
    """One line for a warning of ours, without the place in our code that it comes from."""
    if issubclass(category, AdapterWarning):
        say(console(stderr=True), f"llm-adapter: warning: {message}")
    else:
        otherwise(message, category, *where)
