"""What becomes of each OpenAI parameter on one backend: honoured, emulated, ignored or refused, and why.

A table has one row a parameter. Requests are made by it (`translate`), the tables of the documents are made of it, and
a test holds it against the SDK's own types: no parameter is dropped because nobody thought of it. What all backends
but OpenAI have in common stands here, at the end; the rest in the `parameters` modules of `providers` and `responses`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from llm_adapter.provider import Call, Json, Rejected
from llm_adapter.settings.errors import near, warn_caller

Verdict: TypeAlias = Literal["honoured", "emulated", "ignored", "refused"]
Apply: TypeAlias = Callable[[Any, Json, Call], None]


def _never(value: Any) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter on one provider."""

    verdict: Verdict
    note: str  # how it is honoured, or why not
    source: str = ""  # where the fact comes from: file, symbol, version
    apply: Apply | None = None  # writes the value into the native request
    harmless: Callable[[Any], bool] = _never  # values that are what happens anyway: nothing is refused, or emulated


Rows: TypeAlias = Mapping[str, Row]  # by parameter
_ABOUT_TOOLS = ("tools", "functions", "tool_choice", "function_call", "parallel_tool_calls")


def honoured(note: str, apply: Apply | None = None, *, source: str = "") -> Row:
    """A parameter that means the same on the backend. Without `apply`, the endpoint's code carries it."""
    return Row("honoured", note, source, apply)


def emulated(
    note: str, apply: Apply | None = None, *, source: str = "", harmless: Callable[[Any], bool] = _never
) -> Row:
    """A parameter that the backend lacks, and that is made of other requests, or of the reply."""
    return Row("emulated", note, source, apply, harmless)


def ignored(reason: str, *, source: str = "") -> Row:
    """A parameter that only labels a request: it is accepted and left out."""
    return Row("ignored", reason, source)


def refused(reason: str, *, source: str = "", harmless: Callable[[Any], bool] = _never) -> Row:
    """A parameter that changes the reply and cannot be done: a 400 that names it, unless the settings say otherwise."""
    return Row("refused", reason, source, None, harmless)


def among(*accepted: Any) -> Callable[[Any], bool]:
    """For a row's `harmless`: whether the value is one of these."""
    return lambda value: value in accepted


def only(value: Any, reason: str, *, source: str = "") -> Row:
    """A parameter of which one value is accepted, because it is what happens anyway."""
    return refused(reason, source=source, harmless=lambda given: bool(given == value))


def field(name: str, note: str = "", *, source: str = "") -> Row:
    """A top-level field of the native request with the same meaning."""

    def apply(value: Any, native: Json, call: Call) -> None:
        native[name] = value

    return honoured(note or f"`{name}`", apply, source=source)


def option(name: str, note: str = "", *, source: str = "") -> Row:
    """An entry of the native request's `options` with the same meaning."""

    def apply(value: Any, native: Json, call: Call) -> None:
        native.setdefault("options", {})[name] = value

    return honoured(note or f"`options.{name}`", apply, source=source)


def effort_as(name: str, efforts: Mapping[str, bool | str]) -> Apply:
    """For `reasoning_effort`: writes it into the field of this name. efforts: OpenAI's words to the server's."""

    def apply(value: Any, native: Json, call: Call) -> None:
        if value not in efforts:
            raise Rejected(
                f"`reasoning_effort` must be one of {', '.join(efforts)}, not {value!r}",
                param="reasoning_effort",
                code="invalid_value",
            )
        native[name] = efforts[value]

    return apply


def note_emulated_tools(rows: Rows, body: Json, call: Call) -> None:
    """Note in the report which of a call's parameters about tools are emulated; the endpoint's code does it."""
    for name in _ABOUT_TOOLS:
        row = rows[name]
        if body.get(name) is not None and row.verdict == "emulated" and not row.harmless(body[name]):
            call.report.note("emulated", name)


