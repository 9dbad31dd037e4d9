"""OpenAI's endpoints that no Ollama server ever had: refused by name, before anything is sent.

Source: the routes of ollama/server/routes.go, v0.14.3 to v0.33.0-rc2; the paths of openai-python src/openai/resources,
v3.52.0, against which tests/test_endpoints.py holds the table.
"""

from __future__ import annotations

from llm_adapter.provider import Call, Endpoint, Flow, Rejected

ELSEWHERE = (
    "make such calls with a client of another profile, client.copy(profile=...), or, where they name a model, "
    "put a provider before it: model='openai/...'"
)
_STORED = "Ollama stores nothing; the Responses API of this client does"
_AGENTS = "Ollama runs no agents; the Agents SDK on this client does"
_ADMIN = "it administers an account at OpenAI"

# A path, or what it begins with, to why.
UNAVAILABLE: dict[str, str] = {
    "/moderations": "Ollama does not moderate; a guard model (llama-guard3, shieldgemma) does it in a chat",
    "/files": "Ollama stores no files; put a text into the message, an image into it as a data URL",
    "/uploads": "Ollama stores no files",
    "/batches": "Ollama runs no batches; send the requests side by side",
    "/vector_stores": "Ollama stores no vectors; keep those of client.embeddings in an index of your own",
    "/assistants": _AGENTS,
    "/threads": _AGENTS,
    "/agents": _AGENTS,
    "/chatkit": _AGENTS,
    "/skills": _AGENTS,
    "/vaults": _AGENTS,
    "/containers": "Ollama runs no code",
    "/fine_tuning": "Ollama does not train; it runs adapters that were trained elsewhere (ollama create)",
    "/evals": "Ollama runs no evaluations",
    "/realtime": "Ollama has no realtime sessions",
    "/live": "Ollama has no realtime sessions",
    "/videos": "Ollama makes no videos",
    "/audio/speech": "Ollama does not speak",
    "/audio/translations": "Ollama only transcribes: client.audio.transcriptions",
    "/audio/voices": "Ollama does not speak",
    "/audio/voice_consents": "Ollama does not speak",
    "/images/edits": "no Ollama version takes the form that the SDK sends",
    "/images/variations": "Ollama makes no variations",
    "/chat/completions/": _STORED,
    "/decisions": "Ollama has nothing like it",
    "/content_provenance_checks": "Ollama has nothing like it",
    "/safety": _ADMIN,
    "/organization": _ADMIN,
    "/projects": _ADMIN,
    "/webhook_endpoints": _ADMIN,
    "/webhook_event_types": _ADMIN,
}


def unavailable(method: str, path: str) -> Endpoint | None:
    """The endpoint that refuses this call, or None: the call may be for the server's own /v1."""
    if (method, path) == ("GET", "/chat/completions"):
        return _refuse
    return _refuse if _reason(path) else None


def unsupported_endpoint(message: str) -> Rejected:
    """The SDK raises it as `openai.NotFoundError`, as for a server that answers so."""
    return Rejected(message, status=404, code="unsupported_endpoint")


def _reason(path: str) -> str | None:
    for begin, reason in UNAVAILABLE.items():
        if path == begin or path.startswith(begin if begin.endswith("/") else f"{begin}/"):
            return reason
    return None


def _refuse(call: Call) -> Flow:
    raise unsupported_endpoint(
        f"`{call.path}` is not available on provider 'ollama': {_reason(call.path) or _STORED}; {ELSEWHERE}"
    )
    yield  # a generator, as every endpoint
