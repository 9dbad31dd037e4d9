"""A gateway that listens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from llm_adapter.serve.gateway import Gateway, gateway
from llm_adapter.serve.server import Server


class Listening:
    """A gateway on loopback, in a thread."""

    def __init__(self, app: Gateway, grace: int) -> None:
        config = uvicorn.Config(app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=1)
        self.app = app
        self.server = Server(config, app, grace)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.002)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.base_url = f"{self.url}/v1"

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()


@contextmanager
def listening(app: Gateway, grace: int = 0) -> Iterator[Listening]:
    server = Listening(app, grace)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listening]]:
    """Makes gateways that listen until the test ends."""
    made: list[Listening] = []

    def make(grace: int = 0, **options: Any) -> Listening:
        made.append(Listening(gateway(**options), grace))
        return made[-1]

    yield make
    for server in made:
        server.stop()
