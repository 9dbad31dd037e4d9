"""`client.models`: OpenAI's `list`, `retrieve` and `delete`, and the verbs that it lacks, for servers that are Ollama.

On the official `ollama` package, imported with the first call that needs it: pull, push, create, copy, load, unload
(see `bridge`). Our own requests, on the same way: show, ps and version, of which the package drops fields or has
nothing, and the blobs of `create` (ollama-python 0.6.3). Everything is asked of the server that chat goes to, or would
if it were native: a `/v1` address is taken for the root below it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from openai.resources import models as sdk

from llm_adapter.blobs import Files, Held, Sent, apieces, pieces, uploaded
from llm_adapter.management_types import Blob, ModelInfo, RunningModel, RunningModels, Version
from llm_adapter.managing import Managing
from llm_adapter.transfers import AsyncTransfer, Line, Transfer

if TYPE_CHECKING:
    import ollama

    from llm_adapter.provider import Rejected


class Models(Managing, sdk.Models):
    """See the module. Every method raises the SDK's own errors; without a server that is Ollama, NotFoundError."""

    @cached_property
    def _ollama(self) -> ollama.Client:
        from llm_adapter import bridge

        return bridge.client(self._client)

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
        from llm_adapter import bridge

        return bridge.async_client(self._client)

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