def translate(rows: Rows, call: Call, native: Json, *, where: str) -> None:
    """Write every argument of the call into `native` by its row. None is OpenAI's "not given".

    Raises `Rejected` for a refused or unknown parameter, unless the settings say "warn" or "ignore".
    where: what the call goes to, for messages: "provider 'ollama'".
    """
    for name, value in call.body.items():
        row = rows.get(name)
        if value is None:
            continue
        if row is None:
            hint = near(name, rows, "`")
            unsupported(call, name, f"`{name}` is not a parameter of {call.path} on {where}{hint}")
        else:
            write_argument(row, name, value, native, call, where)


def write_argument(row: Row, name: str, value: Any, native: Json, call: Call, where: str) -> bool:
    """Write one argument by its row. Returns whether it may be sent: False for what is refused and left out."""
    if row.apply is not None:
        row.apply(value, native, call)
    elif row.verdict == "ignored":
        call.report.note("ignored", name)
    elif row.verdict == "refused" and not row.harmless(value):
        unsupported(call, name, f"`{name}` is not available on {where}: {row.note}")
        return False
    return True


def several_requests(value: Any, native: Json, call: Call) -> None:
    """For the rows of `n` and `best_of`: the endpoint's code sends that many requests. Raises `Rejected`."""
    checked_count(value, native, call)
    if value > 1:
        call.report.note("emulated", "n" if call.body.get("n") == value else "best_of")


def checked_count(value: Any, native: Json, call: Call) -> None:
    """For the rows of `n` and `best_of` of a server that has them. Raises `Rejected` for what is no such number."""
    least = 0 if call.body.get("n") != value else 1  # OpenAI takes 0 for `best_of`, as "not given"
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 128:
        raise Rejected("`n` and `best_of` must be whole numbers up to 128", param="n", code="invalid_value")


def stop_sequences(value: Any) -> list[str]:
    """The sequences of `stop` that hold something. Raises `Rejected` for what are no sequences.

    An empty list would replace the model's own on Ollama, and an empty sequence would end a reply at once.
    """
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise Rejected("`stop` must be a string or a list of strings", param="stop", code="invalid_type")
    return [one for one in given if one]


def _pass_stop(value: Any, body: Json, call: Call) -> None:
    given = stop_sequences(value)
    if not given:
        del body["stop"]
    elif given != value and value not in given:
        body["stop"] = given


def check_token_limits(call: Call) -> None:
    """Raises `Rejected` where the two names of one limit are given with two values."""
    both = (call.body.get("max_tokens"), call.body.get("max_completion_tokens"))
    if None not in both and both[0] != both[1]:
        raise Rejected(
            "`max_tokens` and `max_completion_tokens` are given and differ: give one of them", param="max_tokens"
        )


def refuses(call: Call, name: str) -> bool:
    """Whether the settings want a call refused that asks of this parameter what cannot be done."""
    return call.settings.policy(name) == "error"


def unsupported(call: Call, name: str, message: str, *, part: str = "") -> None:
    """Apply the settings' policy to something that cannot be done. Raises `Rejected` when it is "error".

    part: what the report says was left out, where it is not the whole parameter: "tools.web_search".
    """
    call.report.note("left_out", part or name)
    match call.settings.policy(name):
        case "error":
            hint = f'; `unsupported = {{ {name} = "warn" }}` in the profile leaves it out instead'
            raise Rejected(message + hint, param=name, code="unsupported_parameter")
        case "warn":
            warn_caller(f"left out: {message}")
        case "ignore":
            pass


def warn_of_unknown(call: Call, name: str, server: str, known: Iterable[str]) -> None:
    """Warn of a name that a server reads over in silence. It is sent all the same: a newer one may know it."""
    call.report.note("unknown", name)
    warn_caller(f"`{name}` is passed on to {server}, which is not known to read it{near(name, known, '`')}")


def prompt_list(note: str) -> Row:
    """For the `prompt` of completions: a list of them is emulated, one is only passed on."""
    return emulated(note, harmless=lambda prompt: isinstance(prompt, str))


