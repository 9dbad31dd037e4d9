"""The gateway as a process: an address, a key, and an end that lets running replies finish."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import openai
import uvicorn

from llm_adapter.serve.gateway import MAX_BODY, Gateway, gateway
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.hosts import is_loopback
from llm_adapter.settings.settings import Settings

_VARIABLE = "_LLM_ADAPTER_SERVE"  # what the workers are told: JSON, without a key
_METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_log = logging.getLogger("llm_adapter.serve")
_POLL = 0.05  # seconds between two looks at what is still running


@dataclass(frozen=True)
class Service:
    """What `llm-adapter serve` was asked for. Raises `SettingsError` where it cannot be used."""

    profile: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    key_variable: str | None = None
    without_key: bool = False
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    max_body: int = MAX_BODY
    grace: int = 30  # seconds
    max_retries: int = openai.DEFAULT_MAX_RETRIES
    workers: int = 1

    def key(self, environ: Mapping[str, str]) -> str | None:
        if self.key_variable is None:
            if not (self.without_key or is_loopback(self.host)):
                raise SettingsError(
                    f"{self.host} can be reached by others: name the variable that has the key with --api-key-env, "
                    "or say --no-key"
                )
            return None
        key = environ.get(self.key_variable, "").strip()
        if not key:
            raise SettingsError(f"the variable {self.key_variable} has no key in it")
        return key

    def settings(self, environ: Mapping[str, str]) -> Settings:
        """The profile's settings. An embedded model runs in a process of its own: its end is not the gateway's."""
        settings = Settings.load(environ, profile=self.profile)
        if self.workers > 1 and settings.response_store is None:
            raise SettingsError(
                "several workers need a file for responses, which the next request may ask another worker for: "
                "set `response_store`"
            )
        return settings.in_own_process()

    def gateway(self, environ: Mapping[str, str]) -> Gateway:
        hosts = self.hosts
        if self.without_key and not is_loopback(self.host):
            hosts = ("*",)  # said aloud by --no-key
        return gateway(
            settings=self.settings(environ),
            key=self.key(environ),
            allow_origins=self.origins,
            allow_hosts=hosts,
            max_body=self.max_body,
            max_retries=self.max_retries,
        )


class Server(uvicorn.Server):
    """A server that is told to end refuses what is new, and ends when what runs has finished or `grace` has passed."""

    def __init__(self, config: uvicorn.Config, app: Gateway, grace: int) -> None:
        super().__init__(config)
        self._app = app
        self._grace = grace
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: Any = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Called by a signal; the second one ends at once."""
        if self._app.relay.draining or self._loop is None:
            super().handle_exit(sig, frame)
            return
        self._app.relay.draining = True
        self._captured_signals.append(sig)  # so that the process ends by it, as if nobody had looked
        self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._draining = asyncio.ensure_future(self._end_when_idle())

    async def _end_when_idle(self) -> None:
        end = asyncio.get_running_loop().time() + self._grace
        while self._app.relay.open and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(_POLL)
        self.should_exit = True


def serve(service: Service, environ: Mapping[str, str]) -> None:
    """Answer until a signal comes."""
    options: dict[str, Any] = {
        "host": service.host,
        "port": service.port,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        # Those that are still running when the grace has passed get this long for their last event.
        "timeout_graceful_shutdown": 1,
    }
    tell()
    if service.workers == 1:
        app = service.gateway(environ)
        _log.info("answering at http://%s:%d/v1 by %r", _bracketed(service.host), service.port, app.client)
        Server(uvicorn.Config(app, **options), app, service.grace).run()
        return
    service.settings(environ), service.key(environ)  # refused here, and not in every worker
    options |= {"factory": True, "workers": service.workers, "timeout_graceful_shutdown": service.grace}
    with _told_to_workers(service):
        uvicorn.run("llm_adapter.serve.server:worker", **options)


def worker() -> Gateway:
    """The application of one of several processes."""
    tell()
    service = Service(**json.loads(os.environ[_VARIABLE]))
    return service.gateway(os.environ)


def tell() -> None:
    """Log to stderr: one line for each request, and what went wrong."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("llm_adapter").setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").addFilter(_is_worth_telling)


@contextmanager
def _told_to_workers(service: Service) -> Iterator[None]:
    folder = tempfile.mkdtemp(prefix="llm_adapter_metrics_")
    os.environ.update({_VARIABLE: json.dumps(asdict(service)), _METRICS_VARIABLE: folder})
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE), os.environ.pop(_METRICS_VARIABLE)
        shutil.rmtree(folder, ignore_errors=True)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_worth_telling(record: logging.LogRecord) -> bool:
    """Not that a reply broke off: the gateway has told why."""
    return "without completing response" not in record.getMessage()
