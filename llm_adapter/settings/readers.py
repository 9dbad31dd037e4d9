"""Which servers read which settings: what `read_by` of a field may name, and what becomes of `options` on each.

A server that is reached over /v1 goes by its dialect. A field without `read_by` is read by all.
Sources of the names of `options`: ollama api/types.go Options (v0.24.0); llama.cpp tools/server/server-schema.cpp
(006639c3); vllm entrypoints/openai/chat_completion/protocol.py (002032ee); lmstudio-ai/docs 3_openai-compat.
"""

from __future__ import annotations

from collections.abc import Mapping

OPENAI, OLLAMA, EMBEDDED = "openai", "ollama", "embedded"
# Every server by its name in sentences; the last ones speak /v1 and are not OpenAI's.
READERS: Mapping[str, str] = {
    OPENAI: "OpenAI",
    OLLAMA: "provider 'ollama'",
    EMBEDDED: "provider 'embedded'",
    "/v1 ollama": "Ollama's /v1",
    "/v1 llamacpp": "llama.cpp",
    "/v1 vllm": "vLLM",
    "/v1 lmstudio": "LM Studio",
    "/v1 other": "other /v1 servers",
}
ALL = frozenset(READERS)
OVER_V1 = frozenset(name for name in READERS if name.startswith("/v1 "))
NOT_OPENAI = ALL - {OPENAI}
# Those whose requests are translated: of other /v1 servers nothing is known.
KNOWN = NOT_OPENAI - {"/v1 other"}

_OPENAIS = {
    name: name for name in ("temperature", "top_p", "seed", "stop", "frequency_penalty", "presence_penalty")
} | {"num_predict": "max_tokens"}


def _beside_openais(names: str, **others: str) -> dict[str, str]:
    return {**_OPENAIS, **{name: name for name in names.split()}, **others}


_LLAMACPP = _beside_openais("top_k min_p typical_p repeat_last_n repeat_penalty", num_keep="n_keep")
# By server: Ollama's name of an option to the parameter of a call that means the same there.
OPTIONS: Mapping[str, Mapping[str, str]] = {
    OPENAI: {**_OPENAIS, "num_predict": "max_completion_tokens"},
    EMBEDDED: _LLAMACPP,
    "/v1 ollama": _OPENAIS,
    "/v1 llamacpp": _LLAMACPP,
    "/v1 vllm": _beside_openais("top_k min_p", repeat_penalty="repetition_penalty"),
    "/v1 lmstudio": _beside_openais("top_k repeat_penalty"),
    "/v1 other": _beside_openais("top_k min_p typical_p repeat_penalty"),
}
# Options that say how a model is run, and not what it answers.
MACHINE_OPTIONS = frozenset(["num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict"])


def option_readers(name: str) -> frozenset[str]:
    """Who reads one of Ollama's options."""
    # Over Ollama's /v1 `client.models.load()` loads a model with them.
    loading = {"/v1 ollama"} if name in MACHINE_OPTIONS else set()
    return frozenset({OLLAMA, *loading, *(reader for reader, names in OPTIONS.items() if name in names)})


def reader_of(provider: object, dialect: str | None) -> frozenset[str]:
    """The server of a provider and a dialect; all that it may be where the dialect is not known.

    A provider of one's own may read anything.
    """
    if provider != OPENAI:
        return frozenset({str(provider)}) if provider in (OLLAMA, EMBEDDED) else ALL
    if dialect is None:
        return OVER_V1
    return frozenset({OPENAI if dialect == OPENAI else f"/v1 {dialect}"})


def listed(readers: frozenset[str]) -> str:
    """The readers in words; "all", and "all but", where that is shorter."""
    missing = [words for name, words in READERS.items() if name not in readers]
    if len(missing) <= 2:
        return f"all but {' and '.join(missing)}" if missing else "all"
    return ", ".join(words for name, words in READERS.items() if name in readers)
