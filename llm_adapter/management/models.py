"""`client.models`: OpenAI's `list`, `retrieve` and `delete`, and the verbs that it lacks, for servers that are Ollama.

The official `ollama` package (see `ollama_package`) does pull, push, copy, load and unload; it is imported with the
first call that needs it. Requests of our own, through the same client, do create, show, ps and version, of which the
package drops fields or has nothing, and the blobs of `create` (ollama-python 0.6.3). Everything is asked of the server
that chat goes to, or would if it were native: a `/v1` address is taken for the root below it.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

import openai
from openai._models import FinalRequestOptions
from openai.resources import models as sdk

from llm_adapter.management.blobs import CheckBlob, Files, SendBlob, async_file_pieces, file_pieces, upload_steps
from llm_adapter.management.modelfile import Modelfile, ModelfileError
from llm_adapter.management.transfers import AsyncTransfer, Line, Transfer
from llm_adapter.provider import Json, Rejected
from llm_adapter.providers.ollama.capabilities import forget
from llm_adapter.providers.ollama.loading import load_body
from llm_adapter.providers.ollama.management import BLOBS, unmanaged
from llm_adapter.providers.ollama.missing import missing_model_message
from llm_adapter.providers.ollama.types import Blob, ModelInfo, PullProgress, RunningModel, RunningModels, Version
from llm_adapter.transport.body import http_library
from llm_adapter.transport.raw import UNREAD
from llm_adapter.transport.time_limit import awithin

if TYPE_CHECKING:
    import ollama

    from llm_adapter.routing.connection import Connection

_UPLOADS = ("files", "adapters", "draft_files")
LastT = TypeVar("LastT")  # the last progress; of the async class, what is awaited for it
TransferT = TypeVar("TransferT")  # all progress, in the same way


class _ModelsBase(Generic[LastT, TransferT]):
    """What the sync and the async class share; a base class before the SDK's.

    `pull`, `push` and `create` are those of the `ollama` package, with its arguments in its order (_client.py, 0.6.3):
    they run to their end and return the last progress, and with `stream=True` return the progress to iterate.
    """

    _client: Any
    _ollama: Any  # the package's client

    @overload
    def pull(self, model: str, *, insecure: bool = False, stream: Literal[False] = False) -> LastT: ...

    @overload
    def pull(self, model: str, *, insecure: bool = False, stream: Literal[True]) -> TransferT: ...

    @overload
    def pull(self, model: str, *, insecure: bool = False, stream: bool) -> LastT | TransferT: ...

    def pull(self, model: str, *, insecure: bool = False, stream: bool = False) -> LastT | TransferT:
        """Install a model."""
        name = self._name(model)
        return self._transfer("pull", name, lambda: self._ollama.pull(name, insecure=insecure, stream=True), stream)

    @overload
    def push(self, model: str, *, insecure: bool = False, stream: Literal[False] = False) -> LastT: ...

    @overload
    def push(self, model: str, *, insecure: bool = False, stream: Literal[True]) -> TransferT: ...

    @overload
    def push(self, model: str, *, insecure: bool = False, stream: bool) -> LastT | TransferT: ...

    def push(self, model: str, *, insecure: bool = False, stream: bool = False) -> LastT | TransferT:
        """Give a model, named `namespace/name`, to its registry."""
        return self._transfer("push", model, lambda: self._ollama.push(model, insecure=insecure, stream=True), stream)

    @overload
    def create(
        self,
        model: str,
        quantize: str | None = None,
        from_: str | None = None,
        files: Files | None = None,
        adapters: Files | None = None,
        template: str | None = None,
        license: str | list[str] | None = None,
        system: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        *,
        modelfile: str | os.PathLike[str] | None = None,
        stream: Literal[False] = False,
    ) -> LastT: ...

    @overload
    def create(
        self,
        model: str,
        quantize: str | None = None,
        from_: str | None = None,
        files: Files | None = None,
        adapters: Files | None = None,
        template: str | None = None,
        license: str | list[str] | None = None,
        system: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        *,
        modelfile: str | os.PathLike[str] | None = None,
        stream: Literal[True],
    ) -> TransferT: ...

    @overload
    def create(
        self,
        model: str,
        quantize: str | None = None,
        from_: str | None = None,
        files: Files | None = None,
        adapters: Files | None = None,
        template: str | None = None,
        license: str | list[str] | None = None,
        system: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        *,
        modelfile: str | os.PathLike[str] | None = None,
        stream: bool,
    ) -> LastT | TransferT: ...

    def create(
        self,
        model: str,
        quantize: str | None = None,
        from_: str | None = None,
        files: Files | None = None,
        adapters: Files | None = None,
        template: str | None = None,
        license: str | list[str] | None = None,  # noqa: A002
        system: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        *,
        modelfile: str | os.PathLike[str] | None = None,
        stream: bool = False,
    ) -> LastT | TransferT:
        """Make a model of another one (`from_`), or of files, which are uploaded where the server lacks them.

        modelfile: the text of a Modelfile, or the path of one. What it says may not be given as an argument besides.
        """
        given: dict[str, Any] = {
            "from_": from_,
            "files": files,
            "adapters": adapters,
            "template": template,
            "system": system,
            "parameters": parameters,
            "messages": messages,
            "license": license,
            "quantize": quantize,
        }
        body = _create_arguments(given, modelfile)
        if body.get("from_") is not None:
            body["from"] = self._name(body.pop("from_"))
        uploads = {name: body.pop(name) for name in _UPLOADS if name in body}
        lines = partial(self._create_lines, uploads, {"model": model, **body, "stream": True})
        return self._transfer("create", model, lines, stream)

    def _create_lines(self, uploads: Mapping[str, Files], body: Json) -> Any:
        """The lines of progress: of the files that are uploaded first, then of the server."""
        raise NotImplementedError

    def _transfer(self, verb: str, name: str, lines: Any, stream: bool) -> LastT | TransferT:
        raise NotImplementedError

    @property
    def _connection(self) -> Connection:
        return self._client._connection  # type: ignore[no-any-return]

    def _check(self) -> None:
        """Raises NotFoundError, before anything is sent, where the server is known not to be Ollama."""
        connection = self._connection
        if connection.is_openai_itself or connection.provider.endpoint("POST", "/api/pull") is None:
            raise self._sdk_error(unmanaged(connection.provider.name))

    def _name(self, model: str) -> str:
        """The server's name of an installed model. Names of what is made, pushed or deleted are used as they are."""
        return self._connection.configured.alias(model)

    def _request_arguments(self, path: str, cast_to: Any, body: Any = None) -> dict[str, Any]:
        """The arguments of a request of our own."""
        self._check()
        return {"path": path, "cast_to": cast_to, **({} if body is None else {"body": body})}

    def _create_request(self, body: Json) -> dict[str, Any]:
        """The arguments of a request of our own, unread: the package drops `renderer`, `parser` and `requires`."""
        from llm_adapter.management.ollama_package import no_read_timeout

        options = {"headers": UNREAD, "timeout": no_read_timeout()}
        return {**self._request_arguments("/api/create", object, body), "options": options}

    def _load_arguments(self, model: str, keep_alive: float | str | None) -> dict[str, Any]:
        self._check()
        body = load_body(self._connection.resolved, self._name(model), keep_alive)
        return {name: value for name, value in body.items() if name != "stream"}

    def _names_to_preload(self) -> list[str]:
        settings = self._connection.configured
        return [settings.model(name) for name in settings.preload]

    def _blob_check(self, digest: str) -> FinalRequestOptions:
        return FinalRequestOptions(method="head", url=f"{BLOBS}{digest}")

    def _blob_upload(self, digest: str) -> dict[str, Any]:
        """The arguments of an upload: never repeated, for it is read as it is sent."""
        from llm_adapter.management.ollama_package import no_read_timeout

        headers = {"Content-Type": "application/octet-stream"}
        options = {"timeout": no_read_timeout(), "max_retries": 0, "headers": headers}
        return {"path": self._connection.url(f"{BLOBS}{digest}"), "cast_to": object, "options": options}

    def _transfer_error(self, verb: str, name: str, refusal: Rejected, installed: list[str]) -> Exception:
        """The SDK's error for a transfer that went wrong after it began."""
        error = refusal.error
        error["message"] = f"{verb} of {name!r} failed: {error['message']}"
        if _is_missing_model(refusal):
            error["message"] = missing_model_message(error["message"], name, installed)
        raised = self._sdk_error(refusal)
        raised.__cause__ = refusal.__cause__
        return raised

    def _sdk_error(self, refusal: Rejected) -> openai.APIError:
        """The SDK's error: by its status where that is the caller's fault, and else as it raises from a stream."""
        request = self._client._client.build_request("POST", self._connection.url("/api"))
        if refusal.error["code"] == "interrupted":
            return openai.APIConnectionError(message=str(refusal.error["message"]), request=request)
        if refusal.status >= 500:
            return openai.APIError(str(refusal.error["message"]), request, body=refusal.error)
        response = http_library(request).Response(refusal.status, json=refusal.envelope(), request=request)
        error: openai.APIError = self._client._make_status_error_from_response(response)
        return error


