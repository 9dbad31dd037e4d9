"""The runs of a suite on two sides. They take turns, so that what changes with time changes for both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TypeAlias

from llm_adapter.devtools.parity.figures import UNKNOWN, Run, compared, overall
from llm_adapter.devtools.parity.report import About, Report, Section
from llm_adapter.devtools.parity.scores import Judge, Similar
from llm_adapter.devtools.parity.sides import Side
from llm_adapter.devtools.parity.suite import Prompt, Suite
from llm_adapter.devtools.parity.thresholds import broken
from llm_adapter.devtools.reporting.text import Tell, silent

_Task: TypeAlias = "Callable[[], tuple[Prompt, Run, Run]]"


@dataclass
class _Done:
    """The runs that are over, by the name of their prompt."""

    runs: dict[str, tuple[list[Run], list[Run]]] = field(default_factory=dict)
    interrupted: bool = False

    def add(self, prompt: Prompt, a: Run, b: Run) -> None:
        one, other = self.runs.setdefault(prompt.name, ([], []))
        one.append(a)
        other.append(b)


def compare(
    suite: Suite,
    a: Side,
    b: Side,
    *,
    jobs: int = 1,
    warm_up: bool = True,
    similar: Similar | None = None,
    judge: Judge | None = None,
    tell: Tell = silent,
) -> Report:
    """The report of all calls. jobs: how many pairs of calls are under way at once.

    Ctrl-C ends it early, with the report of what was done. Raises `Unreachable`, and `JudgeError`.
    """
    done, cold = _Done(), (dict[str, float](), dict[str, float]())
    try:
        if warm_up:
            for side, seconds in zip((a, b), cold, strict=True):
                _warm(suite, side, seconds, tell)
        for found in _driven(list(_tasks(suite, a, b)), jobs, tell):
            done.add(*found)
    except KeyboardInterrupt:
        done.interrupted = True
    notes: list[str] = []
    sections = [
        _section(one, a, b, *done.runs[one.name], similar, judge, notes)
        for one in suite.prompts
        if one.name in done.runs
    ]
    if missing := [one.name for one in suite.prompts if one.name not in done.runs]:
        notes.append(f"not run: {', '.join(missing)}")
    notes += filter(None, map(_dimensions, sections))
    whole = overall([(one.a, one.b, one.found) for one in sections])
    return Report(_about(a, cold[0]), _about(b, cold[1]), suite.runs, sections, whole, notes, done.interrupted)


def _dimensions(section: Section) -> str | None:
    """A note where embeddings differ in length: that is so with every other model, so that no threshold judges it."""
    a, b = section.found.a.dimensions, section.found.b.dimensions
    if a is None or b is None or a == b:
        return None
    return f"{section.name}: {a} dimensions are {b} on b: an index that was built with a's has to be built anew"


def _about(side: Side, cold: dict[str, float]) -> About:
    provider = side.settings.provider
    return About(side.label, side.address, provider if isinstance(provider, str) else provider.name, cold)


def _warm(suite: Suite, side: Side, seconds: dict[str, float], tell: Tell) -> None:
    """Call each model once, which may load it. seconds: gets what each call takes; it is in no other figure."""
    firsts = {side.named(prompt): prompt for prompt in reversed(suite.prompts)}
    for name, prompt in firsts.items():
        tell(f"{side.label}: the first call of {name}")
        seconds[name] = side.ask(prompt).outcome.seconds


def _tasks(suite: Suite, a: Side, b: Side) -> Iterator[_Task]:
    for number in range(suite.runs):
        for prompt in suite.prompts:
            yield lambda prompt=prompt, turned=bool(number % 2): _pair(prompt, a, b, turned)  # type: ignore[misc]


def _pair(prompt: Prompt, a: Side, b: Side, turned: bool) -> tuple[Prompt, Run, Run]:
    """Both sides' run, one after the other; every second time the other begins."""
    if turned:
        other = b.ask(prompt)
        return prompt, a.ask(prompt), other
    return prompt, a.ask(prompt), b.ask(prompt)


def _driven(tasks: Sequence[_Task], jobs: int, tell: Tell) -> Iterator[tuple[Prompt, Run, Run]]:
    for number, found in enumerate((task() for task in tasks) if jobs == 1 else _at_once(tasks, jobs), 1):
        yield found
        tell(f"{number} of {len(tasks)} calls on both sides")


def _at_once(tasks: Sequence[_Task], jobs: int) -> Iterator[tuple[Prompt, Run, Run]]:
    pool = ThreadPoolExecutor(jobs)
    try:
        under_way: list[Future[tuple[Prompt, Run, Run]]] = [pool.submit(task) for task in tasks]
        for one in as_completed(under_way):
            yield one.result()
    finally:  # also when it is left early: what has not begun is not begun
        pool.shutdown(wait=False, cancel_futures=True)


def _section(
    prompt: Prompt,
    a: Side,
    b: Side,
    one: list[Run],
    other: list[Run],
    similar: Similar | None,
    judge: Judge | None,
    notes: list[str],
) -> Section:
    found = compared(
        one,
        other,
        asked=prompt.expect.asked,
        tools=bool(prompt.body.get("tools")),
        similarity=UNKNOWN if similar is None else similar(prompt.name, one, other, notes),
        judge=None if judge is None else judge(prompt, one, other),
    )
    return Section(prompt, one, other, found, broken(found, prompt.thresholds), (a.sent(prompt), b.sent(prompt)))
