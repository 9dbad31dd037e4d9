"""A program of `programs/`, as it is, as a process of `llm-adapter run`: what it gave, and where its calls went."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_adapter import OpenAI, Settings
from llm_adapter.testing import Fake, Model, embedding, serving
from llm_adapter.testing.turns import Turn

HERE = Path(__file__).parent
# The names that every program asks for, and the models that are there.
NAMES = {"gpt-4o-mini": "tiny", "text-embedding-3-small": "tiny-embed"}
_SECONDS = 300


@dataclass
class Backend:
    """Where the calls of a test go: the embedded llama.cpp, or a fake Ollama that is asked by its native API."""

    name: str
    settings: Settings
    profile: str  # the same as lines of `llm_adapter.toml`
    fake: Fake | None = None

    def script(self, *turns: Turn | str, repeat: bool = False) -> None:
        """What the fake answers; the embedded model answers by itself."""
        if self.fake is not None:
            self.fake.script(*turns, repeat=repeat)

    def client(self, **options: Any) -> OpenAI:
        return OpenAI(settings=self.settings, max_retries=0, **options)


@contextmanager
def backend(name: str) -> Iterator[Backend]:
    """ "embedded", or "ollama"."""
    if name == "embedded":
        models = {"gpt-4o-mini": "tiny-chat", "text-embedding-3-small": "tiny-embed"}
        yield Backend(name, Settings(provider="embedded", models=models), _profile(models, provider="embedded"))
        return
    embedder = Model("tiny-embed", frozenset({"embedding"}), dimensions=96)  # as the embedded one has them
    with serving("ollama@0.32", models=["tiny", embedder]) as fake:
        fake.on(lambda request: embedding() if request.path == "/api/embed" else None)
        profile = _profile(NAMES, provider="ollama", host=fake.url)
        yield Backend(name, Settings(provider="ollama", host=fake.url, models=NAMES), profile, fake)


def _profile(models: Mapping[str, str], **fields: str) -> str:
    lines = [f'{name} = "{value}"' for name, value in fields.items()]
    named = ", ".join(f'"{asked}" = "{used}"' for asked, used in models.items())
    return "\n".join([*lines, f"models = {{ {named} }}", ""])


@dataclass
class Outcome:
    """What a program gave. `cells`: by the cell's name, what it returned; one that raised is in `raised` alone."""

    backend: Backend
    status: int
    cells: dict[str, Any] = field(default_factory=dict)
    raised: dict[str, str] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)  # the lines of the report
    left: list[str] = field(default_factory=list)  # the hosts beyond this machine that it tried to reach
    output: str = ""

    def check(self) -> None:
        """The program ended well, asked our destination at least once, and no other."""
        assert (self.status, self.left) == (0, []), self.output[-4000:]
        hosts = {call["host"] for call in self.calls if call["calls"]}
        here = "this process" if self.backend.fake is None else self.backend.fake.url.removeprefix("http://")
        assert hosts == {here}, self.output[-4000:]


RUN = (sys.executable, "-m", "llm_adapter", "run", "--")


def run_program(
    backend: Backend, program: str, folder: Path, environment: Mapping[str, str], command: Sequence[str] = RUN
) -> Outcome:
    """Run `programs/<program>.py` in the folder, which becomes its working directory. command: what it is given to."""
    (folder / "llm_adapter.toml").write_text(backend.profile, "utf-8")
    left, report = folder / "left.txt", folder / "calls.jsonl"
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(HERE / "guard"), os.environ.get("PYTHONPATH")))),
        "FRAMEWORKS_LEFT": str(left),
        "LLM_ADAPTER_REPORT": str(report),
        "HOME": str(folder),
        **environment,
    }
    done = subprocess.run(
        [*command, str(HERE / "programs" / f"{program}.py")],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=_SECONDS,
    )
    outcome = Outcome(backend, done.returncode, output=done.stdout, left=_lines(left))
    outcome.calls = [json.loads(line) for line in _lines(report)]
    _read_cells(outcome, done.stdout.splitlines())
    return outcome


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.exists() else []


def _read_cells(outcome: Outcome, lines: Sequence[str]) -> None:
    for line in lines:
        if line.startswith("cell "):
            cell = json.loads(line.removeprefix("cell "))
            kind = outcome.cells if "gave" in cell else outcome.raised
            kind[cell["cell"]] = cell.get("gave", cell.get("raised"))
