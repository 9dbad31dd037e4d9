"""Servers that speak `/v1` and are not OpenAI: what is sent to each kind of them, and what its replies need.

What such a server lacks is made of other requests by the code that serves Ollama's native API, too; what cannot be made
is refused by a row of `parameters`. Source: the recordings of `/v1`, and the sources named in `parameters`.
"""

from __future__ import annotations

PATHS = frozenset({"/chat/completions", "/completions", "/embeddings"})
