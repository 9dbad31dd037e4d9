"""Settings and profiles: what configuration says, read once into one frozen value that knows where each part is from.

`Settings(...)` is a plain value and reads nothing. `Settings.load(...)` reads files and the environment
(see `sources`), and is what `OpenAI()` does on its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

from annotated_types import Gt
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

from llm_adapter.settings.errors import SettingsError, near
from llm_adapter.settings.hosts import InvalidHostError, ollama_root, openai_base_url
from llm_adapter.settings.provider_names import PROVIDER_NAMES, installed_providers, is_place
from llm_adapter.settings.read_only import ReadOnlyDict, read_only
from llm_adapter.settings.readers import ALL, EMBEDDED, KNOWN, NOT_OPENAI, OLLAMA, OPENAI, OVER_V1
from llm_adapter.settings.sizes import bytes_of
from llm_adapter.settings.trust import LeftOut

# Compiled where they are first used, as those of other modules: most programs use none of them.
_HEADER_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # RFC 9110, section 5.6.2
_HEADER_VALUE = r"\s*[\x21-\x7e]([\t\x20-\x7e]*\s*)"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_DURATION = r"[+-]?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+"  # Go's time.ParseDuration
_NUMBER = r"[+-]?[0-9]+(\.[0-9]+)?"

CALL_IS_PRIVATE = 'extra_body={"privacy": "local"}'  # the origin of `local_only` where one call asks for it


def _read_by(*readers: str, changes_reply: bool = False) -> dict[str, Any]:
    """Of a field: the servers that read it, if not all do, and whether it changes their replies. See `readers`."""
    return {"read_by": list(readers), "changes_reply": changes_reply}


_ON_OLLAMA = _read_by(OLLAMA, "/v1 ollama")
Policy: TypeAlias = Literal["error", "warn", "ignore"]
FallbackReason: TypeAlias = Literal["refused", "busy", "missing_model", "load_timeout", "context"]


@runtime_checkable
class Backend(Protocol):
    """What the field `provider` takes beside a name: the form of `llm_adapter.Provider`, which lies a layer above."""

    @property
    def name(self) -> str: ...

    def base_url(self, settings: Any) -> str | None: ...

    def endpoint(self, method: str, path: str) -> Any: ...


def is_variable(value: SecretStr) -> bool:
    """Whether a header's value is the name of an environment variable: "env:NAME"."""
    return value.get_secret_value().strip().lower().startswith("env:")


# A function, for pydantic looks at the signature of each default's maker, and that of a built-in class takes long.
def _no_entries() -> Any:
    return ReadOnlyDict()


