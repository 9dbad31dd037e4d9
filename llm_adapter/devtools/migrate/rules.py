"""The kinds of findings, each with how much it matters and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["error", "warning", "note"]
GUIDE = "migration_guide.md"


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
        "note", "This goes to the server as it is", "See whether the server knows it: `llm-adapter doctor --deep`."
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
        "see Testing in the guide.",
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
    "framework": Rule("note", "A framework that makes or takes a client", "Give it a client of llm_adapter's."),
}
VERDICTS = {"refused": "refused", "left out": "left-out", "ignored": "ignored", "emulated": "emulated"}
