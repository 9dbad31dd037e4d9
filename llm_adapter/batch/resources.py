"""`client.files` and `client.batches` where the server has none: OpenAI's calls, answered from a folder.

Only files of purpose "batch" are kept; calls for others are refused as they are everywhere else.
Source: openai-python resources/files.py and resources/batches.py, v3.54.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from llm_adapter.batch.job import fingerprint
from llm_adapter.batch.lines import ENDPOINTS
from llm_adapter.batch.service import ClientMaker, ensure_running
from llm_adapter.batch.store import FINAL, Store, store_of
from llm_adapter.provider import Call, Endpoint, Flow, Json, LongWork, Raw, Rejected, Reply
from llm_adapter.translation.pages import page
from llm_adapter.translation.unavailable import unavailable, unavailable_endpoint

_DAY = 24 * 3600  # seconds: OpenAI's only completion window
_UNSET = (
    *("cancelled_at", "cancelling_at", "completed_at", "error_file_id", "errors", "expired_at", "failed_at"),
    *("finalizing_at", "in_progress_at", "output_file_id"),
)
Answer: TypeAlias = Callable[..., Reply]


def endpoint(method: str, path: str, make_client: ClientMaker) -> Endpoint | None:
    """What answers a call on files or batches. make_client: makes the async client that a batch is run with."""
    for verb, shape, answer in ANSWERS:
        found = shape.fullmatch(path)
        if verb == method and found is not None:
            return partial(_answered, answer, found.groups(), make_client)
    return unavailable(method, path)


def _answered(answer: Answer, names: tuple[str, ...], make_client: ClientMaker, call: Call) -> Flow:
    yield LongWork("Reading and writing `batch_store`", ends_by_itself=True)
    try:
        return answer(call, store_of(call.settings), make_client, *names)
    except OSError as error:
        message = f"`batch_store` cannot be read or written: {error.strerror or error}"
        raise Rejected(message, status=500, kind="server_error") from None


def create_file(call: Call, store: Store, make_client: ClientMaker) -> Json:
    if call.body.get("purpose") != "batch":
        raise unavailable_endpoint(call)
    filename, content = _uploaded(call.files)
    return store.add_file(content, filename, "batch")


def _uploaded(files: Any) -> tuple[str, bytes]:
    """Name and content of the file of a call, in the forms that the SDK hands on."""
    pairs = files.items() if isinstance(files, dict) else files or ()
    given = next((value for name, value in pairs if name == "file"), None)
    if given is None:
        raise Rejected("`file` is missing", param="file", code="missing_required_parameter")
    name, content = (given[0], given[1]) if isinstance(given, tuple) else (None, given)
    name = name or getattr(content, "name", None) or "upload"
    data = content.read() if hasattr(content, "read") else content
    return Path(str(name)).name, data.encode() if isinstance(data, str) else bytes(data)


def list_files(call: Call, store: Store, make_client: ClientMaker) -> Json:
    purpose = call.query.get("purpose")
    return _page(call, [one for one in store.records("files") if purpose in (None, one["purpose"])], 10_000)


def retrieve_file(call: Call, store: Store, make_client: ClientMaker, name: str) -> Json:
    return _file(store, name)


def delete_file(call: Call, store: Store, make_client: ClientMaker, name: str) -> Json:
    _file(store, name)
    store.remove_file(name)
    return {"id": name, "object": "file", "deleted": True}


def content(call: Call, store: Store, make_client: ClientMaker, name: str) -> Raw:
    _file(store, name)
    return Raw(store.data_path(name).read_bytes())


def create_batch(call: Call, store: Store, make_client: ClientMaker) -> Json:
    asked = call.body
    if asked.get("endpoint") not in ENDPOINTS:
        raise Rejected(f"`endpoint` has to be one of {', '.join(ENDPOINTS)}", param="endpoint")
    if asked.get("completion_window") != "24h":
        raise Rejected("`completion_window` has to be '24h'", param="completion_window")
    _file(store, str(asked.get("input_file_id")), param="input_file_id")
    batch = {
        **{"object": "batch", "endpoint": asked["endpoint"], "input_file_id": asked["input_file_id"]},
        **{"completion_window": "24h", "status": "validating", "created_at": call.created},
        **{"expires_at": call.created + _DAY, "metadata": asked.get("metadata"), **dict.fromkeys(_UNSET)},
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
    }
    made = store.add_batch(batch, fingerprint(call.settings))
    ensure_running(store, _record(store, made["id"]), call.settings, make_client)
    return made


def retrieve_batch(call: Call, store: Store, make_client: ClientMaker, name: str) -> Json:
    record = _record(store, name)
    ensure_running(store, record, call.settings, make_client)
    return _shown(store, record["batch"])


def list_batches(call: Call, store: Store, make_client: ClientMaker) -> Json:
    records = store.records("batches")
    for record in records:
        ensure_running(store, record, call.settings, make_client)
    return _page(call, [_shown(store, record["batch"]) for record in records], 20)


def cancel_batch(call: Call, store: Store, make_client: ClientMaker, name: str) -> Json:
    record = _record(store, name)
    if record["batch"]["status"] in FINAL:
        raise Rejected(f"Cannot cancel a batch with status '{record['batch']['status']}'.", status=409)
    store.cancel(name)
    ensure_running(store, record, call.settings, make_client)
    return _shown(store, record["batch"])


def _shown(store: Store, batch: Json) -> Json:
    """A batch as it stands; one that was told to end, and has not yet, is being cancelled."""
    cancelled = None if batch["status"] in FINAL else store.cancelled_at(batch["id"])
    return {**batch, "status": "cancelling", "cancelling_at": cancelled} if cancelled else batch


def _file(store: Store, name: str, param: str | None = None) -> Json:
    record = store.read(name) if name.startswith("file-") else None
    if record is None:
        raise Rejected(f"No such File object: {name}", status=400 if param else 404, param=param or "id")
    return record


def _record(store: Store, name: str) -> Json:
    record = store.read(name) if name.startswith("batch_") else None
    if record is None:
        raise Rejected(f"No batch found with id '{name}'.", status=404)
    return record


def _page(call: Call, found: list[Json], limit: int) -> Json:
    """One page, newest first unless asked otherwise."""
    ordered = sorted(found, key=lambda one: (one["created_at"], one["id"]), reverse=call.query.get("order") != "asc")
    try:
        data, more = page(ordered, call.query, limit)
    except KeyError:  # it was deleted meanwhile
        data, more = [], False
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return {"object": "list", "data": data, "has_more": more, **ends}


_NAME = r"([^/]+)"
ANSWERS: tuple[tuple[str, re.Pattern[str], Answer], ...] = tuple(
    (method, re.compile(shape), answer)
    for method, shape, answer in (
        ("POST", "/files", create_file),
        ("GET", "/files", list_files),
        ("GET", f"/files/{_NAME}", retrieve_file),
        ("DELETE", f"/files/{_NAME}", delete_file),
        ("GET", f"/files/{_NAME}/content", content),
        ("POST", "/batches", create_batch),
        ("GET", "/batches", list_batches),
        ("GET", f"/batches/{_NAME}", retrieve_batch),
        ("POST", f"/batches/{_NAME}/cancel", cancel_batch),
    )
)
