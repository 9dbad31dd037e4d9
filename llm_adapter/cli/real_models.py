"""The way on from the two tiny models: which real ones `demo --model` can run here, and what they need."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from llm_adapter.cli.models.stored import pull_from_hub, stored_models
from llm_adapter.cli.screen import console, say
from llm_adapter.devtools.reporting.text import silent
from llm_adapter.provider import Rejected
from llm_adapter.providers.embedded import hub, memory, models
from llm_adapter.providers.embedded.fit import Need, need_of, usual_context
from llm_adapter.providers.embedded.gguf import Header, HeaderError, read_header
from llm_adapter.providers.embedded.names import HubName, parse
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.settings import Settings
from llm_adapter.settings.sizes import size_text

_SHOWN = 3  # models that are named at the end of a demo
# A small one that calls tools. Its file has 639,446,688 bytes (Qwen/Qwen3-0.6B-GGUF at 23749fef), its 28 layers have 8
# KV heads (llama.cpp tests/test-gguf-model-data.cpp) of 128 (Qwen3-0.6B config.json). For 8,192 tokens of such layers
# llama.cpp allocates 896 MiB, as its log says of Llama 3.2 3B, which has the same; with a tenth to work with: 1.74 GB.
_SMALL = "hf:Qwen/Qwen3-0.6B-GGUF:Q8_0", "639.4 MB to download, 1.7 GB of memory"


def suggestions() -> list[str]:
    """Commands that run the demo on a real model, with what it needs: models of this machine, or else a small one."""
    found = list(islice(_chat_models(), _SHOWN)) or [_SMALL]
    return [f"llm-adapter demo --model {name}  ({needs})" for name, needs in found]


def real_model(name: str) -> Settings:
    """Settings for a real model; one of a hub is downloaded first, and what it takes is printed.

    Raises `SettingsError`.
    """
    settings = Settings(provider="embedded", model_path=name, local_only=Settings.load().local_only)
    wanted = parse(name)
    if isinstance(wanted, HubName) and hub.find(wanted) is None:
        if not settings.local_only:
            say(console(), f"{name}: {size_text(hub.size_of(wanted))} to download into {hub.root()}")
        pull_from_hub(wanted, settings, as_json=False)
    try:
        model = models.resolve(name, settings, "--model")
        models.check_chat(model, settings)
    except Rejected as refusal:
        raise SettingsError(str(refusal.error["message"])) from None
    free = memory.available()
    left = "" if free is None else f"; {size_text(free)} are free"
    say(console(), f"{name}: {_needs(model.header, model.size)}{left}")
    return settings


def _chat_models() -> Iterator[tuple[str, str]]:
    for one in stored_models(silent):
        header = _header(one.file)
        if header is not None and header.chat_template and header.of_model("attention.causal") is not False:
            yield one.name, _needs(header, one.size)


def _needs(header: Header, size: int) -> str:
    need: Need = need_of(header, size)
    tokens = usual_context(header)
    return f"{size_text(size)} on disk, {size_text(need.total(tokens))} of memory with a context of {tokens} tokens"


def _header(file: Path) -> Header | None:
    try:
        with file.open("rb") as data:
            return read_header(data)
    except (HeaderError, OSError):
        return None
