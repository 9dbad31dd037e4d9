"""What came of a comparison, for all that write it down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from llm_adapter.devtools.parity.figures import Compared, Run
from llm_adapter.devtools.parity.suite import Prompt
from llm_adapter.devtools.parity.thresholds import Broken
from llm_adapter.devtools.reporting.text import counted
from llm_adapter.provider import Json


@dataclass(frozen=True)
class About:
    """A side."""

    label: str
    address: str
    provider: str
    warm_up: Mapping[str, float] = field(default_factory=dict)  # seconds of the first call, by model

    @property
    def title(self) -> str:
        return f"{self.label} ({self.provider}, {self.address})"


@dataclass(frozen=True)
class Section:
    """One prompt's part."""

    prompt: Prompt
    a: Sequence[Run]
    b: Sequence[Run]
    found: Compared
    broken: tuple[Broken, ...] = ()
    sent: tuple[Json, Json] = field(default_factory=lambda: ({}, {}))  # sampling and limits, as a and b are sent them

    @property
    def name(self) -> str:
        return self.prompt.name


@dataclass(frozen=True)
class Report:
    """The whole comparison. Texts and arguments of replies are only in the forms that are asked to hold them."""

    a: About
    b: About
    runs: int
    sections: Sequence[Section]
    overall: Compared
    notes: Sequence[str] = ()
    interrupted: bool = False

    @property
    def broken(self) -> list[tuple[str, Broken]]:
        """The thresholds that are not met, and the prompts where."""
        return [(section.name, one) for section in self.sections for one in section.broken]

    @property
    def verdict(self) -> str:
        count, prompts = len(self.broken), sum(bool(section.broken) for section in self.sections)
        if not count:
            return f"every threshold is met by {counted(len(self.sections), 'prompt')}"
        return f"{counted(count, 'threshold')} broken, in {prompts} of {counted(len(self.sections), 'prompt')}"

    def json(self, *, texts: bool = False) -> Json:
        return {
            "a": _about(self.a),
            "b": _about(self.b),
            "runs": self.runs,
            "passed": not self.broken,
            "interrupted": self.interrupted,
            "broken": [{"prompt": name, **one._asdict()} for name, one in self.broken],
            "overall": self.overall.json(),
            "prompts": [_section(section, texts) for section in self.sections],
            "notes": list(self.notes),
        }


def _about(side: About) -> Json:
    return {"label": side.label, "provider": side.provider, "address": side.address, "warm_up": dict(side.warm_up)}


def _section(section: Section, texts: bool) -> Json:
    return {
        "name": section.name,
        "path": section.prompt.path,
        "stream": section.prompt.streamed,
        "broken": [one._asdict() for one in section.broken],
        "figures": section.found.json(),
        "sent": dict(zip("ab", section.sent, strict=True)),
        "runs": {name: [_run(run, texts) for run in runs] for name, runs in (("a", section.a), ("b", section.b))},
    }


def _run(run: Run, texts: bool) -> Json:
    texts_of_reply = {"text": run.text, "arguments": [call.arguments for call in run.outcome.tools]} if texts else {}
    pace = {"first_token": run.pace.first, "between_pieces": run.pace.between}
    return {
        **run.outcome.json(),
        **pace,
        "message": run.error,
        "unmet": list(run.unmet),
        "cost": run.cost,
        **texts_of_reply,
    }
