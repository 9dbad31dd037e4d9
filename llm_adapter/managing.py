"""What both colours of `client.models` share: names, the form of each request, and errors. No IO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
from openai._models import FinalRequestOptions

from llm_adapter.provider import Rejected
from llm_adapter.providers.ollama.capabilities import forget
from llm_adapter.providers.ollama.management import BLOBS, unmanaged
from llm_adapter.providers.ollama.missing import absent
from llm_adapter.providers.ollama.warming import load_body
from llm_adapter.sending import family

if TYPE_CHECKING:
    from llm_adapter.connection import Connection


class Managing:
    """A base class before the SDK's."""

    _client: Any

    @property
    def _connection(self) -> Connection:
        return self._client._connection  # type: ignore[no-any-return]

    def _check(self) -> None:
        """Raises NotFoundError, before anything is sent, where the server is known not to be Ollama."""
        connection = self._connection
        if connection.plain or connection.provider.endpoint("POST", "/api/pull") is None:
            raise self._error(unmanaged(connection.provider.name))

    def _name(self, model: str) -> str:
        """The server's name for a model that is asked about; what is made, given away or deleted is named as it is."""
        return self._connection.settings.alias(model)

    def _call(self, path: str, cast_to: Any, body: Any = None) -> dict[str, Any]:
        """The arguments of a request of our own."""
        self._check()
        return {"path": path, "cast_to": cast_to, **({} if body is None else {"body": body})}

    def _load(self, model: str, keep_alive: float | str | None) -> dict[str, Any]:
        body = load_body(self._connection.effective, self._name(model), keep_alive)
        return {name: value for name, value in body.items() if name != "stream"}

    def _preloads(self) -> list[str]:
        settings = self._connection.settings
        return [settings.model(name) for name in settings.preload]

    def _given(self, from_: str | None, **more: Any) -> dict[str, Any]:
        return {"from_": None if from_ is None else self._name(from_), **more}

    def _head(self, digest: str) -> FinalRequestOptions:
        return FinalRequestOptions(method="head", url=f"{BLOBS}{digest}")

    def _blob(self, digest: str) -> dict[str, Any]:
        """The arguments of an upload: never repeated, for it is read as it is sent."""
        from llm_adapter.bridge import patience

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
            error["message"] = absent(error["message"], name, installed)
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
        response = family(request).Response(refusal.status, json=refusal.envelope(), request=request)
        error: openai.APIError = self._client._make_status_error_from_response(response)
        return error
