"""One call on a client by method and path, whose reply is not made into the SDK's objects.

For what hands replies on as they are: a gateway, batches, the bridge to the `ollama` package. A call goes the way
of all calls of the client: translated, with its keys, retries, timeouts and slots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import openai
from openai._models import FinalRequestOptions

# Asks the SDK for a response that is not read yet (openai-python _constants.py RAW_RESPONSE_HEADER, v3.52.0).
UNREAD = {"X-Stainless-Raw-Response": "stream"}


async def raw(
    client: openai.AsyncOpenAI,
    method: str,
    path: str,
    *,
    body: Any = None,
    content: bytes | None = None,
    files: Sequence[tuple[str, Any]] | None = None,
    query: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Any:
    """The reply of `method path`, such as `POST /chat/completions`, as the SDK's AsyncAPIResponse, still unread.

    body: the arguments, JSON values. content: the bytes of any other body; they are not translated, and `headers` has
    to name their content-type. files: those of a form whose fields `body` has: name, and filename, bytes, type; not
    None makes a form of it. Whoever calls closes the reply. Raises what the SDK's own calls raise.
    """
    # The options are those that the SDK makes of its own arguments; constructed, for nothing has to be checked again.
    # The SDK adds the boundary of a form (openai-python _base_client.py _build_request, v3.54.0).
    form = {} if files is None else {"Content-Type": "multipart/form-data"}
    options = FinalRequestOptions.construct(
        method=method.lower(), url=path, headers={**UNREAD, **(headers or {}), **form}, params=dict(query or {})
    )
    if files is not None:
        options.files = list(files)
    if content is not None:
        options.content = content
    elif body is not None:
        options.json_data = body
    return await client.request(object, options)