class Models(_ModelsBase[PullProgress, Transfer], sdk.Models):
    """See the module. Every method raises the SDK's own errors; without a server that is Ollama, NotFoundError."""

    @cached_property
    def _ollama(self) -> ollama.Client:
        from llm_adapter.management import ollama_package

        return ollama_package.client(self._client)

    def copy(self, source: str, destination: str) -> None:
        """Give a model another name, too."""
        self._check()
        self._ollama.copy(self._name(source), destination)
        forget(destination)

    def show(self, model: str) -> ModelInfo:
        """What is known of an installed model."""
        body = {"model": self._name(model)}
        info: ModelInfo = self._post(**self._request_arguments("/api/show", ModelInfo, body))
        return info

    def ps(self) -> list[RunningModel]:
        """The models in memory."""
        return self._get(**self._request_arguments("/api/ps", RunningModels)).models or []

    def load(self, model: str, *, keep_alive: float | str | None = None) -> None:
        """Load a model as the profile's calls need it. keep_alive: a duration, "30m", or seconds."""
        self._ollama.generate(**self._load_arguments(model, keep_alive))

    def unload(self, model: str) -> None:
        """Take a model out of memory."""
        self._check()
        self._ollama.generate(self._name(model), keep_alive=0)

    def preload(self) -> None:
        """Load the models that the profile names in `preload`."""
        for model in self._names_to_preload():
            self.load(model)

    def version(self) -> str:
        """The server's version."""
        return str(self._get(**self._request_arguments("/api/version", Version)).version)

    def _create_lines(self, uploads: Mapping[str, Files], body: Json) -> Generator[Any, None, None]:
        digests: dict[str, Any] = {}
        for field, files in uploads.items():
            digests[field] = yield from self._upload(files)
        with closing(self._post(**self._create_request({**body, **digests}))) as reply:
            for line in reply.iter_lines():
                yield json.loads(line)

    def _transfer(self, verb: str, name: str, lines: Any, stream: bool) -> PullProgress | Transfer:
        self._check()

        def finish(refusal: Rejected | None) -> Exception | None:
            if refusal is None:
                forget(name)
                return None
            installed = [one.id for one in self.list()] if _is_missing_model(refusal) else []
            return self._transfer_error(verb, name, refusal, installed)

        transfer = Transfer(f"{verb} of {name!r}", partial(_lines_as_dictionaries, lines), finish)
        return transfer if stream else transfer.wait()

    def _upload(self, files: Files) -> Generator[Any, None, Any]:
        """Yields lines of progress; returns the digests of the files."""
        steps, reply = upload_steps(files), None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as stop:
                return stop.value
            reply = None
            match step:
                case CheckBlob():
                    reply = self._client.request(Blob, self._blob_check(step.digest)).held
                case SendBlob():
                    self._client.post(**self._blob_upload(step.digest), content=file_pieces(step.path))
                case partial():
                    reply = step()
                case _:
                    yield step


