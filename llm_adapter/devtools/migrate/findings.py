"""What a scan finds: the kinds of findings, how much each matters, what to do about it, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Level: TypeAlias = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding."""

    level: Level
    title: str
    help: str  # what to do


RULES: dict[str, Rule] = {
    "call": Rule("note", "A call of OpenAI's API", "Nothing: call sites stay as they are."),
    "refused": Rule(
        "error",
        "The target refuses this",
        "Take it out, make the call with a client of another profile (`client.copy(profile=...)`), or have parameters "
        'left out with a warning: `unsupported = "warn"` in the profile.',
    ),
    "left-out": Rule(
        "warning", "The target does not get this", "Take it out, or keep it for the provider that has it."
    ),
    "ignored": Rule("warning", "This has no effect on the target", "Nothing, unless you rely on it."),
    "emulated": Rule("note", "The adapter does this itself", "Nothing; it may take longer than on OpenAI."),
    "passed-on": Rule(
        "note", "This goes to the server as it is", "See whether the server knows it: `llm-adapter verify`."
    ),
    "client": Rule(
        "note",
        "A client is made here",
        "Import it from llm_adapter: `from llm_adapter import OpenAI`. `llm-adapter scan --fix` does it.",
    ),
    "other-client": Rule(
        "warning",
        "A client that llm_adapter has no twin of",
        "Where it is to move, make an OpenAI client with a profile instead; else it stays as it is.",
    ),
    "star-import": Rule("note", "All names of a package are imported", "Import the names that are used."),
    "module-client": Rule(
        "warning",
        "The module `openai` itself is used as a client",
        "Make a client, `client = OpenAI()`, and use it: the module's own client knows no profiles.",
    ),
    "hard-coded-url": Rule(
        "warning",
        "An address in the source",
        "Take it out and name it in a profile: in the code it wins over the profile.",
    ),
    "hard-coded-key": Rule(
        "warning",
        "A key in the source",
        "Take it out: a profile names the variable that holds the key (`api_key_env`).",
    ),
    "hard-coded-model": Rule("note", "A model's name in the source", "Nothing: the profile knows what it is."),
    "unmapped-model": Rule(
        "warning", "A model's name that the profile does not map", "Add it to `models` of the profile."
    ),
    "tiktoken": Rule(
        "warning",
        "Tokens are counted with OpenAI's vocabulary",
        "`llm_adapter.count_tokens(model, messages)` knows other models too, and says how exact it is.",
    ),
    "http-mock": Rule(
        "warning",
        "A mock of the HTTP library",
        "The SDK has run on httpx2 since 3.0, which these do not patch, and another provider has other addresses: "
        "see docs/testing.md.",
    ),
    "patched-name": Rule(
        "note",
        "A test patches the SDK by name",
        "Patch the name where it is used: after the switch it is llm_adapter's.",
    ),
    "openai-0x": Rule(
        "warning", "A call of the SDK before 1.0", "Move it to a client first: `client.chat.completions.create(...)`."
    ),
    "ollama": Rule(
        "note", "The `ollama` package", "It may stay. The OpenAI client of a profile does the same, anywhere."
    ),
    "litellm": Rule("note", "The `litellm` package", "It may stay. A profile chooses the provider without the prefix."),
    "langchain-ollama": Rule(
        "note",
        "LangChain's classes for Ollama",
        "They may stay. ChatOpenAI with a client of ours (`client=client.chat.completions`, `root_client=client`) "
        "switches by configuration.",
    ),
    "framework": Rule(
        "note",
        "A framework that makes or takes a client",
        "Give it a client of llm_adapter's, or start the program with `llm-adapter run`: see docs/frameworks.md.",
    ),
    "hosted-tool": Rule(
        "error",
        "A tool of an agent that OpenAI runs",
        "Give the agent a function of your own that does the same, or let this agent's calls go to OpenAI.",
    ),
}
VERDICTS = {"refused": "refused", "left out": "left-out", "ignored": "ignored", "emulated": "emulated"}


@dataclass(frozen=True, slots=True, order=True)
class SourcePlace:
    """Where something stands. Lines and columns count from 1; in a notebook, lines are those of the cell."""

    path: str  # relative to the working directory where it is below it, with slashes
    cell: int  # 0: the file is no notebook
    line: int
    column: int

    @property
    def within(self) -> str:
        """Without the file: "12:5", "cell 3:line 2"."""
        return f"cell {self.cell}:line {self.line}" if self.cell else f"{self.line}:{self.column}"

    def __str__(self) -> str:
        return f"{self.path}:{self.within}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a call, and what becomes of it on the target."""

    name: str
    place: SourcePlace
    verdict: str  # a row's word, or "left out", "passed on", "accepted"
    note: str = ""
    value: str = ""  # as the source has it, if it is a short literal

    def json(self) -> dict[str, Any]:
        fields = {"name": self.name, "line": self.place.line, "column": self.place.column, "verdict": self.verdict}
        return {**fields, "note": self.note, **({"value": self.value} if self.value else {})}


@dataclass(frozen=True, slots=True)
class ScanFinding:
    """One thing that a migration has to do with. Never holds a key."""

    kind: str  # the id of its rule
    place: SourcePlace
    subject: str  # what stands there: "chat.completions.create", "OpenAI", "gpt-4o"
    message: str  # what becomes of it, or what to do
    certain: bool = True  # False: it only looks like it
    parameters: tuple[Parameter, ...] = ()
    more: bool = False  # of a call: it has arguments that the text does not tell
    details: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        where = {"path": self.place.path, "line": self.place.line, "column": self.place.column}
        fields: dict[str, Any] = {"kind": self.kind, **where, **({"cell": self.place.cell} if self.place.cell else {})}
        fields |= {"subject": self.subject, "message": self.message, **self.details}
        if self.kind == "call":
            fields |= {"evidence": "certain" if self.certain else "likely", "more": self.more}
            fields["parameters"] = [one.json() for one in self.parameters]
        return fields
