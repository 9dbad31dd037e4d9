"""`llm-adapter batch`: OpenAI's Batch files on any profile."""

from __future__ import annotations

import asyncio
import os
import signal
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from llm_adapter.batch.job import InvalidInputError, Job
from llm_adapter.batch.journal import BusyError
from llm_adapter.batch.lines import read_line
from llm_adapter.batch.running import Progress, StoppedError, numbered
from llm_adapter.cli.options import Profile
from llm_adapter.cli.screen import console, say
from llm_adapter.client.clients import AsyncOpenAI
from llm_adapter.devtools.explain import explanation
from llm_adapter.devtools.reporting.text import counted
from llm_adapter.routing.destination import resolve
from llm_adapter.settings.errors import AdapterWarning
from llm_adapter.settings.settings import Settings

HAS_ERRORS, BAD_INPUT, STOPPED, INTERRUPTED = 1, 2, 3, 130
_SHOWN = 10  # problems and refusals

Source = Annotated[Path, typer.Argument(help="The input: a request a line.", metavar="IN.jsonl", dir_okay=False)]
Output = Annotated[
    Path | None, typer.Argument(help="The output: the answers, in the input's order.", metavar="OUT.jsonl")
]
Errors = Annotated[
    Path | None, typer.Option(help="Where requests go that failed; by default OUT.errors.jsonl.", metavar="PATH")
]
Concurrency = Annotated[
    int | None, typer.Option(min=1, help="Requests at once; by default the profile's `max_concurrency`, or 8.")
]
Patience = Annotated[float, typer.Option(min=0, help="Seconds that the server may be away before the command stops.")]
Engine = Annotated[
    Literal["local", "ray"], typer.Option(help="Where requests are made: this machine, or a Ray cluster (extra `ray`).")
]
Actors = Annotated[int, typer.Option(min=1, help="With --engine ray: how many actors make requests.")]
ActorCPUs = Annotated[float, typer.Option(min=0.01, help="With --engine ray: CPUs that each actor is given.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what the profile would refuse, and send nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Run although OUT.jsonl is there: it is replaced at the end.")]


def batch(
    source: Source,
    output: Output = None,
    profile: Profile = None,
    errors: Errors = None,
    concurrency: Concurrency = None,
    patience: Patience = 600,
    engine: Engine = "local",
    actors: Actors = 2,
    actor_cpus: ActorCPUs = 0.2,
    dry_run: DryRun = False,
    force: Force = False,
) -> None:
    """Run a file of OpenAI's Batch API on a profile. After an interruption the same command goes on with the rest.

    Exit code: 0 all answered, 1 some requests failed, 2 the input is no batch, 3 stopped before the end, 130 by Ctrl-C.
    """
    if not source.exists():
        raise typer.BadParameter(f"{source} is not there", param_hint="IN.jsonl")
    if dry_run:
        raise typer.Exit(_show_refusals(source, profile))
    if output is None:
        raise typer.BadParameter("name the file for the answers", param_hint="OUT.jsonl")
    job = Job.to(source, output, errors)
    if output.exists() and not job.journal_path.exists() and not force:
        raise typer.BadParameter(f"{output} is there, and whole: delete it, or say --force", param_hint="OUT.jsonl")
    run: Callable[..., Any] = partial(_run_all, concurrency=concurrency)
    if engine == "ray":
        if concurrency is not None:
            raise typer.BadParameter("an actor asks 32 requests at once: choose --actors", param_hint="--concurrency")
        run = partial(_run_on_cluster, actors=actors, cpus=actor_cpus)
    raise typer.Exit(_run(job, profile, partial(run, patience=patience)))


def _run(job: Job, profile: str | None, run: Callable[..., Any]) -> int:
    screen = console(stderr=True)
    settings = Settings.load(os.environ, profile=profile).in_own_process()
    with _bar(screen) as bar:
        try:
            done = asyncio.run(run(job, settings, bar))
        except InvalidInputError as error:
            return _show_problems(screen, error)
        except BusyError as error:
            say(screen, str(error), "red")
            return STOPPED
        except (StoppedError, OSError) as error:
            say(screen, f"stopped: {error}. What is recorded stays; the same command goes on with the rest.", "red")
            return STOPPED
    return _show_end(screen, job, *done)


