"""Which server it is, and what it says of its models: answers in, a `Server` out. And check 4, which judges it.

Sources: ollama/api/types.go ListModelResponse, ProcessModelResponse, v0.24.0; llama.cpp tools/server README.md and
what a server of 2026-10 answered; vllm entrypoints/openai/api_server.py show_version; lmstudio-ai/docs rest-api.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from llm_adapter.devtools.doctor.facts import (
    Answer,
    CheckResult,
    Facts,
    Model,
    Server,
    fail,
    not_checked,
    ok,
    warn,
    with_tag,
)

NAMES = {
    "ollama": "Ollama",
    "llamacpp": "llama.cpp",
    "vllm": "vLLM",
    "lmstudio": "LM Studio",
    "openai": "OpenAI",
    "embedded": "llama.cpp in this process",
    "unknown": "a /v1 server of another kind",
}
# Asked one after the other until one of them is recognised. Paths are below the server's root.
MARKS = {"ollama": "/api/version", "llamacpp": "/props", "vllm": "/version", "lmstudio": "/api/v0/models"}
_OLDEST_OLLAMA = (0, 24)  # the oldest server with whose recordings the translation is tested
_DIALECTS = ("ollama", "llamacpp", "vllm", "lmstudio", "openai")
_LMSTUDIO = {"llm": {"completion"}, "vlm": {"completion", "vision"}, "embeddings": {"embedding"}}
_LMSTUDIO_ALSO = {"tool_use": "tools"}


def is_mark(kind: str, answer: Answer) -> bool:
    """Whether this answer is one that only this kind of server gives. LM Studio answers any path with 200."""
    body = answer.dictionary()
    match kind:
        case "llamacpp":
            return "default_generation_settings" in body or answer.headers.get("server") == "llama.cpp"
        case "lmstudio":
            data = body.get("data")
            return isinstance(data, list) and all("max_context_length" in one for one in _objects(data))
        case _:
            return isinstance(body.get("version"), str)


def ollama(answers: Mapping[str, Answer]) -> Server:
    """From /api/version, /api/tags, /api/ps, /api/show of some models ("/api/show NAME"), and /api/me."""
    tags = answers.get("/api/tags")
    running = {with_tag(str(one.get("name"))): one for one in _objects_of(answers.get("/api/ps"), "models")}
    models = [
        _ollama_model(one, running.get(with_tag(str(one.get("name"))), {}), answers.get(f"/api/show {one.get('name')}"))
        for one in _objects_of(tags, "models")
    ]
    me = answers.get("/api/me")
    return Server(
        "ollama",
        _body(answers.get("/api/version")).get("version"),
        tuple(models) if tags is not None and tags.good else None,
        signed_in=None if me is None or me.status not in (200, 401) else me.status == 200,
        signin_url=me.body.get("signin_url") if me is not None and isinstance(me.body, dict) else None,
    )


def _ollama_model(listed: dict[str, Any], running: dict[str, Any], show: Answer | None) -> Model:
    details = _body(show)
    info = _object(details.get("model_info"))
    family = info.get("general.architecture")
    capabilities = details.get("capabilities", listed.get("capabilities"))
    return Model(
        str(listed.get("name")),
        frozenset(map(str, capabilities)) if isinstance(capabilities, list) else None,
        _count(info.get(f"{family}.context_length")),
        _count(running.get("context_length")),
        _count(info.get(f"{family}.embedding_length")),
        _count(running.get("size") or listed.get("size")),
        vram if isinstance(vram := running.get("size_vram"), int) else None,
        parsed_time(running.get("expires_at")),
        bool(running),
        listed.get("digest"),
        details.get("remote_host") or listed.get("remote_host"),
    )


def llamacpp(answers: Mapping[str, Answer], kind: str = "llamacpp") -> Server:
    """From /props and /v1/models."""
    props = _body(answers.get("/props"))
    caps, modalities = _object(props.get("chat_template_caps")), _object(props.get("modalities"))
    can = {"completion"} | ({"tools"} if caps.get("supports_tools") else set())
    can |= {name for name in ("vision", "audio") if modalities.get(name)}
    loaded = _count(_object(props.get("default_generation_settings")).get("n_ctx"))
    listed = _objects_of(answers.get("models"), "data")
    models = []
    for one in listed:
        meta = _object(one.get("meta"))
        models.append(
            Model(
                str(one.get("id")),
                frozenset(can) if caps and len(listed) == 1 else None,
                _count(meta.get("n_ctx_train")),
                loaded if len(listed) == 1 else _count(meta.get("n_ctx")),
                _count(meta.get("n_embd")),
                _count(meta.get("size")),
                in_memory=len(listed) == 1,
            )
        )
    build = props.get("build_info")
    version = str(build) if build and "unknown" not in str(build) else None
    known = tuple(models) if answers.get("models") is not None and answers["models"].good else None
    # A router has several models, and looks at the name.
    return Server(kind, version, known, len(models) == 1, _count(props.get("total_slots")))


def vllm(answers: Mapping[str, Answer]) -> Server:
    """From /version and /v1/models."""
    found = from_model_list("vllm", answers.get("models"))
    return Server("vllm", _body(answers.get("/version")).get("version"), found.models)


def lmstudio(answers: Mapping[str, Answer]) -> Server:
    """From /api/v0/models."""
    models = []
    for one in _objects_of(answers.get("/api/v0/models"), "data"):
        also = {_LMSTUDIO_ALSO.get(str(name), str(name)) for name in _list(one.get("capabilities"))}
        can = _LMSTUDIO.get(str(one.get("type")))
        models.append(
            Model(
                str(one.get("id")),
                None if can is None else frozenset(can | also),
                _count(one.get("max_context_length")),
                _count(one.get("loaded_context_length")),
                in_memory=one.get("state") == "loaded",
            )
        )
    return Server("lmstudio", None, tuple(models))


def from_model_list(kind: str, answer: Answer | None) -> Server:
    """From /v1/models alone."""
    if answer is None or not answer.good or not isinstance(answer.body.get("data"), list):
        return Server(kind)
    models = (
        Model(str(one.get("id")), trained=(length := _count(one.get("max_model_len"))), loaded=length)
        for one in _objects(answer.body["data"])
    )
    return Server(kind, None, tuple(models))


def embedded(chat: Mapping[str, Answer], embeddings: Mapping[str, Answer]) -> Server:
    """From /props and /v1/models of the two servers in this process."""
    first, second = llamacpp(chat, "embedded"), llamacpp(embeddings, "embedded")
    vectors = [
        Model(one.name, frozenset({"embedding"}), one.trained, one.loaded, one.dimensions, one.size, in_memory=True)
        for one in second.models or ()
    ]
    return Server("embedded", first.version, (*(first.models or ()), *vectors), True, first.slots)


def parsed_time(text: Any) -> datetime | None:
    """An RFC 3339 time. Go writes nanoseconds, which Python 3.10 does not read: they are cut off."""
    if not isinstance(text, str):
        return None
    whole, dot, rest = text.partition(".")
    zone = rest.lstrip("0123456789") if dot else ""
    try:
        return datetime.fromisoformat((whole + zone).replace("Z", "+00:00"))
    except ValueError:
        return None


def _body(answer: Answer | None) -> dict[str, Any]:
    return answer.dictionary() if answer is not None else {}


def _objects_of(answer: Answer | None, name: str) -> list[dict[str, Any]]:
    return _objects(_body(answer).get(name))


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in _list(value) if isinstance(one, dict)]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def server(facts: Facts) -> CheckResult:
    """What kind of server it is, and whether the profile takes it for that."""
    found, answer = facts.server, facts.model_list
    if facts.embedded:
        return not_checked("it does not start") if found is None else ok(NAMES["embedded"])
    if answer.status is None:
        return not_checked("the server was not reached")
    if found is None:
        beginning = f": {answer.text.strip()[:60]!r}" if answer.text.strip() else ""
        return fail(
            f"{answer.summary}{beginning}", f"{facts.address_setting} = the address of an LLM server, up to /v1"
        )
    name = NAMES[found.kind] + (f" {found.version}" if found.version else "")
    if facts.native and found.kind != "ollama":
        return fail(f"this is {name}, not Ollama", f'provider = "openai", base_url = "{facts.address}"')
    given = facts.settings.dialect
    if given in _DIALECTS and given not in (found.kind, "openai") and found.kind in _DIALECTS:
        return warn(f"this is {name}, and `dialect` says {given}", f'dialect = "{found.kind}", or none')
    if found.kind == "ollama" and (old := _too_old(found.version)):
        return warn(f"{name} is older than {old}, the oldest that is tested", "update Ollama")
    return ok(name)


def _too_old(version: str | None) -> str | None:
    """The oldest version that is tested, if this one is older. 0.0.0 is a build from source."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version or "")[:2])
    return ".".join(map(str, _OLDEST_OLLAMA)) if len(numbers) == 2 and (0, 0) < numbers < _OLDEST_OLLAMA else None
