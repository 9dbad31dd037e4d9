"""A batch over a Ray cluster: each actor has a client of the profile, and the driver records the results.

Ray Data hands the requests out; the way of each of them is that of a batch on one machine. Keys are not sent to the
actors: `api_key_env` names a variable that their machines have.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from llm_adapter.batch.job import Running
from llm_adapter.batch.lines import Line
from llm_adapter.batch.running import Requests, StoppedError
from llm_adapter.settings.errors import SettingsError

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings

_AT_ONCE = 32  # requests that an actor gets at once
_SECRETS = frozenset({"api_key", "headers"})


def without_secrets(settings: Settings) -> dict[str, Any]:
    """The fields that an actor's client is made with."""
    fields = settings.model_fields_set - _SECRETS
    return {name: getattr(settings, name) for name in fields}


class Actor:
    """Asks requests on one machine of the cluster. Ray makes it there."""

    def __init__(self, fields: dict[str, Any], patience: float, make_client: Any) -> None:
        self._fields = fields
        self._patience = patience
        self._make_client = make_client

    def __call__(self, rows: dict[str, Any]) -> dict[str, list[str]]:
        lines = [Line(**json.loads(text)) for text in rows["item"]]
        return {"item": asyncio.run(self._answers(lines))}

    async def _answers(self, lines: list[Line]) -> list[str]:
        async with self._make_client(self._fields) as client:
            requests = Requests(client, self._patience, _say_nothing)
            answers = await asyncio.gather(*map(requests.answer, lines))
        return [json.dumps([line.number, *answer]) for line, answer in zip(lines, answers, strict=True)]


def run_on_cluster(
    running: Running, settings: Settings, make_client: Any, *, actors: int, cpus: float, patience: float
) -> None:
    """Ask what has no result yet. make_client: makes an async client of the fields of settings, on an actor.

    cpus: of each actor; a fraction leaves room for Ray's own reader. Raises `StoppedError`.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise SettingsError("--engine ray needs the extra `ray`: pip install 'llm_adapter[ray]'") from error
    asked = {line.number: (line, name) for line, name in running.batch.pending()}
    if not asked:
        return
    ray.data.DataContext.get_current().enable_progress_bars = False
    texts = [json.dumps(_fields_of(line)) for line, _ in asked.values()]
    answered = ray.data.from_items(texts, override_num_blocks=_blocks(len(texts), actors)).map_batches(
        Actor,
        fn_constructor_args=(without_secrets(settings), patience, make_client),
        compute=ray.data.ActorPoolStrategy(size=actors),
        batch_size=_AT_ONCE,
        num_cpus=cpus,
    )
    try:
        for row in answered.iter_rows():
            number, status, body, request_id = json.loads(row["item"])
            running.batch.record(*asked[number], status, body, request_id)
    except ray.exceptions.RayTaskError as error:
        raise StoppedError(str(error.cause)) from error


def _say_nothing(waiting: str) -> None:
    pass


def _fields_of(line: Line) -> dict[str, Any]:
    return {"number": line.number, "custom_id": line.custom_id, "url": line.url, "body": line.body}


def _blocks(count: int, actors: int) -> int:
    """Blocks of the dataset: each actor has work, and results come before all is done."""
    return max(min(count, actors), count // _AT_ONCE)
