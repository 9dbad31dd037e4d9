"""`client.models`: OpenAI's `list`, `retrieve` and `delete`, and the verbs that it lacks, for servers that are Ollama.

On the official `ollama` package, imported with the first call that needs it: pull, push, create, copy, load, unload
(see `bridge`). Our own requests, on the same way: show, ps and version, of which the package drops fields or has
nothing, and the blobs of `create` (ollama-python 0.6.3). Everything is asked of the server that chat goes to, or would
if it were native: a `/v1` address is taken for the root below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
from openai._models import FinalRequestOptions

from llm_adapter.provider import Rejected
from llm_adapter.providers.ollama.capabilities import forget
from llm_adapter.providers.ollama.loading import load_body
from llm_adapter.providers.ollama.management import BLOBS, unmanaged
from llm_adapter.providers.ollama.missing import missing_model_message
from llm_adapter.transport.body import http_library

if TYPE_CHECKING:
    from llm_adapter.routing.connection import Connection

from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

import anyio.to_thread
from openai.resources import models as sdk

from llm_adapter.management.blobs import Files, Held, Sent, apieces, pieces, uploaded
from llm_adapter.management.transfers import AsyncTransfer, Line, Transfer
from llm_adapter.providers.ollama.types import Blob, ModelInfo, RunningModel, RunningModels, Version

if TYPE_CHECKING:
    import ollama

    from llm_adapter.provider import Rejected


class Managing:
    """A base class before the SDK's."""

    _client: Any

    @property
    def _connection(self) -> Connection:
        return self._client._connection  # type: ignore[no-any-return]

    def _check(self) -> None:
        """Raises NotFoundError, before anything is sent, where the server is known not to be Ollama."""
        connection = self._connection
        if connection.is_openai_itself or connection.provider.endpoint("POST", "/api/pull") is None:
            raise self._error(unmanaged(connection.provider.name))

    def _name(self, model: str) -> str:
        """The server's name for a model that is asked about; what is made, given away or deleted is named as it is."""
        return self._connection.configured.alias(model)

    def _call(self, path: str, cast_to: Any, body: Any = None) -> dict[str, Any]:
        """The arguments of a request of our own."""
        self._check()
        return {"path": path, "cast_to": cast_to, **({} if body is None else {"body": body})}

    def _load(self, model: str, keep_alive: float | str | None) -> dict[str, Any]:
        body = load_body(self._connection.resolved, self._name(model), keep_alive)
        return {name: value for name, value in body.items() if name != "stream"}

    def _preloads(self) -> list[str]:
        settings = self._connection.configured
        return [settings.model(name) for name in settings.preload]

    def _given(self, from_: str | None, **more: Any) -> dict[str, Any]:
        return {"from_": None if from_ is None else self._name(from_), **more}

    def _head(self, digest: str) -> FinalRequestOptions:
        return FinalRequestOptions(method="head", url=f"{BLOBS}{digest}")

    def _blob(self, digest: str) -> dict[str, Any]:
        """The arguments of an upload: never repeated, for it is read as it is sent."""
        from llm_adapter.management.ollama_package import patience

        options = {"timeout": patience(), "max_retries": 0, "headers": {"Content-Type": "application/octet-stream"}}
        return {"path": self._connection.url(f"{BLOBS}{digest}"), "cast_to": object, "options": options}

    def _changed(self, model: str) -> None:
        forget(model)

    @staticmethod
    def _is_absent(refusal: Rejected) -> bool:
        return bool(refusal.error["code"] == "model_not_found")

    def _failed(self, verb: str, name: str, refusal: Rejected, installed: list[str]) -> Exception:
        """The SDK's error for a transfer that went wrong after it began."""
        error = refusal.error
        error["message"] = f"{verb} of {name!r} failed: {error['message']}"
        if self._is_absent(refusal):
            error["message"] = missing_model_message(error["message"], name, installed)
        raised = self._error(refusal)
        raised.__cause__ = refusal.__cause__
        return raised

    def _error(self, refusal: Rejected) -> openai.APIError:
        """The SDK's error: by its status where that is the caller's fault, and else as it raises from a stream."""
        request = self._client._client.build_request("POST", self._connection.url("/api"))
        if refusal.error["code"] == "interrupted":
            return openai.APIConnectionError(message=str(refusal.error["message"]), request=request)
        if refusal.status >= 500:
            return openai.APIError(str(refusal.error["message"]), request, body=refusal.error)
        response = http_library(request).Response(refusal.status, json=refusal.envelope(), request=request)
        error: openai.APIError = self._client._make_status_error_from_response(response)
        return error


