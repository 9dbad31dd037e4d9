"""The SDK's errors go through pickle, as worker pools and task queues need it, and their keys stay behind.

Clients do not: neither do the SDK's, whose error names a lock in them.

The SDK's errors have keyword arguments of their own, so what pickle writes of them cannot be read again; and it writes
the request, with the key in a header. Source: openai-python _exceptions.py, v3.52.0.
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterator
from typing import Any

import openai

from llm_adapter.routing.connection import credential_names
from llm_adapter.transport.request_checks import is_harmless


class OfThisProcess:
    """What cannot leave the process: `copy.copy` takes it along as it is, pickle and `copy.deepcopy` are refused.

    A subclass that says itself how it is pickled is, as with the SDK's.
    """

    def __copy__(self) -> Any:
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        return made

    def __getstate__(self) -> Any:
        raise TypeError(
            f"a client cannot be pickled or deep-copied: {type(self).__name__} has connections, locks and keys of this "
            "process. Make one where it is used; copy() and with_options() give another one of the same destination"
        )


def register() -> None:
    """Teach pickle and copy the SDK's errors, where nobody else did."""
    for kind in _kinds(openai.OpenAIError):
        if kind.__module__.partition(".")[0] == "openai" and kind not in copyreg.dispatch_table:
            copyreg.pickle(kind, _reduced)


def _kinds(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    for below in kind.__subclasses__():
        yield below
        yield from _kinds(below)


def _reduced(error: BaseException) -> tuple[Any, ...]:
    state = dict(vars(error))
    request = state.get("request")
    if request is not None:
        state["request"] = _request(request)
    if state.get("response") is not None:
        state["response"] = _response(state["response"], state.get("request"))
    return _restored, (type(error), error.args, state)


def _restored(kind: type[BaseException], arguments: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    vars(error).update(state)
    return error


def _request(request: Any) -> Any:
    """The request without credentials. Of the same HTTP library: there are two."""
    url = request.url.copy_with(userinfo=b"")
    for name in credential_names(url.params):
        url = url.copy_remove_param(name)
    # httpx keeps the bytes of a body that is no stream in a private field alone: `content` raises for the others.
    content = getattr(request, "_content", b"")
    headers = [(name, value) for name, value in request.headers.multi_items() if is_harmless(name)]
    return type(request)(request.method, url, headers=headers, content=content)


_OF_THE_BODY = ("content-encoding", "transfer-encoding", "content-length")  # it is decoded by now


def _response(response: Any, request: Any) -> Any:
    content = getattr(response, "_content", b"")  # of one that was not read there is none
    found = response.headers.multi_items()
    left_out = {*credential_names(response.headers), *_OF_THE_BODY}
    headers = [(name, value) for name, value in found if name.lower() not in left_out]
    return type(response)(response.status_code, headers=headers, content=content, request=request)
