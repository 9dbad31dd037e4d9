"""What `client.models` tells of models: the SDK's kind of objects, which keep every field that a newer server adds.

Source: ollama/api/types.go ShowResponse, ProcessModelResponse, ProgressResponse, v0.24.0 and v0.33.0-rc2.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from openai import BaseModel
from pydantic import ConfigDict


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow", protected_namespaces=())  # a field is called `model_info`


class ModelDetails(_Model):
    format: str | None = None
    family: str | None = None
    families: list[str] | None = None
    parameter_size: str | None = None  # "8.2B"
    quantization_level: str | None = None
    parent_model: str | None = None


class ModelInfo(_Model):
    """One installed model: `client.models.show()`."""

    model: str
    details: ModelDetails | None = None
    capabilities: list[str] | None = None  # of completion, tools, insert, vision, embedding, thinking, image, audio
    model_info: dict[str, Any] | None = None  # of the weights' file: "general.architecture", ...
    projector_info: dict[str, Any] | None = None
    parameters: str | None = None  # lines of a name and a value
    template: str | None = None
    system: str | None = None
    messages: list[dict[str, Any]] | None = None
    license: str | None = None
    modelfile: str | None = None
    renderer: str | None = None
    parser: str | None = None
    requires: str | None = None  # the oldest server that runs it
    remote_model: str | None = None
    remote_host: str | None = None  # of a model that runs elsewhere: "https://ollama.com:443"
    modified_at: datetime | None = None

    @property
    def context_length(self) -> int | None:
        """What it was trained for, in tokens; what it is loaded with, `ps()` tells."""
        return self._of_architecture("context_length")

    @property
    def embedding_length(self) -> int | None:
        return self._of_architecture("embedding_length")

    @property
    def remote(self) -> bool:
        """Whether calls leave the server for another one."""
        return bool(self.remote_host or self.remote_model)

    def _of_architecture(self, name: str) -> int | None:
        info = self.model_info or {}
        value = info.get(f"{info.get('general.architecture')}.{name}")
        return value if isinstance(value, int) else None


class RunningModel(_Model):
    """One loaded model: `client.models.ps()`."""

    model: str
    name: str | None = None
    size: int | None = None  # bytes in memory
    size_vram: int | None = None  # of these, on the GPU
    context_length: int | None = None  # what it is loaded with, in tokens
    expires_at: datetime | None = None
    digest: str | None = None
    details: ModelDetails | None = None


class RunningModels(_Model):
    models: list[RunningModel] | None = None


class Version(_Model):
    version: str


class Blob(_Model):
    """Whether the server has a file."""

    held: bool


class PullProgress(_Model):
    """How far a pull, a push or a create has come. Bytes are those of all layers that are known by now."""

    status: str  # the server's own words
    phase: Literal["waiting", "transferring", "finishing", "done"] = "waiting"
    completed: int = 0  # bytes
    total: int = 0  # bytes; grows when the server comes to another layer
    percent: float = 0.0  # never goes back, and is 100 at the end alone
    rate: float | None = None  # bytes a second, over the last seconds
    eta: float | None = None  # seconds
    digest: str | None = None  # of the layer that the line is about

    @property
    def done(self) -> bool:
        return self.phase == "done"