class AsyncModels(_ModelsBase[Coroutine[Any, Any, PullProgress], Coroutine[Any, Any, AsyncTransfer]], sdk.AsyncModels):
    """The same in an event loop."""

    @cached_property
    def _ollama(self) -> ollama.AsyncClient:
        from llm_adapter.management import ollama_package

        return ollama_package.async_client(self._client)

    async def copy(self, source: str, destination: str) -> None:
        """Give a model another name, too."""
        self._check()
        await self._ollama.copy(self._name(source), destination)
        forget(destination)

    async def show(self, model: str) -> ModelInfo:
        """What is known of an installed model."""
        body = {"model": self._name(model)}
        info: ModelInfo = await self._post(**self._request_arguments("/api/show", ModelInfo, body))
        return info

    async def ps(self) -> list[RunningModel]:
        """The models in memory."""
        return (await self._get(**self._request_arguments("/api/ps", RunningModels))).models or []

    async def load(self, model: str, *, keep_alive: float | str | None = None) -> None:
        """Load a model as the profile's calls need it. keep_alive: a duration, "30m", or seconds."""
        await self._ollama.generate(**self._load_arguments(model, keep_alive))

    async def unload(self, model: str) -> None:
        """Take a model out of memory."""
        self._check()
        await self._ollama.generate(self._name(model), keep_alive=0)

    async def preload(self) -> None:
        """Load the models that the profile names in `preload`."""
        for model in self._names_to_preload():
            await self.load(model)

    async def version(self) -> str:
        """The server's version."""
        return str((await self._get(**self._request_arguments("/api/version", Version))).version)

    async def _create_lines(self, uploads: Mapping[str, Files], body: Json) -> AsyncGenerator[Any, None]:
        digests: dict[str, Any] = {}
        for field, files in uploads.items():
            async for line in self._upload(files, field, digests):
                yield line
        reply: Any = await self._post(**self._create_request({**body, **digests}))
        try:
            async for line in reply.iter_lines():
                yield json.loads(line)
        finally:
            await reply.close()

    async def _transfer(self, verb: str, name: str, lines: Any, stream: bool) -> Any:
        self._check()

        async def finish(refusal: Rejected | None) -> Exception | None:
            if refusal is None:
                forget(name)
                return None
            installed = [one.id async for one in self.list()] if _is_missing_model(refusal) else []
            return self._transfer_error(verb, name, refusal, installed)

        transfer = AsyncTransfer(f"{verb} of {name!r}", partial(_async_lines_as_dictionaries, lines), finish)
        return transfer if stream else await transfer.wait()

    async def _upload(self, files: Files, field: str, digests: dict[str, Any]) -> AsyncIterator[Any]:
        """Yields lines of progress; the digests of the files are put into `digests`, for it can return nothing."""
        steps, reply = upload_steps(files), None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as stop:
                digests[field] = stop.value
                return
            reply = None
            match step:
                case CheckBlob():
                    reply = (await self._client.request(Blob, self._blob_check(step.digest))).held
                case SendBlob():
                    await self._client.post(**self._blob_upload(step.digest), content=async_file_pieces(step.path))
                case partial():
                    reply = await awithin(None, step)
                case _:
                    yield step


def _create_arguments(given: Mapping[str, Any], modelfile: str | os.PathLike[str] | None) -> dict[str, Any]:
    """The arguments of `create` and of its Modelfile. Raises ModelfileError for one that both have."""
    found = {name: value for name, value in given.items() if value is not None}
    if modelfile is None:
        return found
    told = Modelfile.of(modelfile).arguments()
    if twice := sorted(name.rstrip("_") for name in found.keys() & told.keys()):
        raise ModelfileError(
            f"{', '.join(f'`{name}`' for name in twice)}: given, and in the Modelfile, too; give it once"
        )
    return {**told, **found}


def _is_missing_model(refusal: Rejected) -> bool:
    return bool(refusal.error["code"] == "model_not_found")


def _lines_as_dictionaries(lines: Any) -> Iterator[Line]:
    """The lines of `lines()`; closed, it closes what they come from."""
    source = lines()
    try:
        for line in source:
            yield dict(line)
    finally:
        source.close()


async def _async_lines_as_dictionaries(lines: Any) -> AsyncIterator[Line]:
    source = lines()
    if not hasattr(source, "__aiter__"):
        source = await source  # the package's: a coroutine that gives an iterator
    try:
        async for line in source:
            yield dict(line)
    finally:
        await source.aclose()
