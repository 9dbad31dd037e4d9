"""Names of models: those that call sites written for OpenAI use, and what names of embedding models have in common."""

from __future__ import annotations

CHAT_NAME = "gpt-4o-mini"
EMBEDDING_NAME = "text-embedding-3-small"
_EMBEDDING_PARTS = ("embed", "minilm", "bge-", "gte-", "e5-")


def names_embedding_model(name: str) -> bool:
    """Whether a server's model is one for embeddings, as far as its name alone says: "nomic-embed-text", "bge-m3"."""
    return any(part in name.lower() for part in _EMBEDDING_PARTS)
