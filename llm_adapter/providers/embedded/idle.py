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

    def are_over(self, now: float) -> bool:
        """Whether nobody has used the server for as long as it is to be kept. To be asked now and then."""
        if any(not use.ended for use in self._open):
            self._since = now
        else:
            self._open.clear()
        return 0 <= self._keep_alive <= now - self._since and not self._open