def rows_of(names: str, row: Row) -> dict[str, Row]:
    """The same row for several parameters. names: separated by spaces."""
    return dict.fromkeys(names.split(), row)


PASSED = honoured("passed on")
LABEL = ignored("only labels the request at OpenAI; the reply is the same")
PREFIX_CACHE = ignored("the server caches by prefix on its own")
N = emulated("as many requests, side by side; a seed is counted up", several_requests, harmless=among(1))
NO_LOGIT_BIAS = refused("Ollama's sampler has no per-token bias", harmless=lambda bias: not bias)

SPEAKERS = "a `name` is put before the text where several speakers share a role"
AFTER_TOOLS = "with tools, it is asked for when the model calls none"

# What servers but OpenAI's have in common. Each has a table of its own with what it does otherwise.
CHAT: Rows = {
    "messages": honoured(f"passed on; leading system and developer messages become one; {SPEAKERS}"),
    **rows_of("model stream stream_options", PASSED),
    **rows_of("temperature top_p seed frequency_penalty presence_penalty", PASSED),
    "stop": honoured("passed on", _pass_stop),
    "logit_bias": PASSED,
    **rows_of("max_tokens max_completion_tokens logprobs top_logprobs reasoning_effort", PASSED),
    "response_format": honoured(f"passed on; the reply is checked, and sent back once if it is wrong; {AFTER_TOOLS}"),
    "tools": honoured("passed on; calls of `strict` ones are checked, and calls that come as text are taken for calls"),
    "tool_choice": honoured("passed on; none withholds the tools, a demanded call is checked"),
    "parallel_tool_calls": emulated("false keeps the first call", harmless=among(True)),
    "n": N,
    "audio": refused("the server gives no audio"),
    "modalities": only(["text"], "the server gives text only"),
    "function_call": emulated("the form before `tools`, as `tool_choice`", harmless=among("auto")),
    "functions": emulated("the form before `tools`, as `tools`; the reply is in the old form"),
    "web_search_options": refused("the server does not search"),
    "verbosity": refused("no local model knows it"),
    "prediction": ignored("only makes OpenAI faster; the reply is the same"),
    "moderation": refused("the server does not moderate"),
    **rows_of("metadata store user safety_identifier service_tier", LABEL),
    **rows_of("prompt_cache_key prompt_cache_options prompt_cache_retention", PREFIX_CACHE),
}
COMPLETIONS: Rows = {
    "prompt": prompt_list("a list as requests side by side"),
    **rows_of("model stream stream_options", PASSED),
    **rows_of("temperature top_p seed frequency_penalty presence_penalty", PASSED),
    "stop": honoured("passed on", _pass_stop),
    "logit_bias": PASSED,
    **rows_of("max_tokens suffix logprobs", PASSED),
    "best_of": emulated(
        "as many requests, ranked by their mean log probability; not streamed", several_requests, harmless=among(0, 1)
    ),
    "echo": emulated("the prompt is put before the text; without logprobs of it", harmless=among(False)),
    "n": N,
    "user": LABEL,
}
EMBEDDINGS: Rows = {
    "input": honoured(
        "passed on; with `token_encoding` in the profile, token ids as the text that they mean; under a name of "
        "OpenAI's they need it"
    ),
    **rows_of("model encoding_format", PASSED),
    "dimensions": honoured("passed on; vectors of another length are an error"),
    "user": LABEL,
}
# What Ollama does otherwise, over its native API and over its /v1 alike.
OLLAMA_CHAT: Rows = {
    "logit_bias": NO_LOGIT_BIAS,
    "tools": honoured("what Ollama would drop of a schema is inlined, or told in descriptions"),
    "tool_choice": emulated(
        "none withholds the tools; required and a named function constrain the reply to a call, with thinking off",
        source="ollama/api/types.go ChatRequest, openai/openai.go ChatCompletionRequest, v0.24.0: no such field",
        harmless=among("auto"),
    ),
}
