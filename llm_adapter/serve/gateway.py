"""The gateway as an ASGI application: OpenAI's API below /v1, and what watches over processes beside it.

app = FastAPI()
app.mount("/llm", gateway(profile="local", key=os.environ["GATEWAY_KEY"]))
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import openai
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from llm_adapter.client.clients import AsyncOpenAI
from llm_adapter.routing.connection import Connection
from llm_adapter.serve.access import Access, AccessMiddleware, access
from llm_adapter.serve.metrics import Metrics
from llm_adapter.serve.relay import Relay
from llm_adapter.serve.replies import SERVER_ERROR, error
from llm_adapter.settings.settings import Settings

_log = logging.getLogger("llm_adapter.serve")
MAX_BODY = 64 << 20  # bytes
_READY_FOR = 5.0  # seconds that an answer of /readyz holds
_READY_WITHIN = 10.0  # seconds for the server to list its models
_EXPOSED = ("x-request-id", "x-llm-adapter", "x-llm-adapter-fallback", "x-should-retry", "retry-after")


def gateway(
    profile: str | None = None,
    *,
    settings: Settings | None = None,
    client: openai.AsyncOpenAI | None = None,
    key: str | None = None,
    allow_origins: Iterable[str] = (),
    allow_hosts: Iterable[str] = (),
    max_body: int = MAX_BODY,
    max_retries: int = openai.DEFAULT_MAX_RETRIES,
) -> Gateway:
    """An ASGI application that answers OpenAI's API, below /v1, by a profile, settings or a client.

    key: what callers have to send as their API key. Without one the gateway answers only under this machine's own names
    (localhost and loopback addresses), and under `allow_hosts`; "*" there is for an application that guards it itself.
    allow_origins: the pages, such as "https://app.example", that may ask from a browser.
    max_body: the largest request, in bytes. max_retries: how often the model's server is asked again where that helps.

    A client given here is closed by who made it. Raises `SettingsError` where the configuration cannot be used.
    """
    made = client is None
    used: Any = AsyncOpenAI(profile=profile, settings=settings, max_retries=max_retries) if client is None else client
    return Gateway(used, access(key, allow_origins, allow_hosts), max_body, closes_client=made)


class Gateway(Starlette):
    """The application; `gateway` makes it."""

    def __init__(self, client: openai.AsyncOpenAI, rules: Access, max_body: int, *, closes_client: bool) -> None:
        self.client = client
        self.rules = rules
        self.metrics = Metrics()
        self.relay = Relay(client, self.metrics, max_body)
        self._closes_client = closes_client
        self._readiness = (float("-inf"), False)
        self._asking = asyncio.Lock()
        super().__init__(
            routes=[
                Route("/healthz", self._health),
                Route("/readyz", self._ready),
                Route("/metrics", self._numbers),
                Route("/v1/{path:path}", self.relay),
            ],
            middleware=[
                Middleware(AccessMiddleware, rules=self.rules),
                Middleware(
                    CORSMiddleware,
                    allow_origins=rules.origins,
                    allow_methods=["*"],
                    allow_headers=["*"],
                    expose_headers=_EXPOSED,
                ),
            ],
            exception_handlers={404: _unknown, 405: _unknown, 500: _failed},
            lifespan=self._lifespan,
        )
        self.router.redirect_slashes = False

    @asynccontextmanager
    async def _lifespan(self, app: Any) -> AsyncIterator[None]:
        await self._take_up_batches()
        yield
        if self._closes_client:
            await self.client.close()

    async def _take_up_batches(self) -> None:
        """Go on with the batches that an earlier process has left, where they are run by us."""
        connection: Connection | None = getattr(self.client, "_connection", None)
        if connection is None or not connection.has_no_batches:
            return
        try:
            await self.client.batches.list(limit=1)  # whoever lists them takes them up
        except openai.OpenAIError as error:
            _log.warning("batches of earlier processes are not taken up: %s", error)

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _ready(self, request: Request) -> Response:
        if self.relay.draining:
            return JSONResponse({"status": "shutting down"}, 503)
        async with self._asking:
            asked, is_ready = self._readiness
            if time.monotonic() - asked > _READY_FOR:
                is_ready = await self._lists_models()
                self._readiness = (time.monotonic(), is_ready)
        return JSONResponse({"status": "ready" if is_ready else "the server does not answer"}, 200 if is_ready else 503)

    async def _lists_models(self) -> bool:
        try:
            await self.client.with_options(max_retries=0, timeout=_READY_WITHIN).models.list()
        except openai.OpenAIError:
            return False
        return True

    async def _numbers(self, request: Request) -> Response:
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")


async def _unknown(request: Request, failed: Exception) -> Response:
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return error(404, f"Unknown request URL: {request.method} {path}. OpenAI's API is below /v1.", code="unknown_url")


async def _failed(request: Request, failed: Exception) -> Response:
    return error(500, "The gateway failed; its log says more.", kind=SERVER_ERROR)
