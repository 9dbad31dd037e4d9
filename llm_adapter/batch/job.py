"""A batch from one file to another: what is there already, what is left, and the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import openai

from llm_adapter.batch.journal import Journal
from llm_adapter.batch.lines import Check, check, is_error, not_run, read_line
from llm_adapter.batch.running import Batch, Progress, numbered
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.settings import Settings

# What an answer depends on. Where a server is, what is kept of it and how long it is waited for may change on the way.
ANSWER_SETTINGS = (
    *("provider", "dialect", "models", "num_ctx", "num_ctx_max", "think", "reasoning_fields", "options", "overflow"),
    *("expected_dimensions", "shift", "unsupported", "sampling_defaults", "corrections", "recover_tool_calls"),
    *("image_urls", "routes", "model_path", "embedding_model_path", "mmproj_path", "chat_template"),
)
CONCURRENCY = 8  # where a profile has no `max_concurrency`: what a server of one's own has room for


def fingerprint(settings: Settings) -> str:
    """Of the settings that answers depend on: the results of one profile are not taken for those of another."""
    said = {name: getattr(settings, name) for name in ANSWER_SETTINGS}
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=repr).encode()).hexdigest()


class InvalidInputError(SettingsError):
    """The input is no batch; `found` has the problems."""

    def __init__(self, found: Check) -> None:
        super().__init__(found.problems[0].message)
        self.found = found


@dataclass(frozen=True)
class Job:
    """A batch from `source` to `output`; requests that failed go to `errors`."""

    source: Path
    output: Path
    errors: Path
    endpoint: str | None = None  # the url that every line must have; None: that of the first
    most: int | None = None  # lines that are allowed

    @classmethod
    def to(cls, source: Path, output: Path, errors: Path | None = None) -> Job:
        return cls(source, output, errors or output.with_name(f"{output.stem}.errors{output.suffix}"))

    @property
    def journal_path(self) -> Path:
        return self.output.with_name(f"{self.output.name}.part")

    def check(self) -> Check:
        """Look through the input. Raises `InvalidInputError`."""
        found = check(numbered(self.source), endpoint=self.endpoint, most=self.most)
        if found.problems:
            raise InvalidInputError(found)
        return found

    def names(self, profile: str) -> list[str]:
        """The ids of the results, in the order of the input."""
        return [read_line(data, number).result_id(profile) for number, data in numbered(self.source)]

    def begin(
        self,
        client: openai.AsyncOpenAI,
        settings: Settings,
        *,
        concurrency: int | None = None,
        patience: float = 600,
        tell: Callable[[Progress], None] | None = None,
    ) -> Running:
        """Take the batch up where it stands. Raises `InvalidInputError`; `BusyError` where another process has it."""
        found = self.check()
        profile = fingerprint(settings)
        journal = Journal(self.journal_path)
        recorded = [name for name in self.names(profile) if name in journal]
        failed = sum(is_error(json.loads(line)) for line in journal.results(recorded))
        progress = Progress(found.count, done=len(recorded), failed=failed)
        batch = Batch(
            client,
            self.source,
            journal,
            progress,
            profile=profile,
            concurrency=concurrency or settings.max_concurrency or CONCURRENCY,
            patience=patience,
            tell=tell,
        )
        return Running(self, batch, journal, profile)


@dataclass(frozen=True)
class Running:
    """A batch that was begun."""

    job: Job
    batch: Batch
    journal: Journal
    profile: str

    @property
    def progress(self) -> Progress:
        return self.batch.progress

    async def run(self) -> tuple[int, int] | None:
        """Ask what has no result yet, and write the output: how many answers and errors. None: it was stopped before.

        Raises `StoppedError`, and OSError where a file cannot be written. What is recorded stays.
        """
        try:
            return self.finish() if await self.batch.run() else None
        finally:
            self.journal.close()

    def leave_out(self, code: str, message: str) -> None:
        """Record of every request without a result that it was not run."""
        for number, data in numbered(self.job.source):
            line = read_line(data, number)
            if (name := line.result_id(self.profile)) not in self.journal:
                self.journal.add(not_run(line, name, code, message))

    def finish(self) -> tuple[int, int]:
        """Write the output and the errors; how many of each there are."""
        return self.journal.finish(self.job.names(self.profile), self.job.output, self.job.errors)
