"""What becomes of a call site on the target: the rows and the code that the call itself would go by, and no server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from llm_adapter import responses
from llm_adapter.devtools.explain import Explanation, Verdict, explanation, parameter_rows
from llm_adapter.devtools.migrate.calls import Argument, Method, Site
from llm_adapter.devtools.migrate.literals import is_known
from llm_adapter.devtools.openai_rules import known_arguments, refusals, refused_argument
from llm_adapter.provider import Json
from llm_adapter.routing.connection import Connection
from llm_adapter.settings.hosts import is_openai
from llm_adapter.translation.parameters import Row, Rows

# What the SDK, or a wrapper around its client, keeps for itself: instructor, langfuse, posthog.
_NOT_SENT = frozenset(
    {
        *("extra_headers", "extra_query", "timeout", "idempotency_key", "betas"),
        *("response_model", "validation_context", "context", "hooks", "max_retries", "autodetect_images", "strict"),
        *("langfuse_prompt", "langfuse_public_key", "trace_id", "parent_observation_id", "session_id"),
        *("posthog_distinct_id", "posthog_trace_id", "posthog_properties", "posthog_privacy_mode", "posthog_groups"),
    }
)
# What a wrapper keeps of words that are others' too. Source: langfuse/openai.py OpenAiArgsExtractor, 4.0.
KEPT = {"langfuse": frozenset({"name", "metadata"})}
_MESSAGES = [{"role": "user", "content": "Hi"}]
_FUNCTION = {"name": "f", "description": "", "parameters": {"type": "object", "properties": {}}}
# In the place of what the text does not tell, so that the rest of the call can be judged.
_STAND_INS: dict[str, Json] = {
    "/chat/completions": {
        "model": "model",
        "messages": _MESSAGES,
        "tools": [{"type": "function", "function": _FUNCTION}],
        "functions": [_FUNCTION],
    },
    "/completions": {"model": "model", "prompt": "Hi"},
    "/embeddings": {"model": "model", "input": "Hi"},
    "/responses": {"model": "model", "input": "Hi", "tools": [{"type": "function", **_FUNCTION}]},
}
_NEEDED = ("model", "messages", "prompt", "input")
_REFUSALS = 8  # of one call that are looked for, one after the other


@dataclass(frozen=True)
class Target:
    """Where the code base is to run."""

    connection: Connection
    name: str  # for people
    assumed: bool = False  # nobody has said so: there is no configuration

    @cached_property
    def strict(self) -> bool:
        """Whether it is OpenAI itself, which refuses what others take."""
        return _is_openais(self.connection)

    @property
    def title(self) -> str:
        provider = self.connection.provider.name
        return self.name if self.name == provider else f"{self.name} (provider {provider})"

    def model(self, name: str) -> str:
        return self.connection.configured.model(name)


def argument_verdicts(site: Site, target: Target) -> list[tuple[Argument, Verdict]]:
    """What becomes of each argument of a call that has rows, in the order of the text."""
    kept = _NOT_SENT.union(*(KEPT[package] for package in site.wrappers & KEPT.keys()))
    given = [one for one in site.arguments if one.name not in kept]
    known = {one.name: one.value for one in given if is_known(one.value)}
    explained, refused = _explanation_and_refusals(target, site.method.path, _body(site, known, given))
    refused = {name: note for name, note in refused.items() if name in known or name not in _rows_of(explained)}
    if target.strict and explained.requests:
        for refusal in refusals(site.method.path, explained.requests[0].body or {}):
            refused.setdefault(refused_argument(refusal), str(refusal))
        refused = {name: note for name, note in refused.items() if name in known or _is_unknown(refused[name])}
    verdicts = {one.name: one for one in explained.verdicts()}
    found = [(one, _verdict(one, explained, verdicts.get(one.name), refused, known)) for one in given]
    if _is_openais(explained.connection):  # nothing stands between the call and OpenAI
        return [(one, Verdict(one.name, "honoured", "") if it.verdict == "passed on" else it) for one, it in found]
    return found


def unavailable(method: Method, target: Target) -> tuple[str, str]:
    """The verdict and the note on a method whose arguments have no rows; empty where there is nothing to say."""
    if method.path == "/models" or responses.serves(method.path) or target.strict:
        return "", ""
    explained = explanation(target.connection, method.path.replace("{id}", "id"), {})
    if explained.refusal is not None:
        return "refused", _without_policy(str(explained.refusal).partition(": ")[2].partition("; make such calls")[0])
    return "passed on", f"goes to the server's own `{method.path}` as it is; most local servers have none"


def hosted_tool(kind: str, target: Target) -> tuple[str, str]:
    """The verdict and the note on a hosted tool of this type; empty where OpenAI itself is the target."""
    if target.strict:
        return "", ""
    explained = _explanation_of(target, "/responses", {**_needed("/responses"), "tools": [{"type": kind}]})
    if explained.refusal is not None:
        return "refused", _without_policy(str(explained.refusal)).removeprefix("tools[0]: ")
    return "left out", f"a tool of type {kind!r} is not available on {target.name}"


def _is_openais(connection: Connection) -> bool:
    return connection.provider.name == "openai" and is_openai(connection.url("models"))


def _is_unknown(message: str) -> bool:
    """Whether a refusal is about the name alone, whatever the value."""
    return message.startswith(("Unrecognized request argument", "Unknown parameter"))


def _rows_of(explained: Explanation) -> Rows:
    return parameter_rows(explained.connection, explained.call.path)


def _body(site: Site, known: Json, given: list[Argument]) -> Json:
    """The call's arguments as far as they are known, with stand-ins for those that others depend on."""
    path = site.method.path
    stand_ins = _STAND_INS[path]
    names = {one.name for one in given}
    body = _needed(path) | {name: value for name, value in stand_ins.items() if name in names}
    if site.more and "tools" in stand_ins:
        body["tools"] = stand_ins["tools"]
    if site.more or "stream" in names or site.method.streams:
        body["stream"] = True
    body |= {
        one.name: 1 for one in given if one.name not in body and one.name not in known_arguments(path)
    }  # any value
    return body | known