class Settings(BaseModel):
    """Where calls go and how. Frozen; a field that is not set leaves the backend's own default."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())

    provider: str | Backend = Field(
        "openai",
        description="`openai`, `ollama`, `embedded`; the name of one that an installed package brings; "
        "`package.module:Name`; in code, a `Provider` instance",
    )
    host: str | None = Field(
        None, description="Ollama's address, in any form that OLLAMA_HOST takes", json_schema_extra=_read_by(OLLAMA)
    )
    base_url: str | None = Field(
        None,
        description="a `/v1` server's address, for provider `openai`",
        json_schema_extra=_read_by(*(ALL - {EMBEDDED})),
    )
    dialect: Literal["openai", "ollama", "llamacpp", "vllm", "lmstudio"] | None = Field(
        None,
        description="which `/v1` server it is; guessed from the server when not given",
        json_schema_extra=_read_by(OPENAI, *OVER_V1),
    )
    api_key: SecretStr | None = Field(None, description="the key for this host, and for no other")
    api_key_env: str | None = Field(None, description="the environment variable that holds it")
    headers: dict[str, SecretStr] = Field(
        default_factory=_no_entries,
        description="headers of every request to this host; a value `env:NAME` is that environment variable's",
    )
    call_site_key: bool = Field(
        False, description="this host gets the credentials that call sites give, though the profile names it"
    )
    models: dict[str, str] = Field(
        default_factory=_no_entries, description="call-site model names to the provider's; `*` for all others"
    )
    keep_alive: str | int | float | None = Field(
        None,
        description='how long a model stays loaded after a call: a duration, "30m", or seconds; negative for ever',
        json_schema_extra=_read_by(OLLAMA, EMBEDDED, "/v1 ollama"),
    )
    num_ctx: Annotated[int, Gt(0)] | Literal["auto"] | None = Field(
        None,
        description="the context to load a model with, in tokens; `auto` grows it with the conversations (Ollama), or "
        "takes what fits (embedded); on embedded the model's own by default, and at most 8192",
        # Over Ollama's /v1 `client.models.load()` reads it, and calls warn of it: see providers/v1/ollama.py.
        json_schema_extra=_read_by(OLLAMA, EMBEDDED, "/v1 ollama", changes_reply=True),
    )
    num_ctx_max: int | None = Field(
        None,
        gt=0,
        description='how far `num_ctx = "auto"` may grow, in tokens',
        json_schema_extra=_read_by(OLLAMA, EMBEDDED),
    )
    think: bool | Literal["low", "medium", "high", "max"] | None = Field(
        None,
        description="whether thinking models think, when a call does not say: `reasoning_effort`, or an argument of "
        "the model's template",
        json_schema_extra=_read_by(*KNOWN, changes_reply=True),
    )
    reasoning_fields: Literal["both", "reasoning", "reasoning_content", "none"] = Field(
        "both",
        description="the keys under which replies and deltas carry what the model thought; OpenAI's have neither. "
        "With `none` the text is in no reply, also of the Responses API",
        json_schema_extra=_read_by(*NOT_OPENAI),
    )
    options: dict[str, Any] = Field(
        default_factory=_no_entries,
        description="Ollama's `options` for every call; on other servers those that have a parameter of the same "
        "meaning, such as `temperature` or `top_k`",
    )
    overflow: Literal["error", "truncate", "allow"] = Field(
        "error",
        description="a prompt that does not fit: an error; oldest turns left out and reported; or cut by the server",
        json_schema_extra=_read_by(*NOT_OPENAI),
    )
    expected_dimensions: int | None = Field(
        None,
        gt=0,
        description="what embeddings must have, when a call does not say: an index is built for one length",
        json_schema_extra=_read_by(*KNOWN),
    )
    pull: Literal["never", "missing"] | Callable[[str], bool] = Field(
        "never",
        description="what becomes of a missing model: an error with the nearest names, or it is pulled first (Ollama, "
        "and `hf:` names on embedded); in code, a function of its name that decides",
        json_schema_extra=_read_by(OLLAMA, EMBEDDED, "/v1 ollama"),
    )
    preload: tuple[str, ...] = Field(
        (),
        description="models to load before the first call, or by `client.models.preload()` (Ollama)",
        json_schema_extra=_ON_OLLAMA,
    )
    local_only: bool = Field(
        False, description="refuse public hosts, and models that Ollama runs elsewhere, before anything is sent"
    )
    shift: bool | None = Field(
        None,
        description="let Ollama drop old tokens while it generates; a load-time option",
        json_schema_extra=_read_by(OLLAMA, changes_reply=True),
    )
    unsupported: Policy | dict[str, Policy] = Field(
        "error",
        description="what becomes of a parameter that the provider cannot honour: error, warn or ignore, for all of "
        "them, or a table by their names, in which `*` stands for all others",
    )
    sampling_defaults: Literal["model", "openai"] = Field(
        "model", description="whose temperature and top_p stand when a call gives none"
    )
    corrections: int = Field(
        1,
        ge=0,
        le=3,
        description="how often a reply that breaks its schema, or a forced tool call, is sent back",
        json_schema_extra=_read_by(*KNOWN),
    )
    recover_tool_calls: bool = Field(
        True,
        description="take a reply whose whole text is a call of an offered tool for that call",
        json_schema_extra=_read_by(*KNOWN),
    )
    token_encoding: str | None = Field(
        None,
        description="the tiktoken encoding of token ids that call sites send as input, such as cl100k_base",
        json_schema_extra=_read_by(*KNOWN),
    )
    image_urls: Literal["fetch", "refuse"] = Field(
        "fetch",
        description="images that messages give by an address: fetched here, for servers that do not; or refused",
    )
    image_hosts: tuple[str, ...] = Field(
        (),
        description="hosts that images may be fetched from though they are not public: `host`, or `host:port`",
        json_schema_extra=_read_by(OLLAMA, EMBEDDED, "/v1 ollama", "/v1 lmstudio"),
    )
    response_store: str | None = Field(
        None,
        description="an SQLite file that keeps the Responses API's responses and conversations; in memory by default",
        json_schema_extra=_read_by(*NOT_OPENAI),
    )
    batch_store: str | None = Field(
        None,
        description="the folder that keeps the files and batches of `client.files` and `client.batches`; by default "
        "a folder of its own among the user's data",
        json_schema_extra=_read_by(*NOT_OPENAI),
    )
    response_store_limit: int | None = Field(
        None,
        ge=1,
        description="how many responses and turns of conversations are kept, 10000 by default: the oldest of the "
        "longest conversations make room for newer ones, and a warning tells when that begins",
    )
    trust_env: bool | None = Field(
        None, description="use the environment's proxies; by default for every host but loopback"
    )
    connect_timeout: float | None = Field(
        None, gt=0, description="seconds until a connection is there; the SDK's own 5 by default"
    )
    load_timeout: float | None = Field(
        None,
        gt=0,
        description="seconds until a response begins, which on Ollama takes loading the model, and for a reply that is "
        "not streamed all of it; the SDK's own 600 by default",
    )
    first_token_timeout: float | None = Field(
        None,
        gt=0,
        description="seconds from there to the first piece of a stream, or from the request where `load_timeout` is "
        "not set",
    )
    idle_timeout: float | None = Field(
        None, gt=0, description="seconds between two pieces of a stream; the SDK's own 600 by default"
    )
    max_concurrency: int | None = Field(
        None,
        ge=0,
        description="requests under way at one server at once, of all clients of the process; 0 for any number; by "
        "default 32 for Ollama and embedded, and any number for others",
    )
    shadow: str | None = Field(
        None,
        description="a second profile, which gets a share of the calls in the background; only how its replies differ "
        "is logged",
    )
    shadow_sample: float = Field(0.1, ge=0, le=1, description="the share of the calls that `shadow` gets")
    shadow_log: str | None = Field(
        None, description="a file that gets each comparison with `shadow` as a line of JSON; by default only the log"
    )
    routes: dict[str, str] = Field(
        default_factory=_no_entries,
        description="calls that go to other profiles: by their endpoint, `embeddings`, or by the model that they ask "
        "for, `model:gpt-4*`",
    )
    fallback: tuple[str, ...] = Field(
        (),
        description="the profiles that a call goes to, one after the other, when its own server cannot take it: before "
        "the reply has begun, and never by the call's own fault",
    )
    fallback_on: tuple[FallbackReason, ...] = Field(
        ("refused", "busy", "missing_model", "load_timeout"),
        description="when that happens: no connection comes about; 429 or 503 is the answer to the last attempt; the "
        "server has no such model; `load_timeout` is over; `context`, which is not among the default, is a prompt that "
        "does not fit",
    )
    fallback_cooldown: float = Field(
        30,
        ge=0,
        description="seconds in which a server that no connection came about to is asked last; 0 for none",
    )
    shadow_exit: float = Field(
        5,
        ge=0,
        description="seconds that a process waits at its end for comparisons with `shadow`; what is dropped then is "
        "counted in `shadow_log`",
    )
    model_path: str | None = Field(
        None,
        description="the model of provider `embedded`: a GGUF file; `hf:owner/repo`, with `:QUANT` or `:file.gguf` and "
        "with `@revision` where needed; or `ollama:name:tag`; none: the two small models",
        json_schema_extra=_read_by(EMBEDDED),
    )
    embedding_model_path: str | None = Field(
        None, description="the same for embeddings (embedded)", json_schema_extra=_read_by(EMBEDDED)
    )
    mmproj_path: str | None = Field(
        None,
        description="the file with which a model sees images (embedded); by default the one that comes with the model",
        json_schema_extra=_read_by(EMBEDDED),
    )
    chat_template: str | None = Field(
        None,
        description="a file with the Jinja template of conversations, its text, or `chatml` (embedded); by default the "
        "one in the model's file",
        json_schema_extra=_read_by(EMBEDDED, changes_reply=True),
    )
    embedded_process: bool | None = Field(
        None,
        description="whether llama.cpp runs in a process of its own, so that its end does not end the program "
        "(embedded); by default it does for all but the two small models",
        json_schema_extra=_read_by(EMBEDDED),
    )
    memory_limit: int | str | None = Field(
        None,
        description='how much memory the models may take together, in bytes or as "8GB" (embedded); by default what '
        "is free",
        json_schema_extra=_read_by(EMBEDDED),
    )
    n_gpu_layers: int | None = Field(
        None,
        description="layers to put on the GPU (embedded); as many as fit by default",
        json_schema_extra=_read_by(EMBEDDED),
    )

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _profile: str | None = PrivateAttr(None)
    _folder: Path | None = PrivateAttr(None)
    _left_out: LeftOut | None = PrivateAttr(None)
    _not_pickled: tuple[str, ...] = PrivateAttr(())  # the names of secret fields

    def __init__(self, **fields: Any) -> None:
        known = type(self).model_fields
        # Absent means absent: None and the empty string of an unset variable choose nothing.
        given = {name: value for name, value in fields.items() if not (_is_empty(value) and name in known)}
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise _as_settings_error(error) from None
        self._origins = dict.fromkeys(self.model_fields_set, "argument")

    @classmethod
    def load(
        cls, environ: Mapping[str, str] | None = None, *, profile: str | None = None, **arguments: Any
    ) -> Settings:
        """The settings that configuration names: defaults < user file < project file < environment < arguments.

        environ: os.environ by default. Raises `SettingsError`.
        """
        return cls.at(None, environ, profile=profile, **arguments)

    @classmethod
    def at(
        cls,
        folder: Path | None,
        environ: Mapping[str, str] | None = None,
        *,
        profile: str | None = None,
        **arguments: Any,
    ) -> Settings:
        """The same, with the project's file looked for from a folder upwards, whatever the working directory is."""
        from llm_adapter.settings.sources import merged

        found = merged(cls, environ, profile, arguments, folder)
        try:
            settings = cls(**found.values)
        except SettingsError as error:
            raise found.with_sources(error) from None
        settings = settings.with_origins(found.origins, found.profile)
        settings._left_out = found.left_out
        settings._folder = folder
        return settings

    @classmethod
    def profiles(cls, environ: Mapping[str, str], folder: Path | None = None) -> list[str]:
        """The names of all profiles that the files define. folder: as in `at`. Raises `SettingsError`."""
        from llm_adapter.settings.sources import profiles

        return profiles(cls, environ, folder)

    def __getstate__(self) -> dict[Any, Any]:
        """For pickle: all but what is secret, which would stand in the clear in what is written. Copies keep it."""
        state = super().__getstate__()
        secrets = [value for value in self.headers.values() if not is_variable(value)]
        lost = [name for name, held in (("api_key", self.api_key), ("headers", secrets)) if held]
        private = {**(state["__pydantic_private__"] or {}), "_not_pickled": tuple(lost)}
        fields = {
            **state["__dict__"],
            **({"api_key": None} if self.api_key else {}),
            **({"headers": ReadOnlyDict()} if secrets else {}),
        }
        return {**state, "__dict__": fields, "__pydantic_private__": private} if lost else state

    @property
    def left_behind(self) -> str | None:
        """The first field that was left behind when these settings were pickled, and is not there again."""
        return next((f"`{name}`" for name in self._not_pickled if not getattr(self, name)), None)

    def origin(self, field: str) -> str:
        """Where the value of a field came from: "default", "argument", or a file's or variable's name."""
        if field not in type(self).model_fields:
            raise AttributeError(f"no field {field!r} in Settings{near(field, type(self).model_fields)}")
        return self._origins.get(field, "default")

    @property
    def profile(self) -> str | None:
        """The name of the profile that they were loaded from."""
        return self._profile

    def in_own_process(self) -> Settings:
        """The same for a program that serves others: an embedded model has a process of its own, unless they say no."""
        if self.provider != "embedded" or self.embedded_process is not None:
            return self
        return self.model_copy(update={"embedded_process": True})

    @property
    def folder(self) -> Path | None:
        """From which the project's file was looked for; None: the working directory."""
        return self._folder

    @property
    def left_out(self) -> LeftOut | None:
        """What the project's file may not decide for this program, if there is anything."""
        return self._left_out

    @property
    def name(self) -> str:
        """What a report or a message calls them: their profile, or their provider."""
        provider = self.provider if isinstance(self.provider, str) else self.provider.name
        return self.profile or provider

    @property
    def why_local(self) -> str:
        """Why no public host may be asked, as the beginning of a sentence."""
        if self.origin("local_only") == CALL_IS_PRIVATE:
            return "`privacy` is `local` for this call"
        return "`local_only` is set"

    def is_shared(self, field: str) -> bool:
        """Whether a value holds for several profiles: it stands in the environment, or above a file's profiles."""
        origin = self.origin(field)
        return origin.startswith("LLM_ADAPTER_") or (
            self.profile is not None and origin not in ("argument", "default") and "[profiles." not in origin
        )

    @property
    def configured(self) -> bool:
        """Whether anything at all was chosen; if not, a client behaves exactly like `openai`."""
        return bool(self.model_fields_set)

    def model(self, name: str) -> str:
        """The provider's name for a call site's model. A name that is already the provider's stays."""
        if name in self.models:
            return self.models[name]
        return name if name in self.models.values() else self.models.get("*", name)

    def policy(self, name: str) -> Policy:
        """What becomes of this parameter, or of this setting, where the provider cannot honour it."""
        if isinstance(self.unsupported, str):
            return self.unsupported
        return self.unsupported.get(name) or self.unsupported.get("*", "error")

    def alias(self, name: str) -> str:
        """The same for who manages models: "*" stands for what call sites ask for, not for what is to be deleted."""
        return name if name == "*" else self.models.get(name, name)

    def names(self, name: str) -> list[str]:
        """The names to look a model up by: its own or its alias's, and then that of "*"."""
        return list(dict.fromkeys((self.alias(name), self.model(name))))

    def with_origins(self, origins: Mapping[str, str], profile: str | None = None) -> Settings:
        """This value, knowing where its fields came from."""
        copy = self.model_copy()
        copy._profile = profile or self._profile
        copy._origins = {**self._origins, **origins}  # a copy shares the dictionary of what it was made from
        return copy

    @field_validator("provider")
    @classmethod
    def _known_provider(cls, provider: str | Backend) -> str | Backend:
        if not isinstance(provider, str) or provider in PROVIDER_NAMES or is_place(provider):
            return provider
        known = (*PROVIDER_NAMES, *installed_providers())
        if provider not in known:
            hint = near(provider, known)
            expected = f"expected one of {', '.join(known)}, or package.module:Name"
            raise ValueError(f"unknown provider {provider!r}: {expected}{hint}")
        return provider

    @field_validator("host")
    @classmethod
    def _root(cls, host: str | None) -> str | None:
        return None if host is None else _parsed_host(ollama_root, host)

    @field_validator("base_url")
    @classmethod
    def _base_url(cls, base_url: str | None) -> str | None:
        return None if base_url is None else _parsed_host(openai_base_url, base_url)

    @field_validator("keep_alive")
    @classmethod
    def _duration(cls, value: str | float | None) -> str | float | None:
        # Ollama refuses "300": a bare number in a string has no unit (recordings: bad_keep_alive). As a number it has.
        if isinstance(value, str) and re.fullmatch(_NUMBER, value):
            return float(value) if "." in value else int(value)
        if isinstance(value, str) and not re.fullmatch(_DURATION, value):
            raise ValueError(f'{value!r} is no duration: "30m", "1h30m", seconds as a number, or -1 for ever')
        return value

    @field_validator("memory_limit")
    @classmethod
    def _bytes(cls, value: str | int | None) -> int | None:
        """A number of bytes: units are decimal, and "GiB" is 1024 to the third."""
        if isinstance(value, str):
            given, value = value, bytes_of(value)
            if value is None:
                raise ValueError(f'{given!r} is no amount of memory: "8GB", "512MB", or bytes as a number')
        if value is not None and value <= 0:
            raise ValueError("the models cannot do without memory")
        return value

    @field_validator("unsupported", mode="before")
    @classmethod
    def _policies(cls, given: Any) -> Any:
        for name, word in given.items() if isinstance(given, Mapping) else [(None, given)]:
            if word not in get_args(Policy):
                about = "" if name is None else f"{name}: "
                raise ValueError(
                    f"{about}Input should be 'error', 'warn' or 'ignore'{near(str(word), get_args(Policy))}"
                )
        return given

    @field_validator("headers")
    @classmethod
    def _sendable_headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not re.fullmatch(_HEADER_NAME, name):
                raise ValueError(f"{name!r} is not the name of a header")
            if not re.fullmatch(_HEADER_VALUE, value.get_secret_value()):
                raise ValueError(f"the value of {name!r} is empty, or holds characters that no header can")
        return headers

    @field_validator("api_key_env")
    @classmethod
    def _variable(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(_VARIABLE, name):
            raise ValueError("this is the name of an environment variable that holds the key, not the key itself")
        return name

    @field_validator("headers", "models", "options", "unsupported", "routes")
    @classmethod
    def _immutable(cls, given: Any) -> Any:
        return read_only(given)

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.host and self.base_url:
            raise ValueError("`host` is for provider ollama and `base_url` for provider openai: give one of them")
        if self.host and self.provider in ("openai", "embedded"):
            raise ValueError(f"`host` is for provider ollama; provider {self.provider!r} does not use it")
        return self


def _as_settings_error(error: ValidationError) -> SettingsError:
    """One line for a validation error: the field, what is wrong, the nearest name. Never the value of a key."""
    messages: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_input=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        if item["type"] == "extra_forbidden":
            messages[name] = [f"unknown setting {name!r}{near(name, Settings.model_fields)}"]
        else:
            said = item["msg"].removeprefix("Value error, ")
            messages.setdefault(name, [f"{name}: {said}" if name else said]).append(said)
    text = "; ".join(" or ".join(dict.fromkeys([first, *more[1:]])) for first, *more in messages.values())
    about = tuple(messages) if "" not in messages else tuple(re.findall(r"`(\w+)`", text))
    return SettingsError(text, about)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _parsed_host(parse: Callable[[str], str], value: str) -> str:
    try:
        return parse(value)
    except InvalidHostError as error:
        raise ValueError(str(error)) from None
