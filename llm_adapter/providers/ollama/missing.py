"""A model that is not there, or cannot do what is asked: pulled if the profile says so, and else an error with a cure.

All of it comes after the server's refusal, so that nothing precedes a call that works. Callers that
miss the same model at the same time pull it once: one of them does, in whatever thread or task, the others wait.
"""

from __future__ import annotations

import concurrent.futures
import copy
import re
from collections.abc import Generator
from difflib import get_close_matches
from typing import Any
from urllib.parse import quote

from llm_adapter.provider import Call, Endpoint, Flow, NativeReply, NativeRequest, Rejected, WaitForPull
from llm_adapter.providers.ollama.capabilities import forget, installed_models, models_with_capability
from llm_adapter.providers.ollama.progress import outcome
from llm_adapter.settings.hosts import is_ollama_cloud
from llm_adapter.translation.errors import checked
from llm_adapter.translation.forks import ForkSafeLock, emptied_at_fork
from llm_adapter.translation.model_names import names_openais_model
from llm_adapter.translation.parallel import Steps

KEYS = "https://ollama.com/settings/keys"
# The server's words to the capability that it misses. Source: ollama/server/routes.go, images.go CheckCapabilities.
_LACKS = re.compile(r"does not support (tools|thinking|insert|chat|generate|embeddings)\b")
_CAPABILITY = {"chat": "completion", "generate": "completion", "embeddings": "embedding"}


def pulls_missing(endpoint: Endpoint) -> Endpoint:
    """The endpoint, of a model that is pulled when it is missing and the profile says so."""

    def flow(call: Call) -> Flow:
        pulled = False
        while True:
            try:
                return (yield from endpoint(call))
            except Rejected as refusal:
                caught = refusal
            if pulled or not _should_pull(call, caught):
                raise (yield from refusal_with_cure(call, caught))
            yield from _pull(call)
            pulled = True

    return flow


def adds_cures(endpoint: Endpoint) -> Endpoint:
    """The endpoint, whose refusals say what to do; nothing is pulled."""

    def flow(call: Call) -> Flow:
        try:
            return (yield from endpoint(call))
        except Rejected as refusal:
            caught = refusal
        raise (yield from refusal_with_cure(call, caught))

    return flow


def refusal_with_cure(call: Call, refusal: Rejected) -> Steps[Rejected]:
    """The refusal, with the installed models that would do and the way to get others."""
    error = refusal.error
    lacks = _LACKS.search(str(error["message"]))
    if error["code"] == "model_not_found":
        reply = yield NativeRequest("GET", "/api/tags")
        error["message"] = missing_model_message(
            str(error["message"]), _model_name(call), [str(one.get("name")) for one in installed_models(reply)]
        )
    elif lacks and refusal.status == 400:
        reply = yield NativeRequest("GET", "/api/tags")
        names = models_with_capability(reply, _CAPABILITY.get(lacks[1], lacks[1]))
        error["message"] += f"; installed models that do: {', '.join(names[:5])}" if names else ""
    elif refusal.status == 401 and is_ollama_cloud(call.settings.base_url or "") and "signin_url" not in error:
        error["message"] += f": OLLAMA_API_KEY, or `api_key` in the profile, has to hold a key from {KEYS}"
    return refusal


def missing_model_message(message: str, name: str, installed: list[str]) -> str:
    """The message about a missing model, with the nearest installed ones and the command that installs it."""
    bare = {one.removesuffix(":latest"): one for one in installed}
    close = get_close_matches(name.removesuffix(":latest"), list(bare), n=3, cutoff=0.5)
    if close:
        message += f"; did you mean {' or '.join(map(repr, close))}?"
    elif installed:
        message += f"; installed: {', '.join(list(bare)[:5])}{', ...' if len(bare) > 5 else ''}."
    else:
        message += "; no model is installed."
    if names_openais_model(name):
        like = close[0] if close else next(iter(bare), "qwen3:8b")
        message += (
            f' It is a name of OpenAI\'s: `models = {{ "{name}" = "{like}" }}` in the profile gives it a meaning.'
        )
    message += f' `llm-adapter models pull {name}` installs it, `pull = "missing"` in the profile does so when needed'
    return f"{message}; https://ollama.com/search?q={quote(name.partition(':')[0])} finds names."


def _model_name(call: Call) -> str:
    """The model that a call is about: in its body, or in its path."""
    name = call.body.get("model") or call.body.get("source")
    if not name:
        name = call.named if call.method == "DELETE" else call.settings.names(call.named)[-1]
    return str(name)


def _should_pull(call: Call, refusal: Rejected) -> bool:
    if refusal.error["code"] != "model_not_found":
        return False
    pull = call.settings.pull
    return bool(pull(_model_name(call))) if callable(pull) else pull == "missing"


class _PullUnderWay:
    """One pull under way, for all who wait for it."""

    def __init__(self) -> None:
        self.over: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.done = False
        self.refusal: Rejected | None = None


_under_way: dict[tuple[str, str], _PullUnderWay] = emptied_at_fork({})  # the parent's threads end no pull in a child
_lock = ForkSafeLock()


def _pull(call: Call) -> Generator[NativeRequest | WaitForPull, Any, None]:
    """Returns when the model is there. Raises `Rejected`; a pull that was given up is taken over by one who waits."""
    name = _model_name(call)
    key = call.settings.base_url or "", name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    while True:
        with _lock:
            other = _under_way.get(key)
            if other is None:
                mine = _under_way[key] = _PullUnderWay()
                break
        yield WaitForPull(other.over)
        if other.refusal is not None:
            raise copy.copy(other.refusal)
        if other.done:
            return
        if not other.over.done():
            mine = _PullUnderWay()  # who cannot wait for the other pulls too: the server itself fetches it once
            break
    try:
        reply: NativeReply = yield NativeRequest(
            "POST", "/api/pull", {"model": name, "stream": True}, True, progress=True
        )
        mine.refusal = yield from _pull_refusal(call, reply)
        mine.done = mine.refusal is None
    finally:
        with _lock:
            if _under_way.get(key) is mine:
                del _under_way[key]
        mine.over.set_result(None)
    if mine.refusal is not None:
        raise mine.refusal
    forget(name)


def _pull_refusal(call: Call, reply: NativeReply) -> Steps[Rejected | None]:
    try:
        refusal = outcome(checked(reply).body)
    except Rejected as refused:
        refusal = refused
    if refusal is None:
        return None
    refusal.error["message"] = f"pulling {_model_name(call)!r} failed: {refusal.error['message']}"
    return (yield from refusal_with_cure(call, refusal))
