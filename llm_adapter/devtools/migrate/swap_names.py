"""Which names of the SDK mean what for a swap of imports. Asked of the packages themselves, not listed by hand."""

from __future__ import annotations

import types
from functools import cache

import openai

import llm_adapter

# What only openai 0.x had, beside the classes that the SDK still names to refuse them.
# Source: openai/__init__.py and the package's modules, version 0.28.1.
_OLD = frozenset(
    {"api_base", "api_key_path", "verify_ssl_certs", "proxy", "app_info", "enable_telemetry", "ca_bundle_path"}
    | {"debug", "log", "aiosession", "requestssession", "error", "api_requestor", "api_resources", "datalib"}
    | {"embeddings_utils", "object_classes", "openai_object", "openai_response", "upload_progress", "wandb_logger"}
)


@cache
def ours() -> frozenset[str]:
    """The clients that this package has under the SDK's names. Each is a subclass of the SDK's: a namesake is none."""
    pairs = ((name, getattr(llm_adapter, name), getattr(openai, name, None)) for name in llm_adapter.__all__)
    return frozenset(
        name
        for name, own, theirs in pairs
        if isinstance(own, type) and isinstance(theirs, type) and issubclass(own, theirs)
    )


@cache
def old() -> frozenset[str]:
    """Names of openai 0.x. Source: openai/lib/_old_api.py, whose proxies stand for what version 1 took away."""
    return frozenset(name for name, value in _public() if type(value).__name__ == "APIRemovedInV1Proxy") | _OLD


@cache
def module_client() -> frozenset[str]:
    """What makes `openai` itself a client: `openai.chat`, `openai.api_key`. Source: openai/_module_client.py."""
    proxies = (name for name, value in _public() if type(value).__module__ == "openai._module_client")
    # openai/__init__.py declares its settings with their types.
    return frozenset({*proxies, *(name for name in openai.__annotations__ if name[0].islower())})


def _public() -> list[tuple[str, object]]:
    found = ((name, getattr(openai, name, None)) for name in dir(openai) if not name.startswith("_"))
    return [(name, value) for name, value in found if type(value) is not types.ModuleType]