class Models(Managing, sdk.Models):
    """See the module. Every method raises the SDK's own errors; without a server that is Ollama, NotFoundError."""

    @cached_property
    def _ollama(self) -> ollama.Client:
        from llm_adapter.management import ollama_package

        return ollama_package.client(self._client)

    def pull(self, model: str, *, insecure: bool = False) -> Transfer:
        """Install a model: iterate the progress, or `.wait()`."""
        name = self._name(model)
        return self._transfer("pull", name, lambda: self._ollama.pull(name, insecure=insecure, stream=True))

    def push(self, model: str, *, insecure: bool = False) -> Transfer:
        """Give a model, named `namespace/name`, to its registry."""
        return self._transfer("push", model, lambda: self._ollama.push(model, insecure=insecure, stream=True))

    def create(
        self,
        model: str,
        *,
        from_: str | None = None,
        files: Files | None = None,
        adapters: Files | None = None,
        template: str | None = None,
        system: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        license: str | list[str] | None = None,  # noqa: A002
        quantize: str | None = None,
    ) -> Transfer:
        """Make a model of another one (`from_`), or of files, which are uploaded where the server lacks them."""
        said = {"template": template, "system": system, "parameters": parameters, "messages": messages}
        given = self._given(from_, **said, license=license, quantize=quantize)

        def lines() -> Iterator[Any]:
            digests: dict[str, Any] = {}
            for kind, wanted in (("files", files), ("adapters", adapters)):
                digests[kind] = yield from self._uploaded(wanted)
            yield from self._ollama.create(model, **digests, **given, stream=True)

        return self._transfer("create", model, lines)

    def copy(self, source: str, destination: str) -> None:
        """Give a model another name, too."""
        self._check()
        self._ollama.copy(self._name(source), destination)
        self._changed(destination)

    def show(self, model: str) -> ModelInfo:
        """What is known of an installed model."""
        shown: ModelInfo = self._post(**self._call("/api/show", ModelInfo, {"model": self._name(model)}))
        return shown

    def ps(self) -> list[RunningModel]:
        """The models in memory."""
        return self._get(**self._call("/api/ps", RunningModels)).models or []

    def load(self, model: str, *, keep_alive: float | str | None = None) -> None:
        """Load a model as the profile's calls need it. keep_alive: a duration, "30m", or seconds."""
        self._check()
        self._ollama.generate(**self._load(model, keep_alive))

    def unload(self, model: str) -> None:
        """Take a model out of memory."""
        self._check()
        self._ollama.generate(self._name(model), keep_alive=0)

    def preload(self) -> None:
        """Load the models that the profile names in `preload`."""
        for model in self._preloads():
            self.load(model)

    def version(self) -> str:
        """The server's version."""
        return str(self._get(**self._call("/api/version", Version)).version)

    def _transfer(self, verb: str, name: str, lines: Any) -> Transfer:
        self._check()

        def ended(refusal: Rejected | None) -> Exception | None:
            if refusal is None:
                self._changed(name)
                return None
            installed = [one.id for one in self.list()] if self._is_absent(refusal) else []
            return self._failed(verb, name, refusal, installed)

        return Transfer(f"{verb} of {name!r}", partial(_each, lines), ended)

    def _uploaded(self, files: Files | None) -> Generator[Any, None, Any]:
        steps, reply = uploaded(files), None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as stop:
                return stop.value
            reply = None
            match step:
                case Held():
                    reply = self._client.request(Blob, self._head(step.digest)).held
                case Sent():
                    self._client.post(**self._blob(step.digest), content=pieces(step.path))
                case partial():
                    reply = step()
                case _:
                    yield step


