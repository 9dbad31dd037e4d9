"""Which calls are copied, and where the copies go.

Only calls that can be made twice: one that keeps something at its server, builds on something kept there, or has the
server act (a hosted tool) goes to the first profile alone.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from pydantic_core import to_json

from llm_adapter.provider import Json
from llm_adapter.routing.connection import Connection, connect
from llm_adapter.routing.destination import destination
from llm_adapter.routing.other_profiles import named_in, other_profile, unusable
from llm_adapter.routing.privacy import asks_for_privacy
from llm_adapter.routing.stateful import KEPT_AT_SERVER
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.settings import Settings
from llm_adapter.shadow import worker
from llm_adapter.shadow.journal import warn_once
from llm_adapter.shadow.record import LARGEST, Destinations
from llm_adapter.shadow.sample import Sample

if TYPE_CHECKING:
    from openai import OpenAI
    from openai._models import FinalRequestOptions

EXTENSION = "llm_adapter_shadow"  # the request's extension that carries its sample
PATHS = ("/chat/completions", "/completions", "/embeddings", "/responses")
_RUN_BY_CALLER = ("function", "custom")  # tools that the caller runs; all others act at the server
# Of our own, so that a program's seeded random numbers stay as they are.
random_share = random.Random().random  # noqa: S311 - not for secrets


class Shadow(Destinations):
    """The destinations of one client, and the choice of the calls that are copied."""

    def sample(self, client: Any, options: FinalRequestOptions, request: Any, retries_taken: int) -> None:
        """Have an attempt copied, if it is one of the share. Raises nothing.

        options: the call as the SDK has it, before translation.
        """
        try:
            self._sample(client, options, request, retries_taken >= options.get_max_retries(client.max_retries))
        except Exception as error:
            warn_once("a call could not be copied", error)

    def _sample(self, client: Any, options: FinalRequestOptions, request: Any, last: bool) -> None:
        share = self.first.configured.shadow_sample if worker.active else 0
        if not share:
            return
        body, path = _body(options), urlsplit(options.url).path
        if not can_be_repeated(options.method, path, body) or self._names_another_provider(body["model"]):
            return
        if random_share() >= share:
            return
        if worker.full():  # then the copy is not worth its time either
            worker.count_left_out()
            return
        content = to_json(body)  # the caller may change its lists while the shadow waits
        if len(content) > LARGEST:
            worker.count_left_out()
            return
        streamed = body.get("stream") is True
        request.extensions[EXTENSION] = Sample(self, client, request, path, content, streamed=streamed, last=last)

    def sample_of(self, request: Any) -> Sample | None:
        sample: Sample | None = request.extensions.get(EXTENSION)
        return sample

    def _names_another_provider(self, model: str) -> bool:
        """Whether the call's model names a provider, which is not the second profile's."""
        given = {"model": model}
        return self.second.configured.model(model) == model and destination(self.second, given)[0] is not self.second


def can_be_repeated(method: str, path: str, body: Mapping[str, Any]) -> bool:
    """Whether a call may be made a second time, elsewhere."""
    if method.upper() != "POST" or path not in PATHS or not isinstance(body.get("model"), str):
        return False
    if asks_for_privacy(dict(body)):
        return False
    if path != "/responses":
        return True
    tools = body.get("tools") or ()
    return not any(body.get(name) for name in KEPT_AT_SERVER) and all(
        tool.get("type") in _RUN_BY_CALLER for tool in tools
    )


def _body(options: FinalRequestOptions) -> Json:
    """The call's arguments; empty for a body that is not JSON."""
    if options.content is not None or options.files:
        return {}
    return {**(options.json_data if isinstance(options.json_data, Mapping) else {}), **(options.extra_json or {})}


# By the settings' identity: they cannot be hashed, copies of a client share them, and a shadow keeps its own alive.
_shadows: WeakValueDictionary[int, Shadow] = WeakValueDictionary()


def shadow_of(first: Connection, make: Callable[..., OpenAI]) -> Shadow:
    """The shadow that a client's settings name. make: what makes its client. Raises `SettingsError`."""
    key = id(first.configured)
    shadow = _shadows.get(key)
    if shadow is None:
        shadow = _shadows[key] = Shadow(first, _second_destination(first.configured), make)
    return shadow


def _second_destination(settings: Settings) -> Connection:
    """The destination of the profile that `shadow` names."""
    name = settings.shadow or ""
    if name == settings.profile:
        where = named_in(settings, "shadow")
        raise SettingsError(f"profile {name!r} is its own `shadow`: name another profile {where}", ("shadow",))
    second = other_profile(settings, "shadow", name)
    try:
        # The thread sends one request at a time, and must not take a slot at a server that both profiles are on.
        return _with_translation_imported(connect(second.model_copy(update={"max_concurrency": 0}), os.environ))
    except SettingsError as error:
        raise unusable(settings, "shadow", name, error) from None


def _with_translation_imported(second: Connection) -> Connection:
    """The same, with its translation imported now: a fork while a thread imports leaves the child half a module."""
    for path in PATHS:
        second.provider.endpoint("POST", path)
    return second
