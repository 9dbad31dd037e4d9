"""`llm-adapter run`: a program on a profile, without a change to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from llm_adapter.cli.options import Profile
from llm_adapter.cli.screen import console, say
from llm_adapter.installation.active import Installation
from llm_adapter.installation.process import trust_of_program, variables
from llm_adapter.settings.errors import AdapterWarning, SettingsError
from llm_adapter.settings.sources import REPORT_VARIABLE, VERBOSE_VARIABLE

_SCRIPTS = (".py", ".pyw", ".pyc", ".pyz")
can_become_another = sys.platform != "win32"
REFUSED, NOT_EXECUTABLE, NOT_FOUND = 2, 126, 127  # the last two as a shell has them
OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}


def run(
    context: typer.Context,
    profile: Profile = None,
    takes_all: Annotated[
        bool, typer.Option("--all", help="Also switch clients that the program gives an address of its own.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="End with a table of all clients and calls: where each went.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tell of each client, when it is made, where its calls go.")
    ] = False,
) -> None:
    """Run a program, as it is, with its openai clients on a profile: `app.py`, `-m module` or a script, and arguments.

    The program's child processes are switched too. Its exit code is the command's; 2 says that it was not started.
    """
    command = _command(context.args)
    installation = Installation(profile, folder=Path.cwd(), takes_all=takes_all)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AdapterWarning)  # the program itself warns
            environ = {**os.environ, **trust_of_program(command, os.environ)}
            environ.update(variables(installation, environ, installation.settings(environ)))
    except SettingsError as error:
        _refuse(str(error), REFUSED)
    told = {VERBOSE_VARIABLE: "1"} if verbose else {}
    _become(command, {**environ, **told}, report=report)


def _command(arguments: list[str]) -> list[str]:
    """The program and its arguments: Python files and modules are run by this Python, all else as it is."""
    if not arguments:
        raise typer.BadParameter("name a program: app.py, -m module, or a script", param_hint="PROGRAM")
    program = arguments[0]
    if program in ("-m", "-c") and len(arguments) > 1:
        return [sys.executable, *arguments]
    if program.startswith("-"):
        raise typer.BadParameter(f"there is no option {program}; options of the program stand behind its name")
    return [sys.executable, *arguments] if program.endswith(_SCRIPTS) else arguments


def _become(command: list[str], environ: Mapping[str, str], *, report: bool) -> NoReturn:
    """Be this program from now on, signals and exit code included. report: show its calls when it has ended."""
    sys.stdout.flush()
    try:
        if report:
            sys.exit(_child_with_report(command, environ))
        if not can_become_another:
            sys.exit(_child(command, environ))
        os.execvpe(command[0], command, environ)  # noqa: S606 - the user's own command
    except FileNotFoundError:
        _refuse(f"there is no program {command[0]!r}", NOT_FOUND)
    except OSError as error:
        _refuse(f"{command[0]!r} cannot be run: {error.strerror}", NOT_EXECUTABLE)


def _child_with_report(command: list[str], environ: Mapping[str, str]) -> int:
    """The exit code of the program, after whose end its calls are shown on stderr: those of this run alone."""
    from tempfile import TemporaryDirectory

    from llm_adapter.traffic.report import lines_file, read, table

    with TemporaryDirectory() as folder:
        path = os.path.abspath(environ.get(REPORT_VARIABLE) or Path(folder) / "calls.jsonl")
        lines = lines_file(Path(path))
        before = lines.stat().st_size if lines.exists() else 0
        code = _child(command, {**environ, REPORT_VARIABLE: path})
        sys.stderr.write(f"\n{table(read(lines, after=before))}")
    return code


def _child(command: list[str], environ: Mapping[str, str]) -> int:
    """The exit code of the program as a child. Its signals are handed on; Ctrl-C reaches both, and is the child's."""
    process = subprocess.Popen(command, env=dict(environ))  # noqa: S603 - the user's own command

    def hand_on(number: int, frame: object) -> None:
        if number != signal.SIGINT:
            process.send_signal(number)

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), hand_on) for name in names}
    try:
        code = process.wait()
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
    return code if code >= 0 else 128 - code  # as a shell has it


def _refuse(text: str, code: int) -> NoReturn:
    say(console(stderr=True), f"llm-adapter run: {text}")
    raise typer.Exit(code)