def _explanation_and_refusals(target: Target, path: str, body: Json) -> tuple[Explanation, dict[str, str]]:
    """What a call would be, without what is refused of it, and why that is refused."""
    refused: dict[str, str] = {}
    explained = _explanation_of(target, path, body)
    while explained.refusal is not None and len(refused) < _REFUSALS:
        name = str(explained.refusal.error["param"] or "")
        if name not in body or name in refused:
            break
        refused[name] = _without_policy(str(explained.refusal))
        body = {key: value for key, value in body.items() if key != name}
        body = _needed(path) | body
        explained = _explanation_of(target, path, body)
    return explained, refused


def _explanation_of(target: Target, path: str, body: Json) -> Explanation:
    try:
        return explanation(target.connection, path, body)
    except Exception:  # the call itself would raise the same: its literals are nonsense, and only the names are judged
        return explanation(target.connection, path, _needed(path))


def _needed(path: str) -> Json:
    return {name: value for name, value in _STAND_INS[path].items() if name in _NEEDED}


def _verdict(
    one: Argument, explained: Explanation, verdict: Verdict | None, refused: dict[str, str], known: Json
) -> Verdict:
    row = _rows_of(explained).get(one.name)
    if one.name in refused:
        note = row.note if row is not None and row.verdict == "refused" else refused[one.name]
        return Verdict(one.name, "refused", note)
    if verdict is not None and (one.name in known or row is None):
        return replace(verdict, verdict="accepted") if one.value is None else verdict  # null changes nothing
    if row is None:
        return Verdict(one.name, "passed on", "")
    return _verdict_by_row(one.name, row, explained)


def _verdict_by_row(name: str, row: Row, explained: Explanation) -> Verdict:
    """The verdict on an argument whose value the text does not tell."""
    policy = explained.connection.resolved.policy(name)
    if row.verdict == "refused" and policy != "error":
        return Verdict(name, "left out", f"{row.note} (`unsupported = {policy!r}`)")
    return Verdict(name, row.verdict, row.note)


def _without_policy(message: str) -> str:
    return message.partition("; `unsupported =")[0]


def verdict_counts(verdicts: Sequence[str]) -> dict[str, int]:
    """How often each verdict was given, the gravest first."""
    order = ("refused", "left out", "ignored", "emulated", "passed on", "honoured", "accepted")
    return {one: verdicts.count(one) for one in order if one in verdicts}
