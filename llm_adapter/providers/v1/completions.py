"""POST /completions  ↔  the same on a /v1 server that is not OpenAI: one request a text, side by side.

Ollama's /v1 takes one prompt and no `n`; llama.cpp takes several and counts the tokens of the first alone, and leaves
`echo`, `best_of` and `suffix` out in silence (measured on llama.cpp of 2026-10). vLLM does it all but `best_of`.
"""

from __future__ import annotations

from functools import partial

from llm_adapter.provider import Call, Events, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.v1.chat import seeded
from llm_adapter.providers.v1.dialects import Dialect
from llm_adapter.providers.v1.repair import repaired
from llm_adapter.providers.v1.stream import Stream, Tally
from llm_adapter.translation.completions import Texts, combined, logprobs
from llm_adapter.translation.errors import checked
from llm_adapter.translation.parallel import Several, Steps, together
from llm_adapter.translation.token_ids import of_ids

_OURS = ("n", "best_of", "echo", "prompt")


def flow(call: Call, dialect: Dialect) -> Flow:
    """One request for each text, or one for all where the server counts itself."""
    body = dialect.body(call)
    if dialect.counts and (body.get("best_of") or 0) <= (body.get("n") or 1):
        return (yield from _at_once(call, {name: body[name] for name in body if name != "best_of"}))
    asked = Texts.of(call, dialect.where, ids=dialect.ids)
    bodies = [one for prompt in asked.prompts for one in seeded(_single(asked, body, prompt), asked.candidates)]
    if call.stream:
        replies = yield [NativeRequest("POST", None, one, stream=True) for one in bodies]
        for reply in replies:
            checked(reply, call.path)
        return streams(call, asked)
    return combined(asked, (yield from together([_answered(call, one) for one in bodies])))


def _at_once(call: Call, body: Json) -> Flow:
    """The call as the server takes it; token ids of a declared encoding are the text that they mean."""
    if call.settings.token_encoding and of_ids(body.get("prompt")):
        prompts = Texts.of(call, "").prompts
        body = {**body, "prompt": list(prompts)}
    reply: NativeReply = yield NativeRequest("POST", None, body, stream=call.stream)
    checked(reply, call.path)
    if not call.stream:
        return repaired(reply.json(), call.id)
    prompt = body.get("prompt")
    several = len(prompt) if isinstance(prompt, list) and not isinstance(prompt[0], int) else 1
    return Plain(call, 0, Tally(1, several * (body.get("n") or 1), 1), everything=False)


def _single(asked: Texts, body: Json, prompt: object) -> Json:
    own = {name: value for name, value in body.items() if name not in _OURS}
    ranked = {"logprobs": own.get("logprobs") or 1} if asked.candidates > asked.count else {}
    return {**own, "prompt": prompt, **ranked}


def _answered(call: Call, body: Json) -> Steps[Json]:
    """The text completion of one text. Raises `Rejected`."""
    reply: NativeReply = yield NativeRequest("POST", None, body)
    got: Json = checked(reply, call.path).json()
    if not isinstance(got, dict) or not got.get("choices"):
        raise Rejected(f"the server's reply has no choices: {reply.body[:200]!r}", status=502, kind="api_error")
    choice = got["choices"][0]
    return {**got, "choices": [{**choice, "logprobs": _logs(choice, 0)}]}


def _logs(choice: Json, offset: int) -> Json | None:
    """A choice's logprobs in the completions form: llama.cpp gives chat's."""
    given: Json | None = choice.get("logprobs")
    return logprobs(given["content"], offset) if given and "content" in given else given


def streams(call: Call, asked: Texts) -> Events:
    """The decoder of the streams of all texts."""
    count = len(asked.prompts) * asked.count
    tally = Tally(count, count, asked.count)
    make = partial(Text, call, asked=asked, tally=tally)
    return make(0) if count == 1 else Several([make(place) for place in range(count)])


class Plain(Stream):
    """The decoder of a stream that needs nothing."""

    def _choice(self, choice: Json) -> Json | None:
        return None


class Text(Stream):
    """The decoder of one text's stream."""

    def __init__(self, call: Call, place: int, asked: Texts, tally: Tally) -> None:
        super().__init__(call, place, tally, everything=asked.echo or asked.logprobs)
        self._before = asked.before(place)
        self._offset = 0

    def _choice(self, choice: Json) -> Json | None:
        text = self._before + (choice.get("text") or "")
        if choice.get("logprobs"):
            choice["logprobs"] = _logs(choice, self._offset + len(self._before))
        choice["text"], self._before = text, ""
        self._offset += len(text)
        return None
