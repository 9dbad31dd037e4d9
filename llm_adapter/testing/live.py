"""A running Ollama for tests: found, given the models that a test needs, and left as it was.

    @pytest.mark.live_ollama
    def test_summary(live_ollama):
        model = live_ollama.ensure_model("qwen3:0.6b")
        assert summary(live_ollama.client(models={"*": model}))

Where none is found, or a model cannot be had, the test is skipped, and says what to do. `--llm-require` makes failures
of such skips: in CI, say.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import openai
import pytest

from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.devtools.doctor.facts import with_tag
from llm_adapter.routing.connection import connect, with_ollama_host

_SECONDS = 5.0  # for the first answer
# A test's event loop may be gone when the client could be closed.
_UNKEPT = {"Connection": "close"}


class LiveOllama:
    """A running Ollama. It keeps what it pulls, and unloads at the end what it has loaded."""

    def __init__(self, settings: Settings, missing: Callable[[str], NoReturn], *, pull: bool = True) -> None:
        """missing: is told, and does not return, where the server or a model cannot be used. pull: whether it may."""
        self.settings = settings
        self._missing = missing
        self._pull = pull
        self._clients: list[OpenAI] = []
        self._ensured: set[str] = set()
        self._client = self.client()
        self.host = str(self._client.base_url).rstrip("/").removesuffix("/v1")
        self.version = self._found()  # such as "0.24.0"
        self._loaded = set(self._running())

    def __repr__(self) -> str:
        return f"<Ollama {self.version} at {self.host}>"

    @property
    def models(self) -> list[str]:
        """The names of the installed models."""
        return [one.id for one in self._client.models.list()]

    def ensure_model(self, name: str) -> str:
        """The name, when the model is installed; pulled, once, where it is not.

        Raises `openai.NotFoundError` for a model that the library does not have: that is the test's own mistake.
        """
        if with_tag(name) not in map(with_tag, self.models):
            if not self._pull:
                self._missing(f"{name!r} is not installed, and --llm-no-pull is given: `ollama pull {name}`")
            try:
                self._client.models.pull(name)
            except openai.NotFoundError:
                raise
            except openai.APIError as error:
                self._missing(f"{name!r} is not installed, and could not be pulled: {error.message}")
        self._ensured.add(with_tag(name))
        return name

    def client(self, **settings: Any) -> OpenAI:
        """A client of this server. settings: such as `num_ctx=4096`, or `models={"*": "qwen3:0.6b"}`."""
        client = OpenAI(settings=self._with(settings))
        self._clients.append(client)
        return client

    def async_client(self, **settings: Any) -> AsyncOpenAI:
        """The same in an event loop. It keeps no connection open between two calls."""
        return AsyncOpenAI(settings=self._with(settings), default_headers=_UNKEPT)

    def close(self) -> None:
        """Unload what tests have loaded of the models that they asked for, and close the clients."""
        try:
            for name in self._running():
                if name in self._ensured - self._loaded:
                    self._client.models.unload(name)
        except openai.APIError:  # it is gone, and its models with it
            pass
        for client in self._clients:
            client.close()

    def _with(self, settings: Mapping[str, Any]) -> Settings:
        given = self.settings.model_dump(exclude_unset=True)
        return Settings(**{**given, **settings})

    def _found(self) -> str:
        try:
            return self._client.with_options(timeout=_SECONDS, max_retries=0).models.version()
        except openai.APIConnectionError as error:
            why = f" ({error.__cause__})" if error.__cause__ else ""
            self._missing(
                f"no Ollama answers at {self.host}{why}: start one with `ollama serve`, or name it in OLLAMA_HOST"
            )
        except openai.APIStatusError as error:
            self._missing(f"{self.host} is no Ollama that can be used: it answered {error.status_code}")

    def _running(self) -> list[str]:
        return [with_tag(one.model) for one in self._client.models.ps()]


def settings(environ: Mapping[str, str]) -> Settings:
    """Where the Ollama is: what the configuration says, if its provider is Ollama; OLLAMA_HOST; or the usual port.

    Raises `SettingsError`.
    """
    configured = Settings.load(environ)
    found = with_ollama_host(configured if configured.provider == "ollama" else Settings(provider="ollama"), environ)
    return found.model_copy(update={"host": str(connect(found, environ).base_url).removesuffix("/v1")})


def live(config: pytest.Config) -> LiveOllama:
    """The running Ollama of a session. Skips, or fails where --llm-require is given."""

    def missing(reason: str) -> NoReturn:
        if config.getoption("llm_require"):
            pytest.fail(f"live_ollama: {reason}", pytrace=False)
        pytest.skip(f"live_ollama: {reason}")

    return LiveOllama(settings(os.environ), missing, pull=not config.getoption("llm_no_pull"))
