"""What is asked of kept responses and conversations. Answered from the store: no request leaves.

GET, DELETE /responses/{id}, GET .../input_items, POST .../cancel; /conversations with their items.
Source: openai-python resources/responses and resources/conversations, v3.52.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from llm_adapter.provider import Call, Endpoint, Flow, Json, Rejected
from llm_adapter.responses.history import conversation_of, is_response, not_found, previous_response, reading
from llm_adapter.responses.items import items, readable_items
from llm_adapter.responses.store import Node, Store, store_of
from llm_adapter.translation.pages import page
from llm_adapter.translation.unavailable import unavailable_endpoint

Answer: TypeAlias = Callable[..., Json]


def endpoint(method: str, path: str) -> Endpoint | None:
    """What answers a call on something kept; None where the API has no such call."""
    for (verb, shape), answer in ANSWERS.items():
        found = shape.fullmatch(path)
        if verb == method and found is not None:
            return _answered_here(answer, found.groups())
    return None


def _answered_here(answer: Answer, names: tuple[str, ...]) -> Endpoint:
    def flow(call: Call) -> Flow:
        store = store_of(call.settings)
        yield from reading(call, store)
        return answer(call, store, *names)

    return flow


def retrieve(call: Call, store: Store, name: str) -> Json:
    if call.query.get("stream") in (True, "true"):
        raise Rejected("only a background response can be streamed again", param="stream", code="unsupported_parameter")
    node = _stored_response(store, name)
    return {**(node.about or {}), "output": node.output}


def delete(call: Call, store: Store, name: str) -> Json:
    _stored_response(store, name)
    store.remove(name)
    return {"id": name, "object": "response", "deleted": True}


def cancel(call: Call, store: Store, name: str) -> Json:
    _stored_response(store, name)
    raise Rejected("Cannot cancel a synchronous response.")


def input_items(call: Call, store: Store, name: str) -> Json:
    """All items that a response was made from: those of the turns before it, too."""
    _stored_response(store, name)
    past = previous_response(store, name)
    return _page(call, store, [*past.before, *past.node.input])


def not_available(call: Call, store: Store) -> Json:
    raise unavailable_endpoint(call)


def create_conversation(call: Call, store: Store) -> Json:
    name, metadata = f"conv_{call.id}", call.body.get("metadata") or {}
    conversation = {"id": name, "object": "conversation", "created_at": call.created, "metadata": metadata}
    added = _new_items(call)
    store.add(Node(name, about=conversation))
    if added:
        store.add(_turn(call, added), name)
    return conversation


def retrieve_conversation(call: Call, store: Store, name: str) -> Json:
    node = store.node(name)
    if node is None or node.about is None or is_response(node):
        raise not_found("Conversation", name, store)
    return node.about


def update_conversation(call: Call, store: Store, name: str) -> Json:
    changed = {**retrieve_conversation(call, store, name), "metadata": call.body.get("metadata") or {}}
    store.change_about(name, changed)
    return changed


def delete_conversation(call: Call, store: Store, name: str) -> Json:
    retrieve_conversation(call, store, name)
    store.remove(name)
    return {"id": name, "object": "conversation.deleted", "deleted": True}


def list_items(call: Call, store: Store, name: str) -> Json:
    return _page(call, store, conversation_of(store, name).before)


def create_items(call: Call, store: Store, name: str) -> Json:
    added = _new_items(call)
    retrieve_conversation(call, store, name)
    store.add(_turn(call, added), name)
    return _list_object(added, more=False)


def retrieve_item(call: Call, store: Store, name: str, item: str) -> Json:
    found = next((one for one in conversation_of(store, name).before if one.get("id") == item), None)
    if found is None:
        raise not_found("Item", item, store)
    return dict(found)


def delete_item(call: Call, store: Store, name: str, item: str) -> Json:
    retrieve_item(call, store, name, item)
    store.remove_item(name, item, f"turn_{call.id}")
    return retrieve_conversation(call, store, name)


def _turn(call: Call, added: list[Json]) -> Node:
    """Items that are added to a conversation, not by a response."""
    return Node(f"turn_{call.id}", input=added)


def _new_items(call: Call) -> list[Json]:
    """The items of a call that adds some. Raises `Rejected` for one that no response could be made with."""
    added = items(call, call.body.get("items"), "items")
    readable_items(call, added, "items")
    return added


def _stored_response(store: Store, name: str) -> Node:
    node = store.node(name)
    if node is None or not is_response(node):
        raise not_found("Response", name, store)
    return node


def _page(call: Call, store: Store, all_items: list[Json]) -> Json:
    """One page, newest first unless asked otherwise, as OpenAI has it."""
    ordered = all_items if call.query.get("order") == "asc" else all_items[::-1]
    try:
        data, more = page(ordered, call.query, 20)
    except KeyError as unknown:
        raise not_found("Item", str(unknown.args[0]), store, param="after") from None
    return _list_object(data, more=more)


def _list_object(data: list[Json], *, more: bool) -> Json:
    ends = {"first_id": data[0].get("id"), "last_id": data[-1].get("id")} if data else {"first_id": "", "last_id": ""}
    return {"object": "list", "data": data, "has_more": more, **ends}


_NAME = r"([^/]+)"
ANSWERS: dict[tuple[str, re.Pattern[str]], Answer] = {
    (method, re.compile(shape)): answer
    for method, shape, answer in (
        ("POST", "/responses/compact", not_available),
        ("GET", f"/responses/{_NAME}", retrieve),
        ("DELETE", f"/responses/{_NAME}", delete),
        ("POST", f"/responses/{_NAME}/cancel", cancel),
        ("GET", f"/responses/{_NAME}/input_items", input_items),
        ("POST", "/conversations", create_conversation),
        ("GET", f"/conversations/{_NAME}", retrieve_conversation),
        ("POST", f"/conversations/{_NAME}", update_conversation),
        ("DELETE", f"/conversations/{_NAME}", delete_conversation),
        ("GET", f"/conversations/{_NAME}/items", list_items),
        ("POST", f"/conversations/{_NAME}/items", create_items),
        ("GET", f"/conversations/{_NAME}/items/{_NAME}", retrieve_item),
        ("DELETE", f"/conversations/{_NAME}/items/{_NAME}", delete_item),
    )
}
