"""Room in memory for a model that is to be loaded: what is free, who has to stop, and what is said where none is."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from llm_adapter.provider import Rejected
from llm_adapter.providers.embedded import memory
from llm_adapter.providers.embedded.fit import Need, need_of, refusal, to_stop, usual_context
from llm_adapter.providers.embedded.models import Model
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.sizes import size_text

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings

PATIENCE = 5.0  # seconds to wait for a server that answers a call
_LOOK = 0.1  # seconds between two looks
_log = logging.getLogger("llm_adapter")


class Tenant(NamedTuple):
    """A server that runs, as far as memory is concerned."""

    key: Hashable
    file: Path  # of its model
    total: int  # bytes that it takes
    weights: int
    pid: int | None  # None: it runs in this process
    last: float  # when it was used last
    answers: bool  # whether a call uses it now


class Tenants(Protocol):
    """The servers that run."""

    def tenants(self) -> list[Tenant]: ...

    def stop_idle(self, tenants: Iterable[Tenant]) -> None:
        """Stop these, but for those that a call has begun to use."""


class Demand(NamedTuple):
    """What a model takes with its context."""

    file: Path
    need: Need
    tokens: int  # of the context

    @property
    def total(self) -> int:
        return self.need.total(self.tokens)


def make_room(model: Model, settings: Settings, servers: Tenants, free_on_cards: Callable[[], int]) -> Demand:
    """Have memory free for a model; what it takes, with the context that it gets. Blocks for some seconds at most.

    The servers that were used least recently stop for it, and none that answers. Raises `SettingsError` for a model
    that does not fit at all, and `Rejected` (503) for one that does not fit while others answer.
    """
    projector = model.projector.stat().st_size if model.projector else 0
    need = need_of(model.header, model.size + projector)
    end = time.monotonic() + PATIENCE
    while True:
        tenants = servers.tenants()
        cards = free_on_cards()
        free = _free(settings, tenants, cards)
        demand = Demand(model.file, need, _context(model, settings, need, free))
        needed = demand.total - _shared(model, tenants, cards)
        idle = sorted((one for one in tenants if not one.answers), key=lambda one: one.last)
        count = 0 if free is None else to_stop(needed, free, [one.total for one in idle])
        if free is None or count == 0:
            return demand
        if count:
            servers.stop_idle(idle[:count])
            continue
        everything = free + sum(one.total for one in tenants)
        if needed > everything:
            most = model.header.trained_context or demand.tokens
            raise SettingsError(refusal(model.name, need, demand.tokens, everything, most, model.others))
        if time.monotonic() >= end:
            raise _busy(model, needed, free)
        time.sleep(_LOOK)


def _free(settings: Settings, tenants: list[Tenant], cards: int) -> int | None:
    """Bytes that a model may take; None where nobody knows. The weights of others are in pages that count as free."""
    free = memory.available()
    if free is not None:
        free = max(0, free - sum(_pages(one) for one in tenants)) + cards
    limit = settings.memory_limit
    if not isinstance(limit, int):
        return free
    left = max(0, limit - sum(one.total for one in tenants))
    return left if free is None else min(left, free)


def _pages(tenant: Tenant) -> int:
    found = None if tenant.pid is None else memory.mapped(tenant.pid)
    return tenant.weights if found is None else found


def _shared(model: Model, tenants: list[Tenant], cards: int) -> int:
    """Bytes of weights that another server of the same file has in memory already."""
    return model.size if not cards and any(one.file == model.file for one in tenants) else 0


def _context(model: Model, settings: Settings, need: Need, free: int | None) -> int:
    """The tokens of context that a model gets."""
    if isinstance(settings.num_ctx, int):
        return settings.num_ctx
    trained = model.header.trained_context
    if settings.num_ctx == "auto" and trained:
        most = min(trained, settings.num_ctx_max or trained)
        return most if free is None else need.largest_context(free, most) or min(most, usual_context(model.header))
    makers = model.options.get("num_ctx")
    if isinstance(makers, int) and makers > 0:
        return makers
    usual = usual_context(model.header)
    if trained > usual:
        _tell_once(model.name, usual, trained)
    return usual


@cache
def _tell_once(name: str, usual: int, trained: int) -> None:
    told = '%s gets a context of %d tokens; it was trained with %d: `num_ctx` sets another, or "auto" what fits'
    _log.warning(told, name, usual, trained)


def _busy(model: Model, needed: int, free: int) -> Rejected:
    return Rejected(
        f"{model.name} does not fit beside the models that are answering now: it takes {size_text(needed)}, and "
        f"{size_text(free)} are free. Try again when they are done, or run fewer models at once",
        status=503,
        code="model_overloaded",
        kind="server_error",
    )
