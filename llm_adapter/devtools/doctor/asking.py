"""One question to a server, over the SDK's own HTTP library and with the client's rule about proxies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import openai

from llm_adapter.devtools.doctor.facts import Answer
from llm_adapter.devtools.reporting.failures import first_cause
from llm_adapter.routing.connection import Connection
from llm_adapter.routing.proxies import http_client

SECONDS = 3.0  # these are all cheap questions; none waits for a model
_TEXT = 300


class Asker:
    """Asks with a client of its own. Follows no redirect: what is behind it is not what was configured."""

    def __init__(self, connection: Connection, key: str | None) -> None:
        self._client: Any = http_client(connection, asynchronous=False) or openai.DefaultHttpxClient()
        self._headers = {"Accept": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self._ask("GET", url, None, headers)

    def post(self, url: str, body: Any) -> Answer:
        return self._ask("POST", url, body, None)

    def _ask(self, method: str, url: str, body: Any, headers: Mapping[str, str] | None) -> Answer:
        try:
            response = self._client.request(
                method,
                url,
                json=body,
                headers={**self._headers, **(headers or {})},
                timeout=SECONDS,
                follow_redirects=False,
            )
        except Exception as error:  # of either HTTP library, or of the URL
            return Answer(url, error=f"{type(error).__name__}: {first_cause(error)}")
        return Answer(
            url, response.status_code, _json(response.content), response.text[:_TEXT], dict(response.headers.items())
        )

    def close(self) -> None:
        self._client.close()


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
