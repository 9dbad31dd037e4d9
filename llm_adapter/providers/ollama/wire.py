"""What the native endpoints share: the profile's part of a request, and the reply's counts and timings."""

from __future__ import annotations

from llm_adapter.provider import Call, Json
from llm_adapter.providers.ollama.parameters import look_over
from llm_adapter.translation.parameters import Rows, translate
from llm_adapter.translation.token_count import estimate

# Nanoseconds, but for the counts (ollama/api/types.go Metrics, v0.24.0).
TIMINGS = (
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)


def request(rows: Rows, call: Call, native: Json) -> Json:
    """The native request: the endpoint's own part, the profile's defaults, the call's parameters over them."""
    settings = call.settings
    options = dict(settings.options)
    if options:
        look_over(call, options)
    if isinstance(settings.num_ctx, int):  # "auto" has become a number before (sizing.sized)
        options["num_ctx"] = settings.num_ctx
    if settings.sampling_defaults == "openai":
        # OpenAI's own defaults, for parity: Ollama's are the model's, or 0.8 and 0.9. What the profile says wins.
        options = {"temperature": 1.0, "top_p": 1.0, **options}
    native = {"model": call.body.get("model", ""), **native, "options": options}
    if settings.keep_alive is not None:
        native["keep_alive"] = settings.keep_alive
    translate(rows, call, native, provider="ollama")
    if not native["options"]:
        del native["options"]
    return native


def generating(rows: Rows, call: Call, native: Json) -> Json:
    """The same for the endpoints that generate: an over-long prompt is an error, thinking as the profile says."""
    settings = call.settings
    native = {**native, "stream": call.stream, "truncate": settings.overflow == "allow"}
    if settings.shift is not None:
        native["shift"] = settings.shift
    if settings.think is not None:
        native["think"] = settings.think
    return request(rows, call, native)


def usage(native: Json, prompt: str = "", reply: str = "", *, pieces: int = 0) -> Json:
    """OpenAI's usage from the counts of the last message.

    An older server gives no count for a cached prompt: it is estimated from the text then, and marked so (P31). Of a
    stream the pieces stand for the reply's text: Ollama sends one a token.
    """
    counts = {"prompt_tokens": native.get("prompt_eval_count"), "completion_tokens": native.get("eval_count")}
    texts = {"prompt_tokens": prompt, "completion_tokens": reply}
    known = {name: estimate(texts[name]) if count is None else count for name, count in counts.items()}
    if counts["completion_tokens"] is None:
        known["completion_tokens"] += pieces
    marked = {"estimated": True} if None in counts.values() else {}
    return {**known, "total_tokens": sum(known.values()), **marked}


def timings(*natives: Json) -> Json:
    """Ollama's own figures, `completion.ollama`; of several replies, their sums."""
    sums: Json = {}
    for one in natives:
        sums |= {name: sums.get(name, 0) + one[name] for name in TIMINGS if name in one}
    return sums


def seeded(native: Json, count: int) -> list[Json]:
    """The requests for `count` choices: a seed that the caller gave is counted up, so that they differ."""
    seed = native.get("options", {}).get("seed")
    if count == 1 or not isinstance(seed, int):
        return [native] * count
    return [{**native, "options": {**native["options"], "seed": seed + place}} for place in range(count)]
