"""What a call costs in other libraries, beside the plain SDK and ours: python benchmarks/peers.py [--quick] [NAME ...]

Each library lies in an environment of its own, which is made below `.frameworks` with pip, and runs in a process of its
own, against the same stub. The processes take turns within each round; the least CPU time of all rounds counts.
`peer_calls.py` says how each library is called: as its documentation does, with one client where it has clients.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare import stub, without_the_callers_settings
from peer_calls import PIECES, WORKS
from work import LONG, SHORT

HERE = Path(__file__).parent
KEPT = HERE.parent / ".frameworks" / "peers"
PLAIN = "openai"
# What is installed, in turn; the first names the library whose version is told. litellm 1.107.0 was tampered with.
PEERS: Mapping[str, str] = {
    PLAIN: "openai<3.58",
    "llm_adapter": f"openai<3.58 --editable {HERE.parent}",
    "ollama": "ollama",
    "any-llm-sdk": "any-llm-sdk[ollama]",
    "litellm": "litellm>=1.110",
    "langchain-ollama": "langchain-ollama",
    "aisuite": "aisuite[mcp] openai httpx",
}
# A row, and the works that it is made of; a stream's are told apart as in `compare.py`.
ROWS: Mapping[str, tuple[str, ...]] = {
    "chat call, 2 messages": ("2 messages",),
    "50 messages": ("50 messages",),
    "200 messages": ("200 messages",),
    "10 messages, 20 tools": ("20 tools",),
    "a stream's fixed part": ("short stream", "long stream"),
    "a streamed chunk": ("short stream", "long stream"),
    "1 embedding": ("1 input",),
    "16 embeddings of 1024": ("16 inputs",),
    "100 async streams of 257 chunks": ("streams",),
}


@dataclass
class Peer:
    """A library at work in its process."""

    name: str
    process: subprocess.Popen[str]

    def ask(self, work: str) -> Any:
        """The seconds of CPU of one sample, or why there are none."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(work, file=self.process.stdin, flush=True)
        for line in self.process.stdout:
            if line.startswith("{"):  # some libraries print
                return json.loads(line)
        raise SystemExit(f"{self.name} ended")


def python_of(name: str) -> Path:
    """The interpreter of a library's environment, which is made if need be and brought up to date."""
    folder = KEPT / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    subprocess.run([*pip, *PEERS[name].split()], check=True)
    return python


@contextmanager
def at_work(name: str, python: Path, root: str) -> Iterator[Peer]:
    command = [str(python), str(HERE / "peer_calls.py"), name, root]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, encoding="utf-8", **pipes) as process:  # type: ignore[call-overload]
        yield Peer(name, process)
        process.stdin.close()


def measured(peers: Mapping[str, Peer], rounds: int) -> dict[str, dict[str, float]]:
    """Work to library to seconds, where the library can do it."""
    found: dict[str, dict[str, float]] = {}
    for work in WORKS:
        best: dict[str, float] = {}
        able = list(peers)
        for turn in range(-1, rounds if work != "streams" else min(rounds, 5)):  # the first round warms up
            for name in able[turn % len(able) :] + able[: turn % len(able)]:
                reply = peers[name].ask(work)
                if "seconds" not in reply:
                    print(f"{name}, {work}: {reply['failed']}", file=sys.stderr)
                    able.remove(name)
                elif turn >= 0:
                    best[name] = min(best.get(name, float("inf")), reply["seconds"])
        found[work] = {name: best[name] for name in able}
        same(work, {name: peers[name].ask(f"said {work}") for name in able})
    return found


def same(work: str, said: Mapping[str, Any]) -> None:
    """Refuse to compare unequal work: as many pieces, or numbers, in each library. Some merge the end with a piece."""
    counts = {name: reply["said"] for name, reply in said.items()}
    assert max(counts.values()) - min(counts.values()) <= PIECES.get(work, 0), counts


def cost(row: str, found: Mapping[str, Mapping[str, float]], name: str) -> float | None:
    costs = [found[work].get(name) for work in ROWS[row]]
    if None in costs:
        return None
    if len(costs) == 1:
        return costs[0]
    short, long = costs
    assert short is not None
    assert long is not None
    chunk = (long - short) / (LONG - SHORT)
    return chunk if row.endswith("chunk") else short - chunk * (SHORT + 1)


def table(found: Mapping[str, Mapping[str, float]], heads: Mapping[str, str], memory: Mapping[str, int]) -> str:
    """In Markdown: the plain SDK's in microseconds, the others' as ratios to it, and what each process holds."""
    lines = ["| | " + " | ".join(heads.values()) + " |", "|---" * (len(heads) + 1) + "|"]
    for row in ROWS:
        costs = {name: cost(row, found, name) for name in heads}
        plain = costs[PLAIN]
        assert plain is not None
        ratios = [
            f"{plain * 1e6:,.0f} µs" if name == PLAIN else "-" if spent is None else f"{spent / plain:.2f}"
            for name, spent in costs.items()
        ]
        lines.append(f"| {row} | " + " | ".join(ratios) + " |")
    return "\n".join([*lines, "| memory | " + " | ".join(f"{memory[name]} MB" for name in heads) + " |"])


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU of a call in other libraries, as a ratio to the plain openai SDK")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: noisier")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these beside openai: {', '.join(PEERS)}")
    given = parser.parse_args()
    names = [name for name in PEERS if name == PLAIN or not given.names or name in given.names]
    without_the_callers_settings()
    pythons = {name: python_of(name) for name in names}
    with ExitStack() as stack:
        root = stack.enter_context(stub())
        peers = {name: stack.enter_context(at_work(name, pythons[name], root)) for name in names}
        heads = {name: f"{name} {peers[name].ask('version')['version']}" for name in names}
        found = measured(peers, 12 if given.quick else 60)
        print(table(found, heads, {name: peers[name].ask("memory")["memory"] for name in names}))


if __name__ == "__main__":
    main()
