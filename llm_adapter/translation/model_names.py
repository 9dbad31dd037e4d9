"""Names of models: those that call sites written for OpenAI use, and what names of embedding models have in common."""

from __future__ import annotations

CHAT_NAME = "gpt-4o-mini"
EMBEDDING_NAME = "text-embedding-3-small"
# "gpt-oss" is a model that other servers run, and "text-embedding-" the beginning of LM Studio's names, too.
_OPENAIS = (
    *(f"{family}{number}" for family in ("gpt-", "o") for number in range(1, 10)),
    *("chatgpt", "text-embedding-3", "text-embedding-ada", "text-davinci", "davinci", "babbage", "whisper", "dall-e"),
)
_EMBEDDING_PARTS = ("embed", "minilm", "bge-", "gte-", "e5-")


def names_embedding_model(name: str) -> bool:
    """Whether a server's model is one for embeddings, as far as its name alone says: "nomic-embed-text", "bge-m3"."""
    own = name.lower().rpartition("/")[2]  # folders and owners of any name hold models of all kinds
    return any(part in own for part in _EMBEDDING_PARTS)


def names_openais_model(name: str) -> bool:
    """Whether a call site means a model of OpenAI's, whatever stands for it: "text-embedding-3-small"."""
    return name.startswith(_OPENAIS)
