"""What the gateway counts, for Prometheus. Every label's values come from fixed tables: no caller can make new ones."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from llm_adapter.traffic.reading import tokens

GONE = 499  # the caller went away first, as nginx counts it
_PATHS = (
    *("/chat/completions", "/completions", "/embeddings", "/responses", "/models", "/moderations"),
    *("/audio", "/images", "/files", "/batches", "/uploads", "/conversations"),
)
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)  # seconds
_PROVIDERS = ("openai", "ollama", "embedded")
_TAIL = 4096  # bytes at the end of a reply: usage stands near it, in a reply as in a stream's last events
_USAGE = re.compile(r'(?<!\\)"usage"\s*:\s*(?=\{)')
_DECODER = json.JSONDecoder()


def path_label(path: str) -> str:
    """The endpoint of a path below /v1, without the names in it."""
    return next((known for known in _PATHS if path == known or path.startswith(f"{known}/")), "other")


def provider_label(header: str) -> str:
    """The provider that `x-llm-adapter` names."""
    name = header.partition(";")[0].removeprefix("provider=")
    return name if name in _PROVIDERS else "other" if name else "none"


@dataclass
class Tail:
    """The end of a reply, in which the tokens are looked for that it cost."""

    data: bytes = b""

    def add(self, data: bytes) -> None:
        self.data = (self.data + data)[-_TAIL:] if len(data) < _TAIL else data[-_TAIL:]

    def tokens(self) -> tuple[int, int]:
        """Of the prompt and of the reply; zeros where it does not say."""
        text = self.data.decode("utf-8", "replace")
        for found in reversed(list(_USAGE.finditer(text))):
            try:
                usage, _ = _DECODER.raw_decode(text, found.end())
            except ValueError:
                continue
            counts = tokens(usage)
            return counts.get("prompt_tokens", 0), counts.get("completion_tokens", 0)
        return 0, 0


class Metrics:
    """The numbers of one gateway; of all its processes, where PROMETHEUS_MULTIPROC_DIR is set."""

    def __init__(self) -> None:
        # Several processes write to files, which are read together: a registry holds those of one process.
        self._shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        self._registry = registry = CollectorRegistry()
        labels = ("path", "status", "provider")
        self.requests = Counter("llm_adapter_requests", "Requests answered", labels, registry=registry)
        self.open = Gauge(
            "llm_adapter_requests_open", "Requests under way", registry=registry, multiprocess_mode="livesum"
        )
        self.first_byte = Histogram(
            "llm_adapter_first_byte_seconds",
            "Until the first byte of a reply",
            ("path",),
            registry=registry,
            buckets=_BUCKETS,
        )
        self.seconds = Histogram(
            "llm_adapter_request_seconds", "Until a reply's end", ("path",), registry=registry, buckets=_BUCKETS
        )
        self.tokens = Counter("llm_adapter_tokens", "Tokens that replies tell", ("kind", "provider"), registry=registry)
        self.fallbacks = Counter("llm_adapter_fallbacks", "Replies of a fallback profile", registry=registry)

    def text(self) -> bytes:
        registry = self._registry
        if self._shared:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
