"""When a server is stopped: some time after its last call, and never within one."""

from __future__ import annotations

from weakref import WeakSet

from llm_adapter.provider import ServerUse
from llm_adapter.settings.durations import seconds


class ServerUses:
    """The calls that use one server, and since when there has been none. now: seconds of a steady clock."""

    def __init__(self) -> None:
        # A call whose reply is neither read nor closed ends when it is collected.
        self._open: WeakSet[ServerUse] = WeakSet()
        self._since = self._keep_alive = 0.0

    def add(self, use: ServerUse | None, keep_alive: str | float | None, now: float) -> None:
        """Note a call. keep_alive: its profile's, which holds until another call comes, as on Ollama."""
        self._since, self._keep_alive = now, seconds(keep_alive)
        if use is not None:
            self._open.add(use)

    def join(self, others: ServerUses | None) -> None:
        """Take on the calls that waited for the server."""
        if others is not None and others._since >= self._since:
            self._since, self._keep_alive = others._since, others._keep_alive
            self._open |= others._open

    @property
    def last(self) -> float:
        """When a call has used it last, as far as somebody has looked."""
        return self._since

    def are_under_way(self, now: float) -> bool:
        """Whether a call uses the server."""
        if any(not use.ended for use in self._open):
            self._since = now
        else:
            self._open.clear()
        return bool(self._open)

    def are_over(self, now: float) -> bool:
        """Whether nobody has used the server for as long as it is to be kept. To be asked now and then."""
        self.are_under_way(now)
        return 0 <= self._keep_alive <= now - self._since and not self._open
