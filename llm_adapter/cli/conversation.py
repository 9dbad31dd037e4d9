"""A conversation at a terminal: several turns, and commands that begin with a slash."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import openai

from llm_adapter.cli.reply import ReplyInterrupted, print_reply
from llm_adapter.cli.screen import console, say
from llm_adapter.client.clients import OpenAI
from llm_adapter.devtools.reporting.failures import explained

_FENCE = '"""'


class Conversation:
    """What was said so far, and with which model."""

    def __init__(self, client: OpenAI, model: str, system: str | None, options: dict[str, Any]) -> None:
        self.client = client
        self.model = model
        self.system = system
        self.options = options  # of every call: temperature
        self.turns: list[dict[str, str]] = []
        self.screen = console()
        self._saved: Path | None = None

    def request(self, text: str) -> dict[str, Any]:
        """The call that says this next."""
        return self._request_of([*self.turns, {"role": "user", "content": text}])

    def _request_of(self, turns: list[dict[str, str]]) -> dict[str, Any]:
        system = [{"role": "system", "content": self.system}] if self.system else []
        return {"model": self.model, "messages": [*system, *turns], **self.options}

    def run(self) -> None:
        """Read and answer until the end. Ctrl-C stops a reply, or drops a line that is being written."""
        _editing()
        self._tell(f"{self.model} at {self._place()}. /help lists the commands, Ctrl-D ends.")
        while True:
            try:
                line = _read_line()
            except EOFError:
                self.screen.print()
                return
            except KeyboardInterrupt:
                self.screen.print()
                self._tell("Ctrl-D or /exit ends.")
                continue
            if line.startswith("/"):
                if self._command(line) is _EXIT:
                    return
            elif line.strip():
                self.ask(line.strip())

    def ask(self, text: str) -> None:
        """One turn. A reply that was stopped counts as far as it came; one that failed leaves nothing behind."""
        try:
            reply = print_reply(self.client, self.request(text), self.screen)
        except ReplyInterrupted as stop:
            self._tell("(stopped)")
            reply = stop.text
        except openai.OpenAIError as error:
            self._fail(explained(error))
            return
        if reply:
            self.turns += [{"role": "user", "content": text}, {"role": "assistant", "content": reply}]

    def _command(self, line: str) -> Any:
        name, _, rest = line[1:].strip().partition(" ")
        command = COMMANDS.get(name)
        if command is None:
            self._fail(
                f"there is no command /{name}: /help lists them; a space before the slash sends the line to the model"
            )
            return None
        return command.act(self, rest.strip())

    def _help(self, rest: str) -> None:
        width = max(len(command.usage) for command in COMMANDS.values())
        for command in COMMANDS.values():
            self._tell(f"{command.usage.ljust(width)}  {command.does}")
        self._tell(f"{_FENCE.ljust(width)}  begins and ends a text of several lines")

    def _clear(self, rest: str) -> None:
        self.turns.clear()
        self._tell("the conversation is forgotten")

    def _system(self, text: str) -> None:
        self.system = text or None
        self._tell(f"system message: {text}" if text else "no system message")

    def _model(self, name: str) -> None:
        if name:
            self.model = name
            self._tell(f"model: {name}")
            return
        try:
            known = ", ".join(model.id for model in self.client.models.list())
        except openai.OpenAIError as error:
            known = explained(error)
        self._tell(f"model: {self.model}; the server has: {known}")

    def _save(self, name: str) -> None:
        """As the call that was made, which `explain` reads."""
        path = Path(name).expanduser()
        if not name:
            self._fail("give a file name: /save FILE")
        elif path.exists() and path != self._saved:
            self._fail(f"{path} exists already: give another name")
        else:
            try:
                path.write_text(json.dumps(self._request_of(self.turns), indent=2, ensure_ascii=False) + "\n", "utf-8")
            except OSError as error:
                self._fail(f"{path}: {error.strerror}")
            else:
                self._saved = path
                self._tell(f"saved {len(self.turns)} messages in {path}")

    def _exit(self, rest: str) -> object:
        return _EXIT

    def _place(self) -> str:
        if self.client.settings.provider == "embedded":
            return "the embedded llama.cpp"
        return str(self.client.base_url).rstrip("/").removesuffix("/v1")

    def _tell(self, text: str) -> None:
        say(self.screen, text, "dim")

    def _fail(self, text: str) -> None:
        say(self.screen, text, "red")


class _Command(NamedTuple):
    usage: str
    does: str
    act: Callable[[Conversation, str], Any]


_EXIT = object()
COMMANDS = {
    "help": _Command("/help", "list the commands", Conversation._help),
    "clear": _Command("/clear", "forget the conversation so far", Conversation._clear),
    "system": _Command("/system TEXT", "set the system message; without TEXT, remove it", Conversation._system),
    "model": _Command("/model NAME", "use another model; without NAME, list the models", Conversation._model),
    "save": _Command("/save FILE", "write the conversation to a file, as JSON", Conversation._save),
    "exit": _Command("/exit", "end the conversation", Conversation._exit),
}


def _read_line() -> str:
    """What was typed: a line, or several between triple quotes."""
    line = input("> ")
    if not line.startswith(_FENCE):
        return line
    lines = [line.removeprefix(_FENCE)]
    while not lines[-1].rstrip().endswith(_FENCE):
        lines.append(input(". "))
    lines[-1] = lines[-1].rstrip().removesuffix(_FENCE)
    return " " + "\n".join(lines).strip()  # the space: its first character is no command's


def _editing() -> None:
    """Lines that can be edited and called back, where the terminal can do it."""
    if os.environ.get("TERM") == "dumb" or not sys.stdout.isatty():
        return
    try:
        import readline  # noqa: F401 - importing it is what gives `input` its keys
    except ImportError:  # Windows has them already
        pass
