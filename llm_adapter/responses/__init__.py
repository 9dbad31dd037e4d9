"""The Responses API, made of any backend's chat completions and a store of what was said.

POST /responses is translated into POST /chat/completions, the backend's own chat endpoint runs, and what it answers is
told as a response: so tools, structured output and reasoning are done once, in chat. Retrieval, deletion, input items
and conversations are answered here, from the store, with no request at all.

    endpoint("POST", "/responses", chat)     -> an Endpoint, or None for a path that is not of this API
"""

from __future__ import annotations

from llm_adapter.provider import Call, Endpoint, Flow

ROOTS = ("/responses", "/conversations")


def serves(path: str) -> bool:
    """Whether a path is of this API."""
    return path.startswith(ROOTS)


def endpoint(method: str, path: str, chat: Endpoint, count: Endpoint | None = None) -> Endpoint | None:
    """What answers one call of this API on a backend with this chat endpoint; None where the API has no such call.

    count: what tells the tokens of a chat call's prompt as `input_tokens`; without it they are estimated.
    """
    # Imported with the first call that comes here: applications that only chat do not pay for it.
    from llm_adapter.responses import flow, resources

    if (method, path) == ("POST", "/responses"):

        def create(call: Call) -> Flow:
            return (yield from flow.create(call, chat))

        return create
    if (method, path) == ("POST", "/responses/input_tokens"):

        def count_input(call: Call) -> Flow:
            return (yield from flow.count(call, count or flow.estimated))

        return count_input
    return resources.endpoint(method, path)
