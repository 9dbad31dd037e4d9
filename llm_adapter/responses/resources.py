"""What is asked of kept responses and conversations. Answered from the store: no request leaves.

GET, DELETE /responses/{id}, GET .../input_items, POST .../cancel; /conversations with their items.
Source: openai-python resources/responses and resources/conversations, v3.52.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from llm_adapter.provider import Call, Endpoint, Flow, Json, Rejected
from llm_adapter.responses.history import conversation_of, items_up_to, not_found, reading
from llm_adapter.responses.items import items, readable_items
from llm_adapter.responses.store import Store, store_of
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
    response: Json = _stored_response(store, name)["response"]
    return response


def delete(call: Call, store: Store, name: str) -> Json:
    _stored_response(store, name)
    store.change(name, lambda _: None)
    return {"id": name, "object": "response", "deleted": True}


def cancel(call: Call, store: Store, name: str) -> Json:
    _stored_response(store, name)
    raise Rejected("Cannot cancel a synchronous response.")


def input_items(call: Call, store: Store, name: str) -> Json:
    """All items that a response was made from: those of the turns before it, too."""
    record = _stored_response(store, name)
    previous = record["response"]["previous_response_id"]
    before = items_up_to(store, previous) if previous else record["before"]
    return _page(call, store, [*before, *record["input"]])


def not_available(call: Call, store: Store) -> Json:
    raise unavailable_endpoint(call)


def create_conversation(call: Call, store: Store) -> Json:
    head = {"object": "conversation", "created_at": call.created, "metadata": call.body.get("metadata") or {}}
    conversation = {"id": f"conv_{call.id}", **head}
    record = {"conversation": conversation, "items": _new_items(call)}
    store.change(f"conv_{call.id}", lambda _: record)
    return conversation


def retrieve_conversation(call: Call, store: Store, name: str) -> Json:
    conversation: Json = conversation_of(store, name)["conversation"]
    return conversation


def update_conversation(call: Call, store: Store, name: str) -> Json:
    metadata: Json = call.body.get("metadata") or {}
    _change(store, name, lambda record: {**record["conversation"], "metadata": metadata}, "conversation")
    return retrieve_conversation(call, store, name)


def delete_conversation(call: Call, store: Store, name: str) -> Json:
    conversation_of(store, name)
    store.change(name, lambda _: None)
    return {"id": name, "object": "conversation.deleted", "deleted": True}


def list_items(call: Call, store: Store, name: str) -> Json:
    return _page(call, store, conversation_of(store, name)["items"])


def create_items(call: Call, store: Store, name: str) -> Json:
    added = _new_items(call)
    _change(store, name, lambda record: [*record["items"], *added], "items")
    return _list_object(added, more=False)


def retrieve_item(call: Call, store: Store, name: str, item: str) -> Json:
    found = next((one for one in conversation_of(store, name)["items"] if one.get("id") == item), None)
    if found is None:
        raise not_found("Item", item, store)
    return dict(found)


def delete_item(call: Call, store: Store, name: str, item: str) -> Json:
    retrieve_item(call, store, name, item)
    _change(store, name, lambda record: [one for one in record["items"] if one.get("id") != item], "items")
    return retrieve_conversation(call, store, name)


def _new_items(call: Call) -> list[Json]:
    """The items of a call that adds some. Raises `Rejected` for one that no response could be made with."""
    added = items(call, call.body.get("items"), "items")
    readable_items(call, added, "items")
    return added


def _change(store: Store, name: str, new: Callable[[Json], Any], part: str) -> None:
    """Replace a part of a conversation's record."""
    conversation_of(store, name)
    store.change(name, lambda record: None if record is None else {**record, part: new(record)})


def _stored_response(store: Store, name: str) -> Json:
    record = store.read(name)
    if record is None or "response" not in record:
        raise not_found("Response", name, store)
    return record


def _page(call: Call, store: Store, all_items: list[Json]) -> Json:
    """One page, newest first unless asked otherwise, as OpenAI has it."""
    ordered = all_items if call.query.get("order") == "asc" else all_items[::-1]
    after = call.query.get("after")
    if after is not None:
        place = next((place for place, one in enumerate(ordered) if one.get("id") == after), None)
        if place is None:
            raise not_found("Item", str(after), store, param="after")
        ordered = ordered[place + 1 :]
    limit = int(call.query.get("limit") or 20)
    return _list_object(ordered[:limit], more=len(ordered) > limit)


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
