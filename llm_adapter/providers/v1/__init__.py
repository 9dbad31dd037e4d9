"""Servers that speak /v1 and are not OpenAI: their own endpoints, in their dialect.

Source: the recordings' /v1 side; the sources of `dialect_rows`. Rule: what can be given by another request, or by
several, is given by the same code as on Ollama's native API; what cannot, the rows refuse.
"""

from __future__ import annotations

PATHS = frozenset({"/chat/completions", "/completions", "/embeddings"})
