"""Whether a model fits into memory, and what of it would. No IO.

Sources: llama.cpp src/llama-kv-cache.cpp for the cache of a context, src/llama-hparams.cpp and src/llama-model.cpp for
which layers have one (b11549). Where a header says less than llama.cpp knows, the estimate is the smaller one: a model
that would fit is not refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llm_adapter.providers.embedded.gguf import Header
from llm_adapter.settings.sizes import size_text

USUAL_CONTEXT = 8192  # tokens, where neither the profile nor the model's maker says more or less
_SPARE = 1.1  # what llama.cpp needs beside the weights and the cache, for its calculations
_OF_A_NUMBER = 2  # bytes: a cache holds 16-bit numbers
_STEP = 256  # tokens, to which llama.cpp rounds a context (GGML_PAD)
# Of models with a sliding window: each so-many-th layer sees the whole context, and the others the window alone.
_WHOLE_EVERY = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4, "exaone4": 4, "olmo2": 4}


@dataclass(frozen=True, slots=True)
class Need:
    """What a model takes. All in bytes."""

    weights: int  # its files: the model, its adapters and its projector
    a_token: int  # of the cache, for each token of the context
    at_most: Mapping[int, int]  # of the cache, for each token, up to so many tokens: sliding windows

    def cache(self, tokens: int) -> int:
        """The cache of a context."""
        return self.a_token * tokens + sum(each * min(tokens, window) for window, each in self.at_most.items())

    def total(self, tokens: int) -> int:
        """All that the model takes with a context."""
        return round((self.weights + self.cache(tokens)) * _SPARE)

    def largest_context(self, free: int, most: int) -> int:
        """The largest context that fits, of at most so many tokens; 0 where none does."""
        low, high = 0, most // _STEP
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.total(middle * _STEP) <= free else (low, middle - 1)
        return low * _STEP


def need_of(header: Header, weights: int) -> Need:
    """What a model takes, by its header and the bytes of its files."""
    layers = header.number("block_count")
    window = header.number("attention.sliding_window")
    every = _WHOLE_EVERY.get(header.architecture, 0)
    whole = windowed = 0
    for layer in range(min(layers, 4096)):
        size = _layer(header, layer)
        is_windowed = window and every and (layer + 1) % every
        whole, windowed = (whole, windowed + size) if is_windowed else (whole + size, windowed)
    return Need(weights, whole, {window: windowed} if windowed else {})


def _layer(header: Header, layer: int) -> int:
    """The bytes of one layer's cache for one token."""
    interval = header.number("full_attention_interval")
    if interval and (layer + 1) % interval:
        return 0  # a recurrent layer has a state of one length
    rank = header.number("attention.kv_lora_rank")
    if rank:
        return (rank + header.number("rope.dimension_count")) * _OF_A_NUMBER
    heads = _heads(header, "attention.head_count", layer)
    cached = _heads(header, "attention.head_count_kv", layer, heads)
    head = header.number("embedding_length") // heads if heads else 0
    length = header.number("attention.key_length", head) + header.number("attention.value_length", head)
    return cached * length * _OF_A_NUMBER


def _heads(header: Header, key: str, layer: int, default: int = 0) -> int:
    """A number of heads, which may be another one for each layer."""
    found = header.of_model(key)
    if isinstance(found, list):
        found = found[layer] if layer < len(found) else 0
    return found if isinstance(found, int) and found >= 0 else default


def usual_context(header: Header) -> int:
    """The context of a model for which none is set: as trained, and not more than most machines can hold."""
    return min(header.trained_context or USUAL_CONTEXT, USUAL_CONTEXT)


def to_stop(needed: int, free: int, idle: Sequence[int]) -> int | None:
    """How many of the idle servers have to stop, in their order, for a model to fit; None: all would not be enough.

    idle: the bytes that each of them gives back.
    """
    for count in range(len(idle) + 1):
        if needed <= free + sum(idle[:count]):
            return count
    return None


def refusal(what: str, need: Need, tokens: int, free: int, most: int, smaller: Mapping[str, int] | None = None) -> str:
    """Why a model does not fit, and what would. what: its name. most: tokens that make sense.
    smaller: bytes by name of its other quantizations."""
    said = (
        f"{what} does not fit: it takes {size_text(need.total(tokens))} with a context of {tokens} tokens "
        f"({size_text(need.weights)} of weights, {size_text(need.cache(tokens))} for the context, and a tenth to work "
        f"with), and {size_text(free)} are free"
    )
    largest = need.largest_context(free, min(tokens, most))
    if largest:
        return f"{said}. The largest context that fits is `num_ctx = {largest}`"
    room = round(free / _SPARE) - need.cache(min(tokens, _STEP))
    fitting = {name: size for name, size in (smaller or {}).items() if size <= room}
    if fitting:
        best = max(fitting, key=lambda name: fitting[name])
        return f"{said}. The largest quantization that fits is {best} ({size_text(fitting[best])})"
    return f"{said}. No context fits: a file of at most {size_text(max(0, room))} would, so take a smaller quantization"