class AsyncModels(Managing, sdk.AsyncModels):
    """The same in an event loop."""

    @cached_property
    def _ollama(self) -> ollama.AsyncClient:
        from llm_adapter.management import ollama_package

        return ollama_package.async_client(self._client)

    def pull(self, model: str, *, insecure: bool = False) -> AsyncTransfer:
        """Install a model: iterate the progress, or await it."""
        name = self._name(model)
        return self._transfer("pull", name, lambda: self._ollama.pull(name, insecure=insecure, stream=True))

    def push(self, model: str, *, insecure: bool = False) -> AsyncTransfer:
        """Give a model, named `namespace/name`, to its registry."""
        return self._transfer("push", model, lambda: self._ollama.push(model, insecure=insecure, stream=True))

    def create(
        self,
        model: str,
        *,
        from_: str | None = None,
        files: Files | None = None,
        adapters: Files | None = None,
        template: str | None = None,
        system: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        license: str | list[str] | None = None,  # noqa: A002
        quantize: str | None = None,
    ) -> AsyncTransfer:
        """Make a model of another one (`from_`), or of files, which are uploaded where the server lacks them."""
        said = {"template": template, "system": system, "parameters": parameters, "messages": messages}
        given = self._given(from_, **said, license=license, quantize=quantize)

        async def lines() -> AsyncIterator[Any]:
            digests: dict[str, Any] = {}
            for kind, wanted in (("files", files), ("adapters", adapters)):
                async for line in self._uploaded(wanted, kind, digests):
                    yield line
            async for line in await self._ollama.create(model, **digests, **given, stream=True):
                yield line

        return self._transfer("create", model, lines)

    async def copy(self, source: str, destination: str) -> None:
        """Give a model another name, too."""
        self._check()
        await self._ollama.copy(self._name(source), destination)
        self._changed(destination)

    async def show(self, model: str) -> ModelInfo:
        """What is known of an installed model."""
        shown: ModelInfo = await self._post(**self._call("/api/show", ModelInfo, {"model": self._name(model)}))
        return shown

    async def ps(self) -> list[RunningModel]:
        """The models in memory."""
        return (await self._get(**self._call("/api/ps", RunningModels))).models or []

    async def load(self, model: str, *, keep_alive: float | str | None = None) -> None:
        """Load a model as the profile's calls need it. keep_alive: a duration, "30m", or seconds."""
        self._check()
        await self._ollama.generate(**self._load(model, keep_alive))

    async def unload(self, model: str) -> None:
        """Take a model out of memory."""
        self._check()
        await self._ollama.generate(self._name(model), keep_alive=0)

    async def preload(self) -> None:
        """Load the models that the profile names in `preload`."""
        for model in self._preloads():
            await self.load(model)

    async def version(self) -> str:
        """The server's version."""
        return str((await self._get(**self._call("/api/version", Version))).version)

    def _transfer(self, verb: str, name: str, lines: Any) -> AsyncTransfer:
        self._check()

        async def ended(refusal: Rejected | None) -> Exception | None:
            if refusal is None:
                self._changed(name)
                return None
            installed = [one.id async for one in self.list()] if self._is_absent(refusal) else []
            return self._failed(verb, name, refusal, installed)

        return AsyncTransfer(f"{verb} of {name!r}", partial(_aeach, lines), ended)

    async def _uploaded(self, files: Files | None, kind: str, digests: dict[str, Any]) -> AsyncIterator[Any]:
        steps, reply = uploaded(files), None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as stop:
                digests[kind] = stop.value
                return
            reply = None
            match step:
                case Held():
                    reply = (await self._client.request(Blob, self._head(step.digest))).held
                case Sent():
                    await self._client.post(**self._blob(step.digest), content=apieces(step.path))
                case partial():
                    reply = await anyio.to_thread.run_sync(step)
                case _:
                    yield step


def _each(lines: Any) -> Iterator[Line]:
    """The lines as dictionaries; closed, it closes what they come from."""
    source = lines()
    try:
        for line in source:
            yield dict(line)
    finally:
        source.close()


async def _aeach(lines: Any) -> AsyncIterator[Line]:
    source = lines()
    if not hasattr(source, "__aiter__"):
        source = await source  # the package's: a coroutine that gives an iterator
    try:
        async for line in source:
            yield dict(line)
    finally:
        await source.aclose()
