"""What the gateway itself answers, in the form of OpenAI's errors."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.responses import JSONResponse

REQUEST_ERROR, SERVER_ERROR = "invalid_request_error", "server_error"


def error_body(message: str, kind: str = REQUEST_ERROR, code: str | None = None) -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def error(
    status: int,
    message: str,
    *,
    kind: str = REQUEST_ERROR,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    return JSONResponse(error_body(message, kind, code), status, headers)


def error_event(message: str) -> bytes:
    """The end of a stream that broke off: the SDKs raise it, and no `[DONE]` follows."""
    return b"data: " + json.dumps(error_body(message, SERVER_ERROR)).encode() + b"\n\n"
