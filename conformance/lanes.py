"""What is run: groups of the SDK's tests, each once with the SDK's classes and once with ours."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from sandbox import FOLDER, Sandbox, say

Outcomes: TypeAlias = "dict[str, tuple[str, str]]"  # a test's id to its outcome and, if it failed, the error

_HERE = Path(__file__).resolve().parent
# Nothing of the caller's may decide: no configuration of ours, no keys and hosts that the SDK would read, no proxies.
_DROPPED = ("LLM_ADAPTER_", "OPENAI_", "AZURE_", "AWS_", "OLLAMA_", "PYTEST_")
_RESOURCES = "tests/api_resources"
_NATIVE = {"LLM_ADAPTER_PROVIDER": "ollama"}
# What ours refuses there on purpose: what the error says, to the reason.
_REFUSED = {
    "`echo` has no logprobs of the prompt on provider": "Ollama has none, and the error names the cure",
    "`max_tokens` must be 1 or more, and not 0": "OpenAI refuses it of a chat, and at Ollama 0 is no limit",
}


@dataclass(frozen=True)
class Lane:
    """One group of tests."""

    name: str
    paths: tuple[str, ...]
    server: str  # "steady" or "ollama"
    alone: bool = False  # whether most tests bring their own answers, and the lane is worth running without a server
    ours: Mapping[str, str] = field(default_factory=dict)  # the configuration of our run
    on_purpose: Mapping[str, str] = field(default_factory=dict)  # what errors of ours say that are meant, to why


LANES = (
    # All that is not a resource: every module at the top of tests/, and tests/lib. A few ask the mock server.
    Lane("core", ("tests", f"--ignore={_RESOURCES}"), server="steady", alone=True),
    # Not those of an account and of agents: thousands of tests, and few of their paths are in an older specification.
    Lane("resources", (_RESOURCES, *(f"--ignore={_RESOURCES}/{name}" for name in ("admin", "beta"))), server="steady"),
    *(
        Lane(
            f"native, unsupported={unsupported}",
            (
                f"{_RESOURCES}/chat/test_completions.py",
                *(f"{_RESOURCES}/test_{name}.py" for name in ("completions", "embeddings", "models")),
            ),
            server="ollama",
            ours={**_NATIVE, "LLM_ADAPTER_UNSUPPORTED": unsupported},
            on_purpose=_REFUSED,
        )
        for unsupported in ("error", "ignore")
    ),
)


def run(
    sandbox: Sandbox, lane: Lane, url: str | None, *, ours: bool, only: str | None = None, tests: Sequence[str] = ()
) -> Outcomes:
    """The outcomes of a lane. tests: run these ids alone, in one process."""
    say(f"{lane.name}: {'ours' if ours else 'stock'}{f', {len(tests)} tests again' if tests else ''}")
    report = sandbox.folder / "outcomes.json"
    report.unlink(missing_ok=True)
    paths = [path for path in lane.paths if path.startswith("--") or (sandbox.tree / path).exists()]
    command = [str(sandbox.python), "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "-o", "addopts="]
    command += ["-p", "outcomes", *(["-p", "swap"] if ours else [])]
    command += list(tests) or [*paths, "-n", "2", *(["-k", only] if only else [])]
    environ = _environment(sandbox, lane, url, report, ours=ours)
    name = [lane.name.replace(", ", "-"), "ours" if ours else "stock", *(["again"] if tests else [])]
    log = sandbox.folder / f"{'-'.join(name)}.log"
    with log.open("wb") as output:
        # -k may leave nothing to run (5); a failed test is a result (1); anything else is not one.
        code = subprocess.run(  # noqa: S603
            command, cwd=sandbox.tree, env=environ, stdout=output, stderr=output
        ).returncode
    if code not in (0, 1, 5) or not report.is_file():
        raise SystemExit(f"pytest ended with {code}: see {log.relative_to(FOLDER.parent)}")
    return {test: (outcome, reason) for test, (outcome, reason) in json.loads(report.read_text("utf-8")).items()}


def _environment(sandbox: Sandbox, lane: Lane, url: str | None, report: Path, *, ours: bool) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_DROPPED) and not name.lower().endswith("_proxy")
    }
    return {
        **kept,
        "PYTHONPATH": str(_HERE),
        "CONFORMANCE_OUTCOMES": str(report),
        "DEFER_PYDANTIC_BUILD": "false",
        # Where our user's file would be found; the port is one on which nobody answers.
        "XDG_CONFIG_HOME": str(sandbox.folder / "config"),
        "TEST_API_BASE_URL": url or "http://127.0.0.1:9",
        **(lane.ours if ours else {}),
        # The configuration names the tests' address, too: another one would be the program's own, and no Ollama.
        **({"LLM_ADAPTER_HOST": url.removesuffix("/v1")} if ours and url and lane.server == "ollama" else {}),
    }
