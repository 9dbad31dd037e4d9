"""A gateway: OpenAI's API for programs in any language, answered by a profile. Needs the extra `serve`."""

from llm_adapter.serve.gateway import Gateway, gateway

__all__ = ["Gateway", "gateway"]
