"""`extra_body={"privacy": "local"}`: one call that must not go to a public host, as `local_only` says it of all calls.

No server but its own is asked, and the word is taken off: no server gets it. Any other value is an argument that nobody
knows.
"""

from __future__ import annotations

from dataclasses import replace

from llm_adapter.provider import Json, Rejected
from llm_adapter.routing.connection import Connection
from llm_adapter.settings.hosts import hostname, is_private
from llm_adapter.settings.settings import CALL_IS_PRIVATE

_NAME, _VALUE = "privacy", "local"
_PLACE = "for a private call"  # among the siblings of a connection


def asks_for_privacy(body: Json) -> bool:
    return body.get(_NAME) == _VALUE


def without_privacy(body: Json) -> Json:
    return {name: value for name, value in body.items() if name != _NAME}


def private(connection: Connection) -> Connection:
    """The destination, for one call that must not leave private hosts."""
    if connection.resolved.local_only:
        return connection
    if _PLACE not in connection.siblings:
        changes = {"local_only": True, "image_urls": "refuse"}
        resolved = connection.resolved.model_copy(update=changes).with_origins({"local_only": CALL_IS_PRIVATE})
        connection.siblings[_PLACE] = replace(connection, resolved=resolved, siblings={})
    return connection.siblings[_PLACE]


def refusal_of_host(connection: Connection) -> Rejected | None:
    """The refusal of a private call to a public host; None for all other calls."""
    if not connection.resolved.local_only or is_private(connection.address):
        return None
    return Rejected(
        f"{connection.resolved.why_local}, and the host {hostname(connection.address)!r} is not known to be private: "
        "nothing was sent there; make the call with a profile on a private host",
        status=403,
        code="local_only",
        kind="permission_error",
    )
