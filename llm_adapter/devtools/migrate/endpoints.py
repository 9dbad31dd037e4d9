"""OpenAI's methods as a text calls them, and the endpoints that they are.

Source: openai-python src/openai/resources, v3.52.0; tests hold the table against the SDK's own clients.
"""

from __future__ import annotations

from typing import NamedTuple

CREATING = ("create", "parse", "stream")
# The four endpoints whose arguments have rows.
MAIN = {
    "chat.completions": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
    "responses": "/responses",
}
# What is below a resource and is none of the four: its path begins so. The longest name counts.
_RESOURCES = {
    "chat.completions": "/chat/completions/{id}",
    "responses": "/responses/{id}",
    "models": "/models",
    "images.generate": "/images/generations",
    "images.edit": "/images/edits",
    "images.create_variation": "/images/variations",
    "audio.transcriptions": "/audio/transcriptions",
    "audio.translations": "/audio/translations",
    "audio.speech": "/audio/speech",
    "audio.voices": "/audio/voices",
    "audio.voice_consents": "/audio/voice_consents",
    "files": "/files",
    "uploads": "/uploads",
    "batches": "/batches",
    "moderations": "/moderations",
    "fine_tuning": "/fine_tuning",
    "vector_stores": "/vector_stores",
    "beta.vector_stores": "/vector_stores",
    "beta.assistants": "/assistants",
    "beta.threads": "/threads",
    "beta.chatkit": "/chatkit",
    "beta.realtime": "/realtime",
    "beta.responses": "/responses",
    "beta.agents": "/agents",
    "realtime": "/realtime",
    "conversations": "/conversations",
    "containers": "/containers",
    "content_provenance_checks": "/content_provenance_checks",
    "evals": "/evals",
    "skills": "/skills",
    "videos": "/videos",
    "admin": "/organization",
    "decisions": "/decisions",
    "live": "/live",
    "safety": "/safety",
}
# Ends of chains, beside the four endpoints', that hardly any other package's clients have, and their resources.
_TELLING = frozenset(
    {
        *("images.generate", "images.edit", "images.create_variation", "audio.speech.create"),
        *("audio.transcriptions.create", "audio.translations.create", "moderations.create"),
        *("files.create", "batches.create", "fine_tuning.jobs.create"),
    }
)
_TELLING_RESOURCES = frozenset({("beta", "threads"), ("beta", "assistants")})
# Resources below resources: one that is handed on, `return client.beta.threads.runs`, is no call.
_GROUPS = frozenset(
    {
        *("messages", "runs", "steps", "files", "file_batches", "jobs", "checkpoints", "permissions", "alpha"),
        *("graders", "input_items", "input_tokens", "output_items", "items", "parts", "sessions", "versions"),
        *("transcription_sessions", "translations", "calls", "client_secrets", "forks", "sideband"),
        *("alerts", "cases", "threads"),
    }
)
# What the client has beside its resources, or a resource beside its calls: nothing is sent.
LOCAL = frozenset({"webhooks"})
# Our own verbs, which OpenAI's client lacks (llm_adapter/management.py).
_OF_MODELS = ("pull", "push", "create", "copy", "show", "ps", "load", "unload", "preload", "version")


class Method(NamedTuple):
    """One method of the API."""

    name: str  # "chat.completions.create"
    http: str
    path: str  # below /v1
    main: bool = False  # its arguments have rows


def method(chain: tuple[str, ...]) -> Method | None:
    """The method that a chain of attributes is; None where it is none."""
    parts = chain[1:] if chain[:2] == ("beta", "chat") else chain
    resource, last = ".".join(parts[:-1]), parts[-1] if parts else ""
    if last.startswith("_") or not resource or last in _GROUPS:
        return None
    name = ".".join(parts)
    if resource in MAIN and last in CREATING and not (resource in ("completions", "embeddings") and last != "create"):
        return Method(name, "POST", MAIN[resource], main=True)
    if resource == "models" and last in _OF_MODELS:
        return None
    for length in range(len(parts), 0, -1):
        path = _RESOURCES.get(".".join(parts[:length]))
        if path is not None and (length < len(parts) or path.startswith("/images")):
            return Method(name, _http(last), path)
    return None


def telling(chain: tuple[str, ...]) -> tuple[str, ...] | None:
    """The end of a chain that only OpenAI's clients have, whatever it is called on."""
    for start in range(len(chain) - 1):
        end = chain[start:]
        if end[-1] in CREATING and ".".join(end[:-1]) in MAIN and method(end) is not None:
            return end
        if (".".join(end) in _TELLING or (len(end) > 2 and end[:2] in _TELLING_RESOURCES)) and method(end) is not None:
            return end
    return None


def _http(verb: str) -> str:
    if verb in ("list", "retrieve", "content", "retrieve_content", "search"):
        return "GET"
    return "DELETE" if verb == "delete" else "POST"
