"""The SDK's own tests, with the SDK's classes and with ours: which outcomes differ?

    python conformance/run.py [--version X] [--only PATTERN] [--clone PATH]

Exit code 1: a test passes with the SDK's classes and fails with ours. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from compare import ABSENT, Difference, counts, differences
from fake_ollama import FakeOllama
from lanes import LANES, Lane, Outcomes, run
from sandbox import FOLDER, ROOT, SPEC, Sandbox, prepare, take_extras
from steady import UnavailableError, mock_server

# More than this many differences are no flakes, and running them again one by one would take long.
_AGAIN = 60


def main() -> int:
    """Run every lane; the exit code."""
    options = _options()
    _nothing_configured()
    if options.clone:
        take_extras(options.clone)
    sandbox = prepare(options.version)
    print(f"openai {options.version}: passed, failed, skipped")
    lost = 0
    for lane in LANES:
        if options.lane in lane.name:
            try:
                lost += _judged(sandbox, lane, options.only)
            except UnavailableError as error:
                print(f"\n{lane.name}\n  not run: {error}")
    return 1 if lost else 0


def _judged(sandbox: Sandbox, lane: Lane, only: str | None) -> int:
    """Run one lane twice and print its part of the report; how many tests ours loses."""
    with _server(lane) as (url, fake):
        stock = run(sandbox, lane, url, ours=False, only=only)
        before = Counter(fake.paths) if fake else Counter()
        ours = run(sandbox, lane, url, ours=True, only=only)
        asked = Counter(fake.paths) - before if fake else Counter()
        found = differences(stock, ours, lane.on_purpose)
        settled = _settle(sandbox, lane, url, found, stock, ours)
    found = differences(stock, ours, lane.on_purpose)
    lost = [one for one in found if one.lost and one.purpose is None]
    print(f"\n{lane.name}\n  stock {counts(stock)}\n  ours  {counts(ours)}")
    if both := Counter(test.partition("::")[0] for test in stock if _failed(stock, test) and _failed(ours, test)):
        print("  failing in both: " + ", ".join(f"{module} {n}" for module, n in sorted(both.items())))
    if asked:
        print("  asked of the server by ours: " + ", ".join(f"{path} {n}" for path, n in sorted(asked.items())))
    for test in settled:
        print(f"  the same when run again: {test}")
    _print_differences(found)
    print(f"  lost: {len(lost)}")
    for why, number in Counter(one.purpose for one in found if one.purpose).items():
        print(f"  lost on purpose: {number}, {why}")
    return len(lost)


def _failed(outcomes: Outcomes, test: str) -> bool:
    return outcomes.get(test, ABSENT)[0] == "failed"


def _settle(
    sandbox: Sandbox, lane: Lane, url: str | None, found: list[Difference], stock: Outcomes, ours: Outcomes
) -> list[str]:
    """Run the tests that differ once more, alone, and take those outcomes: clocks and load decide some of them."""
    tests = [one.test for one in found if "::" in one.test and one.purpose is None]
    if not 0 < len(tests) <= _AGAIN:
        return []
    for outcomes, swapped in ((stock, False), (ours, True)):
        again = run(sandbox, lane, url, ours=swapped, tests=tests)
        outcomes.update({test: again[test] for test in tests if test in again})
    return [test for test in tests if stock.get(test, ("",))[0] == ours.get(test, ("",))[0]]


def _print_differences(found: list[Difference]) -> None:
    """Every test that differs, below the reason that it shares with others."""
    for kind, number in Counter(one.kind for one in found).items():
        print(f"  {number} {kind}")
        for one in found:
            if one.kind == kind:
                print(f"      {one.test}")


@contextmanager
def _server(lane: Lane) -> Iterator[tuple[str | None, FakeOllama | None]]:
    """The lane's server: its base URL, and the fake if it is one. Raises `UnavailableError`."""
    with ExitStack() as stack:
        fake, url = None, None
        if lane.server == "ollama":
            fake = stack.enter_context(FakeOllama())
            url = f"{fake.root}/v1"
        else:
            try:
                url = stack.enter_context(mock_server(FOLDER / "steady", SPEC))
            except UnavailableError as error:
                if not lane.alone:
                    raise
                print(f"\n{lane.name}: without the mock server, so that some tests fail in both runs ({error})")
        yield url, fake


def _nothing_configured() -> None:
    """Refuse to start where our configuration would be found: the swapped run is to be an unconfigured one."""
    for folder in (ROOT, *ROOT.parents):
        pyproject = folder / "pyproject.toml"
        if (folder / "llm_adapter.toml").is_file() or (
            pyproject.is_file() and "[tool.llm_adapter" in pyproject.read_text("utf-8", "replace")
        ):
            raise SystemExit(f"{folder} has settings of llm_adapter, which would apply to the tests: move them away")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", default="3.57.0", help="of openai; default %(default)s")
    parser.add_argument("--only", metavar="PATTERN", help="pytest's -k")
    parser.add_argument("--lane", default="", help="only the lanes with this in their name")
    parser.add_argument("--clone", type=Path, help="a clone of openai-python; its parts are kept for later runs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
