"""`reasoning_effort` on a model that cannot think.

Ollama itself checks before it generates, and answers 400 (the recordings think_unsupported and think, jinja); "none" is
accepted by every model. So nothing is asked beforehand: `unsupported` in the settings decides when the refusal comes.
"""

from __future__ import annotations

from dataclasses import replace

from llm_adapter.provider import Call, Rejected
from llm_adapter.translation.parameters import refuses, unsupported


def without_thinking(call: Call, refusal: Rejected) -> Call:
    """The call without thinking, after the server refused it. Raises the refusal itself where it is about something
    else, or where `unsupported` is "error"."""
    error = refusal.error
    if error["param"] != "reasoning_effort" or refuses(call, "reasoning_effort"):
        raise refusal
    unsupported(call, "reasoning_effort", f"`reasoning_effort`: {error['message']}")
    kept = {name: value for name, value in call.body.items() if name not in ("reasoning_effort", "think")}
    return replace(call, body=kept, settings=call.settings.model_copy(update={"think": None}))
