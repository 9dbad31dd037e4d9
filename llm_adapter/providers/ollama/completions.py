"""POST /completions  ↔  POST /api/generate

Source: ollama/openai/openai.go FromCompleteRequest, ToCompletion, v0.24.0, which wraps the prompt in the model's chat
template and loses the logprobs. Rule: `raw: true`, so that the model sees what the caller wrote.
"""

from __future__ import annotations

import json
from typing import Any

from llm_adapter.errors import checked
from llm_adapter.provider import Call, Flow, Json, NativeReply, NativeRequest, Rejected
from llm_adapter.providers.ollama import wire
from llm_adapter.providers.ollama.chat import FINGERPRINT
from llm_adapter.providers.ollama.events import Lines
from llm_adapter.providers.ollama.params import COMPLETIONS
from llm_adapter.repair import INTERRUPTED


def flow(call: Call) -> Flow:
    """One request, one reply."""
    reply: NativeReply = yield NativeRequest("POST", "/api/generate", request(call), stream=call.stream)
    checked(reply, call.path)
    return Events(call) if call.stream else response(call, reply.json())


def request(call: Call) -> Json:
    """The native request. Raises `Rejected`."""
    return wire.generating(COMPLETIONS, call, {"prompt": _prompt(call.body.get("prompt")), "raw": True})


def response(call: Call, native: Json) -> Json:
    """The text completion of one native reply. Raises `Rejected` when it is not complete."""
    if not native.get("done"):
        raise Rejected(INTERRUPTED, status=502, kind="api_error")
    choice = _choice(native.get("response") or "", logprobs(native, 0), native.get("done_reason") or "stop")
    return {
        **_head(call, native),
        "choices": [choice | _thinking(native)],
        "usage": wire.usage(native),
        "ollama": wire.timings(native),
    }


def logprobs(native: Json, offset: int) -> Json | None:
    """The parallel lists of the completions form, or None. offset: where in the text the first token begins."""
    given = native.get("logprobs")
    if not given:
        return None
    tokens = [one["token"] for one in given]
    starts = [offset + sum(map(len, tokens[:place])) for place in range(len(tokens))]
    return {
        "tokens": tokens,
        "token_logprobs": [one["logprob"] for one in given],
        "top_logprobs": [
            {other["token"]: other["logprob"] for other in one.get("top_logprobs") or ()} for one in given
        ],
        "text_offset": starts,
    }


class Events(Lines):
    """The chunks of a streamed completion."""

    _offset = 0

    def chunks(self, native: Json) -> bytes:
        text = native.get("response") or ""
        reason = (native.get("done_reason") or "stop") if native.get("done") else None
        logs = logprobs(native, self._offset)
        self._offset += len(text)
        choice = _choice(text, logs, reason) | _thinking(native)
        if not native.get("done"):
            return self._event(native, [choice], {})
        if not wire.include_usage(self.call):
            return self._event(native, [choice], {"ollama": wire.timings(native)})
        counts = {"usage": wire.usage(native), "ollama": wire.timings(native)}
        return self._event(native, [choice], {}) + self._event(native, [], counts)

    def _event(self, native: Json, choices: list[Json], more: Json) -> bytes:
        return b"data: " + json.dumps({**_head(self.call, native), "choices": choices, **more}).encode() + b"\n\n"


def _prompt(prompt: Any) -> str:
    match prompt:
        case str() | [str()]:
            return prompt if isinstance(prompt, str) else str(prompt[0])
        case None:
            raise Rejected("`prompt` is required", param="prompt", code="missing_required_parameter")
        case [str(), *_]:
            raise Rejected("`prompt` must be one string on provider 'ollama'", param="prompt", code="unsupported_value")
        case _:
            raise Rejected(
                "`prompt` as token ids is not available on provider 'ollama': the ids are another model's; send text",
                param="prompt",
                code="unsupported_value",
            )


def _head(call: Call, native: Json) -> Json:
    return {
        "id": f"cmpl-{call.id}",
        "object": "text_completion",
        "created": call.created,
        "model": native.get("model") or call.body.get("model"),
        "system_fingerprint": FINGERPRINT,
    }


def _choice(text: str, logs: Json | None, reason: str | None) -> Json:
    return {"index": 0, "text": text, "logprobs": logs, "finish_reason": reason}


def _thinking(native: Json) -> Json:
    return {"reasoning": native["thinking"]} if native.get("thinking") else {}
