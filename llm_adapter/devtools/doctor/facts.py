"""What is known of a profile and its server before it is judged, and what the result of a check is. No IO.

A check takes `Facts` and returns a `CheckResult`. Facts that could not be found out are None, and no reason to fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from llm_adapter.routing.unreachable import Surroundings
from llm_adapter.settings.settings import Settings
from llm_adapter.translation.model_names import names_embedding_model

Status: TypeAlias = Literal["OK", "WARN", "FAIL"]


class CheckResult(NamedTuple):
    """What one check found, and one line that mends it."""

    status: Status
    line: str
    fix: str | None = None
    checked: bool = True  # False: it could not be judged, for want of something that another check tells of


def ok(line: str) -> CheckResult:
    return CheckResult("OK", line)


def warn(line: str, fix: str | None = None) -> CheckResult:
    return CheckResult("WARN", line, fix)


def fail(line: str, fix: str | None = None) -> CheckResult:
    return CheckResult("FAIL", line, fix)


def not_checked(why: str) -> CheckResult:
    return CheckResult("WARN", f"not checked: {why}", None, checked=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request was answered with. status is None where there was no answer."""

    url: str
    status: int | None = None
    body: Any = None  # parsed; None where it is not JSON
    text: str = ""  # its beginning
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def good(self) -> bool:
        return self.status == 200 and isinstance(self.body, dict)

    @property
    def summary(self) -> str:
        """What came, in a few words."""
        return f"{self.url} answers {self.status}{'' if self.body is not None else ' in plain text'}"

    @property
    def refused(self) -> bool:
        """Whether a key is wanted, or another one."""
        return self.status in (401, 403)

    def dictionary(self) -> dict[str, Any]:
        """The object of a success; an empty one otherwise."""
        return self.body if self.good else {}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One TCP connection that was tried."""

    address: str
    error: str | None = None  # None: it is there


@dataclass(frozen=True, slots=True)
class Route:
    """How requests get to the server."""

    target: str  # host:port that is connected to: the server's, or the proxy's
    why: str  # "no proxy is set"
    proxy: str | None = None  # its address, without the credentials in it
    variable: str | None = None  # where the proxy comes from
    attempts: tuple[Attempt, ...] = ()
    problem: str | None = None  # why there is no HTTP client at all

    @property
    def reached(self) -> bool:
        return any(attempt.error is None for attempt in self.attempts)


@dataclass(frozen=True, slots=True)
class Key:
    """Which key goes along. The value is there to be compared and to be masked, never shown."""

    source: str
    value: str | None = field(default=None, repr=False)
    explicit: bool = False  # the configuration names it for this host
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model as its server describes it."""

    name: str
    capabilities: frozenset[str] | None = None
    trained: int | None = None  # context in tokens
    loaded: int | None = None  # context in tokens, of the one in memory
    dimensions: int | None = None
    size: int | None = None  # bytes in memory, or on disk
    vram: int | None = None  # bytes of it on a GPU
    expires: datetime | None = None
    in_memory: bool = False
    digest: str | None = None
    remote: str | None = None  # the host where it runs in truth

    def can(self, capability: str) -> bool:
        """Whether it can do this, as far as is known."""
        return self.capabilities is None or capability in self.capabilities

    @property
    def embeds(self) -> bool:
        """Whether it is for embeddings alone; where its server does not tell, by its name."""
        if self.capabilities is not None:
            return "embedding" in self.capabilities and "completion" not in self.capabilities
        return names_embedding_model(self.name)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that was recognised."""

    kind: str  # ollama, llamacpp, vllm, lmstudio, openai, embedded, unknown
    version: str | None = None
    models: tuple[Model, ...] | None = None  # None: it did not say
    any_name: bool = False  # it serves its one model under whatever name
    slots: int | None = None  # requests it works on at once
    signed_in: bool | None = None  # at Ollama's cloud; None: not asked
    signin_url: str | None = None

    def model(self, name: str, embedding: bool = False) -> Model | None:
        """The installed model of that name; for a server that takes any name, the one for the purpose."""
        models = self.models or ()
        found = next((one for one in models if with_tag(one.name) == with_tag(name)), None)
        if found is None and self.any_name and models:
            able = [one for one in models if one.can("embedding" if embedding else "completion")]
            return (able or list(models))[0]
        return found


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model that call sites ask for, or a command."""

    alias: str  # the call sites' name
    name: str  # the provider's
    embedding: bool = False
    elsewhere: bool = False  # its name leads to another provider


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the checks look at."""

    settings: Settings
    address: str  # the base URL
    profile: str | None = None
    key: Key = Key("none is sent")
    environ: Mapping[str, str] = field(default_factory=dict)
    route: Route | None = None  # None: in this process
    surroundings: Surroundings = field(default_factory=Surroundings)
    model_list: Answer = Answer("")  # of GET /models; without a status and an error it was not asked for
    working_address: str | None = None  # a base URL that has a list of models, where the configured one has none
    server: Server | None = None
    wanted: tuple[Wanted, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)  # installed ones, to their versions
    files: frozenset[str] = frozenset()  # of those that have a tracer's key, the ones that are there
    now: datetime | None = None
    fingerprint: str | None = None  # of the index that the application searches
    startup: str | None = None  # why the embedded server does not start
    missing: Mapping[str, str] = field(default_factory=dict)  # embedded models that are not here, with why
    assumed: bool = False  # nothing is configured: calls go to OpenAI, and this is what they may move to

    @property
    def embedded(self) -> bool:
        return self.settings.provider == "embedded"

    @property
    def native(self) -> bool:
        """Whether Ollama's own API is spoken."""
        return self.settings.provider == "ollama"

    @property
    def address_setting(self) -> str:
        """The setting that the address is from."""
        if self.native:
            return "OLLAMA_HOST" if self.settings.origin("host") == "OLLAMA_HOST" else "host"
        return "base_url" if self.settings.base_url else "OPENAI_BASE_URL"

    def mapped_models(self, embedding: bool | None = None) -> list[tuple[Wanted, Model]]:
        """The wanted models that are installed, each once."""
        found: dict[tuple[str, bool], tuple[Wanted, Model]] = {}
        for one in self.wanted:
            model = None if one.elsewhere or self.server is None else self.server.model(one.name, one.embedding)
            if model is not None and embedding in (None, one.embedding):
                found.setdefault((model.name, one.embedding), (one, model))
        return list(found.values())


def with_tag(name: str) -> str:
    """The name with its tag: Ollama's "x" is "x:latest"."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
