"""Settings and profiles: what configuration says, read once into one frozen value that knows where each part is from.

`Settings(...)` is a plain value and reads nothing. `Settings.load(...)` reads files and the environment
(see `sources`), and is what `OpenAI()` does on its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal

from openai import OpenAIError
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from llm_adapter.hosts import InvalidHostError, ollama_root, openai_base_url
from llm_adapter.provider import Provider

PROVIDER_NAMES = ("openai", "ollama", "embedded")


class SettingsError(OpenAIError, ValueError):
    """Configuration that cannot be used: says what, where and what to do. Raised when a client is made."""


class Settings(BaseModel):
    """Where calls go and how. Frozen; a field that is not set leaves the backend's own default."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())

    provider: str | Provider = Field("openai", description="`openai`, `ollama`, `embedded`, or a `Provider` instance")
    host: str | None = Field(None, description="Ollama's address, in any form that OLLAMA_HOST takes")
    base_url: str | None = Field(None, description="a `/v1` server's address, for provider `openai`")
    dialect: Literal["openai", "ollama", "llamacpp", "vllm", "lmstudio"] | None = Field(
        None, description="which `/v1` server it is; guessed from the server when not given"
    )
    api_key: SecretStr | None = Field(None, description="the key for this host, and for no other")
    api_key_env: str | None = Field(None, description="the environment variable that holds it")
    models: dict[str, str] = Field(
        default_factory=dict, description="call-site model names to the provider's; `*` for all others"
    )
    keep_alive: str | int | float | None = Field(
        None, description='how long Ollama keeps the model loaded: a duration, "30m", or seconds; negative for ever'
    )
    num_ctx: int | None = Field(
        None, gt=0, description="the context to load a model with, in tokens (Ollama, embedded)"
    )
    think: bool | Literal["low", "medium", "high", "max"] | None = Field(
        None, description="whether thinking models think, when a call does not say (Ollama)"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Ollama's `options` for every call")
    truncate: bool = Field(False, description="let Ollama cut a prompt that does not fit; an error otherwise")
    shift: bool | None = Field(None, description="let Ollama drop old tokens while it generates; a load-time option")
    unsupported: Literal["error", "warn", "ignore"] = Field(
        "error", description="what becomes of a parameter that the provider cannot honour"
    )
    sampling_defaults: Literal["model", "openai"] = Field(
        "model", description="whose temperature and top_p stand when a call gives none (Ollama)"
    )
    trust_env: bool | None = Field(
        None, description="use the environment's proxies; by default for every host but loopback"
    )
    model_path: str | None = Field(None, description="a GGUF file for provider `embedded`; none: the two small models")
    embedding_model_path: str | None = Field(None, description="a GGUF file for embeddings (embedded)")
    n_gpu_layers: int | None = Field(None, description="layers to put on the GPU (embedded); all that fit by default")

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise SettingsError(explain(error)) from None
        self._origins.update(dict.fromkeys(self.model_fields_set, "argument"))

    @classmethod
    def load(
        cls, environ: Mapping[str, str] | None = None, *, profile: str | None = None, **arguments: Any
    ) -> Settings:
        """The settings that configuration names: defaults < user file < project file < environment < arguments.

        environ: os.environ by default. Raises `SettingsError`.
        """
        from llm_adapter.sources import load

        return load(cls, environ, profile, arguments)

    def origin(self, field: str) -> str:
        """Where the value of a field came from: "default", "argument", or a file's or variable's name."""
        if field not in type(self).model_fields:
            raise AttributeError(f"no field {field!r} in Settings{near(field, type(self).model_fields)}")
        return self._origins.get(field, "default")

    @property
    def configured(self) -> bool:
        """Whether anything at all was chosen; if not, a client behaves exactly like `openai`."""
        return bool(self.model_fields_set)

    def model(self, name: str) -> str:
        """The provider's name for a call site's model. A name that is already the provider's stays."""
        if name in self.models:
            return self.models[name]
        return name if name in self.models.values() else self.models.get("*", name)

    def located(self, origins: Mapping[str, str]) -> Settings:
        """This value, knowing where its fields came from."""
        self._origins.update(origins)
        return self

    @field_validator("provider")
    @classmethod
    def _known_provider(cls, provider: str | Provider) -> str | Provider:
        if isinstance(provider, str) and provider not in PROVIDER_NAMES:
            raise ValueError(f"unknown provider {provider!r}: expected one of {', '.join(PROVIDER_NAMES)}")
        return provider

    @field_validator("host")
    @classmethod
    def _root(cls, host: str | None) -> str | None:
        return None if host is None else _understood(ollama_root, host)

    @field_validator("base_url")
    @classmethod
    def _base_url(cls, base_url: str | None) -> str | None:
        return None if base_url is None else _understood(openai_base_url, base_url)

    @field_validator("keep_alive")
    @classmethod
    def _duration(cls, value: str | float | None) -> str | float | None:
        # Ollama refuses "300": a bare number in a string has no unit (recordings: bad_keep_alive). As a number it has.
        if isinstance(value, str) and value.lstrip("+-").isdigit():
            return int(value)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.host and self.base_url:
            raise ValueError("`host` is for provider ollama and `base_url` for provider openai: give one of them")
        if self.host and self.provider in ("openai", "embedded"):
            raise ValueError(f"`host` is for provider ollama; provider {self.provider!r} does not use it")
        return self


def near(name: str, known: Mapping[str, Any] | list[str]) -> str:
    """A hint with the nearest known name, or nothing."""
    matches = get_close_matches(name, list(known), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def explain(error: ValidationError) -> str:
    """One line for a validation error: the field, what is wrong, the nearest name. Never the value of a key."""
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        if item["type"] == "extra_forbidden":
            lines.append(f"unknown setting {name!r}{near(name, Settings.model_fields)}")
        else:
            message = item["msg"].removeprefix("Value error, ")
            lines.append(f"{name}: {message}" if name else message)
    return "; ".join(dict.fromkeys(lines))


def _understood(parse: Any, value: str) -> str:
    try:
        return str(parse(value))
    except InvalidHostError as error:
        raise ValueError(str(error)) from None
