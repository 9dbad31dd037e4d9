"""Is the migration right? Everything that can be asked before the switch, in one go, with one exit code.

    python verify_migration.py PATH --against cloud --to local --suite examples/parity.yaml

1. scan     what the code asks for, whether the new profile can do it, and which clients would not go there; nothing is
            sent
2. doctor   the new profile's address, key, models, context, libraries; no tokens are spent
3. verify   everyday calls, on both: what works there has to work here
4. parity   the calls of the suite, several times on both, compared by their structure

A step that finds something is told, and the next one runs all the same. Needs the extras `migrate` and `parity`.

What stays on purpose is allowed by the kind that scan gives it: `--allow other-client` for Azure's clients, `--allow
framework` where frameworks were given a client, and `--allow client --allow module-client --allow framework` for a
program that is started with `llm-adapter run`, which switches these. Look at `llm-adapter run --report` then.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator

Step = tuple[str, list[str]]
# What the target refuses, and the kinds of findings by which calls go elsewhere.
FAILING = (
    "refused",
    "client",
    "module-client",
    "other-client",
    "framework",
    "hard-coded-url",
    "openai-0x",
    "unreadable",
)


def main() -> int:
    asked = _arguments()
    results = {name: _run(name, command) for name, command in _steps(asked)}
    failed = [name for name, status in results.items() if status]
    print(f"\n{'NOT READY: ' + ', '.join(failed) if failed else 'READY'}: {asked.against} -> {asked.to}")
    return int(bool(failed))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Is the migration right?")
    parser.add_argument("path", nargs="+", help="the code")
    parser.add_argument("--against", required=True, metavar="PROFILE", help="where it runs today")
    parser.add_argument("--to", required=True, metavar="PROFILE", help="where it is to run")
    parser.add_argument("--suite", metavar="YAML", help="calls that matter, for parity")
    parser.add_argument("--allow", action="append", default=[], choices=FAILING, help="what scan may find")
    return parser.parse_args()


def _steps(asked: argparse.Namespace) -> Iterator[Step]:
    failing = [f"--fail-on={kind}" for kind in FAILING if kind not in asked.allow]
    yield "scan", ["scan", *asked.path, "--profile", asked.to, *failing]
    yield "doctor", ["doctor", "--profile", asked.to]
    yield "verify", ["verify", "--against", asked.against, "--to", asked.to]
    if asked.suite:
        yield "parity", ["parity", asked.suite, "--a", asked.against, "--b", asked.to, "--html", "parity.html"]


def _run(name: str, command: list[str]) -> int:
    print(f"\n== {name}\n", flush=True)
    status = subprocess.run([sys.executable, "-m", "llm_adapter", *command]).returncode
    # doctor ends with 1 for what is only a warning.
    return int(status > 1) if name == "doctor" else status


if __name__ == "__main__":
    raise SystemExit(main())
