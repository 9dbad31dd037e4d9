"""One turn of a conversation: what went before it, what it adds, and keeping both in the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from llm_adapter.provider import Call, Json, LongWork, Rejected
from llm_adapter.responses.items import items, kind_of, response_id
from llm_adapter.responses.store import History, Node, Store, StoreUnavailable
from llm_adapter.settings.errors import warn_caller
from llm_adapter.translation.parameters import refuses


@dataclass(frozen=True)
class Turn:
    """What a Responses call stands on. Items are in their full form."""

    call: Call
    store: Store = field(repr=False)
    added: list[Json]  # the call's own input
    before: list[Json] = field(default_factory=list)  # all items that came earlier
    parent: str | None = None  # the node that this turn follows
    conversation: str | None = None

    @classmethod
    def of(cls, call: Call, store: Store) -> Turn:
        """The turn that a call asks for. Raises `Rejected` for what the store does not hold."""
        previous, conversation = call.body.get("previous_response_id"), conversation_id(call.body.get("conversation"))
        if previous is not None and conversation is not None:
            raise Rejected(
                "`previous_response_id` and `conversation` cannot be used together: give one of them",
                param="previous_response_id",
                code="mutually_exclusive_parameters",
            )
        before: list[Json] = []
        parent: str | None = None
        if previous is not None:
            past = previous_response(store, previous)
            before, parent = [*past.before, *past.node.items], past.node.id
        elif conversation is not None:
            past = conversation_of(store, conversation, status=400, param="conversation")
            before, parent = past.before, past.node.parent
        given = items(call, call.body.get("input"))
        added = [_item_or_referenced(call, store, one, before) for one in given]
        return cls(call, store, added, before, parent, conversation)

    @property
    def waits(self) -> bool:
        """Whether `keep` is to be called outside the event loop."""
        return self.store.waits and (self.is_stored or self.conversation is not None)

    @property
    def is_stored(self) -> bool:
        return self.call.body.get("store") is not False

    @property
    def saving(self) -> LongWork:
        """The step before `keep`. The reply is there: the call's time, which may be over, does not end it."""
        return LongWork("Keeping the response", ends_by_itself=True)

    @property
    def history(self) -> list[Json]:
        return [*self.before, *self.added]

    @property
    def first(self) -> int:
        """The place of the first output item."""
        return len(self.added)

    def keep(self, response: Json) -> None:
        """Store a response that is complete, and add the turn to its conversation.

        A store that fails costs this record and not the reply, which is paid for: the report says so.
        """
        try:
            self._keep(response)
        except StoreUnavailable as error:
            self.call.report.note("left_out", "store")
            warn_caller(
                f"`response_store`: the response could not be kept, and the next call cannot build on it: {error.cause}"
            )

    def _keep(self, response: Json) -> None:
        about = {**response, "output": []} if self.is_stored else None
        node = Node(response["id"], self.parent, about, self.added, response["output"])
        if self.is_stored or self.conversation is not None:
            self.store.add(node, self.conversation)


def reading(call: Call, store: Store) -> Iterator[LongWork]:
    """The step before the store is read or changed for a call, if there has to be one."""
    if store.waits and (call.path != "/responses" or _needs_store(call.body)):
        yield LongWork(f"The use of the file of responses. {store.place} It")


def _needs_store(body: Json) -> bool:
    given = body.get("input")
    refers = isinstance(given, list | tuple) and any(kind_of(one) == "item_reference" for one in given)
    return refers or body.get("previous_response_id") is not None or body.get("conversation") is not None


def previous_response(store: Store, name: Any) -> History:
    """A response with what went before it. Raises `Rejected` when a turn is missing: nothing is forgotten."""
    past = store.history(name) if isinstance(name, str) else None
    if past is None or not is_response(past.node) or past.missing is not None:
        missing = name if past is None or past.missing is None else past.missing
        raise Rejected(
            f"Previous response with id {missing!r} not found: it was not stored, was deleted, or has made room "
            f"for newer ones. {store.place}",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    return past


def is_response(node: Node) -> bool:
    return node.about is not None and node.about["object"] == "response"


def conversation_id(given: Any) -> str | None:
    """The id in either of the parameter's forms."""
    match given:
        case None | str():
            return given
        case {"id": str() as name}:
            return name
        case _:
            raise Rejected("`conversation` must be an id", param="conversation", code="invalid_type")


def conversation_of(store: Store, name: str, *, status: int = 404, param: str | None = None) -> History:
    """A conversation with its items, which are all before it. Raises `Rejected`."""
    past = store.history(name)
    if past is None or past.node.about is None or is_response(past.node):
        raise not_found("Conversation", name, store, status=status, param=param)
    if past.missing is not None:
        raise Rejected(
            f"The beginning of the conversation {name!r} has made room for newer ones: see `response_store_limit`. "
            f"{store.place}",
            status=status,
            param=param,
            code="not_found",
        )
    return past


def not_found(what: str, name: str, store: Store, *, status: int = 404, param: str | None = None) -> Rejected:
    message = f"{what} with id {name!r} not found. {store.place}"
    return Rejected(message, status=status, param=param, code="not_found")


def _item_or_referenced(call: Call, store: Store, item: Json, before: list[Json]) -> Json:
    """An item itself, or what it refers to: an item's id holds the id of the response that it came with.

    Raises `Rejected` for a reference to nothing, unless the settings have it left out.
    """
    if item["type"] != "item_reference":
        return item
    name = item["id"]
    node = store.node(response_id(name))
    known = [*before, *(node.items if node else ())]
    found: Json | None = next((one for one in known if one.get("id") == name), None)
    if found is None and refuses(call, "input"):
        raise Rejected(
            f"Item with id {name!r} not found. Items are not persisted when `store` is set to false: send the item "
            f"itself instead of a reference. {store.place}",
            status=404,
            param="input",
            code="not_found",
        )
    return found or item