def client_of(fields: dict[str, Any]) -> AsyncOpenAI:
    """The client of an actor."""
    return AsyncOpenAI(settings=Settings(**fields))


async def _run_on_cluster(
    job: Job, settings: Settings, bar: Bar, *, actors: int, cpus: float, patience: float
) -> tuple[tuple[int, int] | None, Progress]:
    from llm_adapter.batch.ray import run_on_cluster

    async with AsyncOpenAI(settings=settings) as client:
        bar.add_task("", total=None, facts="")
        running = job.begin(client, settings, tell=partial(_draw, bar))
        try:
            run_on_cluster(running, settings, client_of, actors=actors, cpus=cpus, patience=patience)
            return running.finish(), running.progress
        finally:
            running.journal.close()


async def _run_all(
    job: Job, settings: Settings, bar: Bar, *, concurrency: int | None, patience: float
) -> tuple[tuple[int, int] | None, Progress]:
    async with AsyncOpenAI(settings=settings) as client:
        bar.add_task("", total=None, facts="")
        tell = partial(_draw, bar)
        running = job.begin(client, settings, concurrency=concurrency, patience=patience, tell=tell)
        tell(running.progress)
        before = _on_interrupt(running.batch.stop)
        try:
            return await running.run(), running.progress
        finally:
            signal.signal(signal.SIGINT, before)


def _on_interrupt(stop: Callable[[], None]) -> Any:
    """Call `stop` with the first Ctrl-C; the second one ends the command. What was there before."""
    loop = asyncio.get_running_loop()

    def interrupted(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        loop.call_soon_threadsafe(stop)

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, interrupted)
    return before


def _bar(screen: Console) -> Bar:
    columns = (
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[facts]}"),
    )
    return Bar(*columns, console=screen, expand=True, transient=True, disable=not screen.is_terminal)


def _draw(bar: Bar, now: Progress) -> None:
    seconds = bar.tasks[0].elapsed or 0
    rate = f"{now.completion_tokens / seconds:.0f} tokens/s" if seconds and now.completion_tokens else ""
    failed = f"{counted(now.failed, 'error')}" if now.failed else ""
    waiting = f"waiting: {now.waiting}" if now.waiting else ""
    facts = "  ".join(filter(None, (rate, failed, waiting)))
    bar.update(bar.tasks[0].id, total=now.total, completed=now.done, facts=facts)


def _show_end(screen: Console, job: Job, counts: tuple[int, int] | None, progress: Progress) -> int:
    tokens = f"{progress.prompt_tokens} tokens read and {progress.completion_tokens} written in this run"
    if counts is None:
        told = f"stopped with {progress.done} of {progress.total} results; the same command goes on with the rest"
        say(screen, told, "yellow")
        return INTERRUPTED
    answers, failed = counts
    say(screen, f"{job.output}: {counted(answers, 'answer')}, {tokens}")
    if not failed:
        return 0
    say(screen, f"{job.errors}: {counted(failed, 'error')}", "red")
    for message, count in Counter(progress.errors).most_common(1):
        say(screen, f"most often, {counted(count, 'time')}: {message}")
    return HAS_ERRORS


def _show_problems(screen: Console, error: InvalidInputError) -> int:
    problems = error.found.problems
    for problem in problems[:_SHOWN]:
        where = f"line {problem.line}: " if problem.line else ""
        say(screen, f"{where}{problem.code}: {problem.message}", "red")
    if len(problems) > _SHOWN:
        say(screen, f"and {len(problems) - _SHOWN} more")
    return BAD_INPUT


def _show_refusals(source: Path, profile: str | None) -> int:
    """What a run would refuse, without one: the exit code is 1 where there is something."""
    screen, refused, count = console(), Counter[str](), 0
    try:
        Job.to(source, source).check()
    except InvalidInputError as error:
        return _show_problems(console(stderr=True), error)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AdapterWarning)
        connection = resolve(profile, None, {})
        for number, data in numbered(source):
            line = read_line(data, number)
            explained = explanation(connection, line.path, line.body)
            count += 1
            if explained.refusal is not None:
                refused[str(explained.refusal)] += 1
    say(screen, f"{counted(count, 'request')}, of which {refused.total()} would be refused; nothing was sent")
    for message, times in refused.most_common(_SHOWN):
        say(screen, f"{times} ×: {message}", "red")
    return HAS_ERRORS if refused else 0
