"""Batches that were created, run by a thread of the process that created one or asks for it.

A process that ends leaves its batches where they stand; the next one that asks for one of them, with a client of the
same profile, goes on with it.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, TypeAlias

from llm_adapter.batch.job import InvalidInputError, Job, Running, fingerprint
from llm_adapter.batch.journal import BusyError
from llm_adapter.batch.lines import MOST_LINES
from llm_adapter.batch.running import StoppedError
from llm_adapter.batch.store import FINAL, Store
from llm_adapter.provider import Json
from llm_adapter.settings.settings import Settings

_log = logging.getLogger("llm_adapter.batch")
ClientMaker: TypeAlias = Callable[[], Any]
_LOOK = 0.25  # seconds between two looks at what was asked meanwhile
_UNTOLD = "it was stopped before this request was sent"
_lock = threading.Lock()
_running: dict[tuple[int, str], threading.Thread] = {}  # by process, for a fork has no threads of its parent


def ensure_running(store: Store, record: Json, settings: Settings, make_client: ClientMaker) -> None:
    """See to it that somebody runs the batch: this process, unless another one does, or it is another profile's."""
    name = record["batch"]["id"]
    if record["batch"]["status"] in FINAL or record["profile"] != fingerprint(settings):
        return
    key = (os.getpid(), name)
    with _lock:
        if (thread := _running.get(key)) is not None and thread.is_alive():
            return
        work = (store, name, settings, make_client)
        _running[key] = threading.Thread(target=_run, args=work, name=f"llm_adapter {name}", daemon=True)
        _running[key].start()
    _tell_at_exit()


@cache
def _tell_at_exit() -> None:
    atexit.register(_tell_of_running)


def _tell_of_running() -> None:
    own = [name for (process, name), thread in _running.items() if process == os.getpid() and thread.is_alive()]
    if own:
        _log.warning("%s not ended: the next process that asks for it goes on with it", ", ".join(own))


def _run(store: Store, name: str, settings: Settings, make_client: ClientMaker) -> None:
    try:
        asyncio.run(_process(store, name, settings, make_client))
    except BusyError:  # another process runs it
        pass
    except Exception as error:  # nobody else would hear of it
        _log.warning("%s stands still: %s; the next retrieve goes on with it", name, error)


async def _process(store: Store, name: str, settings: Settings, make_client: ClientMaker) -> None:
    record = store.read(name)
    if record is None or record["batch"]["status"] in FINAL:
        return
    batch = record["batch"]
    output, errors = store.data_path(record["output"]), store.data_path(record["errors"])
    job = Job(store.data_path(batch["input_file_id"]), output, errors, batch["endpoint"], MOST_LINES)
    async with make_client() as client:
        try:
            running = job.begin(client, settings, patience=float("inf"))
        except InvalidInputError as error:
            data = [problem.json() for problem in error.found.problems]
            _end(store, name, "failed", failed_at=_now(), errors={"object": "list", "data": data})
            return
        try:
            store.change(name, status="in_progress", in_progress_at=batch.get("in_progress_at") or _now())
            await _until_end(store, record, running)
        except StoppedError as error:
            data = [{"code": "stopped", "message": str(error), "line": None, "param": None}]
            _end(store, name, "failed", failed_at=_now(), errors={"object": "list", "data": data})
        finally:
            running.journal.close()


async def _until_end(store: Store, record: Json, running: Running) -> None:
    name = record["batch"]["id"]
    watch = asyncio.ensure_future(_watch(store, record, running))
    try:
        is_whole = await running.batch.run()
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
    end = "completed"
    if not is_whole:
        end = "cancelled" if store.cancelled_at(name) else "expired"
        running.leave_out(f"batch_{end}", f"The batch was {end}: {_UNTOLD}.")
    progress = running.progress
    total, failed = progress.total, progress.failed
    store.change(name, status="finalizing", finalizing_at=_now())
    answers, _ = running.finish()
    files: Json = {}
    for kind, field, count in (("output", "output_file_id", answers), ("errors", "error_file_id", total - answers)):
        if count:
            store.describe_file(record[kind], f"{name}_{kind}.jsonl", "batch_output")
            files[field] = record[kind]
        else:
            store.data_path(record[kind]).unlink(missing_ok=True)
    counts = {"total": total, "completed": answers, "failed": failed}
    _end(store, name, end, request_counts=counts, **{f"{end}_at": _now()}, **files)


async def _watch(store: Store, record: Json, running: Running) -> None:
    """Tell how far it is, and stop it when somebody cancels it or its time is over."""
    batch, told = record["batch"], -1
    while True:
        progress = running.progress
        if progress.done != told:
            told = progress.done
            counts = {"total": progress.total, "completed": told - progress.failed, "failed": progress.failed}
            store.change(batch["id"], request_counts=counts)
        if store.cancelled_at(batch["id"]) or _now() >= batch["expires_at"]:
            running.batch.stop()
        await asyncio.sleep(_LOOK)


def _end(store: Store, name: str, status: str, **changes: Any) -> None:
    store.change(name, status=status, **changes)


def _now() -> int:
    return int(time.time())
