"""One test on every provider: the mark llm_providers, its fixtures and its options. pytest itself runs here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from loopback import Loopback, serving

from llm_adapter.testing import providers

Tried: TypeAlias = Callable[..., pytest.RunResult]

CONFIGURED = """
profile = "local"
models = {{ "gpt-4o-mini" = "qwen3:8b" }}

[profiles.local]
provider = "ollama"
host = "{host}"

[profiles.here]
provider = "embedded"

[profiles.gone]
provider = "ollama"
host = "http://127.0.0.1:9"

[profiles.cloud]
provider = "openai"

[profiles.cluster]
provider = "openai"
base_url = "https://llm.example.com/v1"
api_key_env = "CLUSTER_API_KEY"
"""
HEAD = """
import os
import pytest
HI = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with serving() as server:
        yield server


@pytest.fixture
def project(pytester: pytest.Pytester, server: Loopback, tried: Tried) -> Tried:
    """`project(tests)`: what pytest says of them in a folder with profiles."""
    (pytester.path / "llm_adapter.toml").write_text(CONFIGURED.format(host=server.root), encoding="utf-8")
    return lambda source, *options: tried(HEAD + source, *options)


EVERYWHERE = """
@pytest.mark.llm_providers("local", "here", "embedded")
def test_chat(llm_client):
    assert llm_client.chat.completions.create(**HI).choices[0].message.content.startswith("Hello")
"""


def test_one_test_many_providers(project: Tried) -> None:
    """The names stand in the report."""
    result = project(EVERYWHERE, "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines([f"*::test_chat?{name}? PASSED*" for name in ("local", "here", "embedded")])


def test_async(project: Tried) -> None:
    """Twice in an event loop, each of its own: no connection is left to an older one."""
    source = """
import asyncio
@pytest.mark.llm_providers("local", "embedded")
def test_chat(llm_async_client):
    for _ in range(2):
        reply = asyncio.run(llm_async_client.chat.completions.create(**HI))
    assert reply.choices[0].message.content.startswith("Hello")
"""
    project(source, "-W", "error").assert_outcomes(passed=2)


def test_the_codes_own_client_follows(project: Tried) -> None:
    """Code that makes its own client is switched too, in fixtures as well, and back again after the test."""
    source = """
from llm_adapter import OpenAI
@pytest.fixture
def application():
    return OpenAI()
@pytest.mark.llm_providers("embedded", "local", "here")
def test_own(application, llm_provider, llm_settings):
    assert application.settings == llm_settings
    assert application.settings.provider == {"local": "ollama"}.get(llm_provider, "embedded")
    assert application.settings.model("gpt-4o-mini") == "qwen3:8b"
def test_after():
    assert not [name for name in os.environ if name.startswith("LLM_ADAPTER_") and name != "LLM_ADAPTER_TRUST"]
"""
    project(source).assert_outcomes(passed=4)


def test_the_environment_does_not_lead_elsewhere(project: Tried, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark has the last word on the destination; other settings of the environment stay."""
    monkeypatch.setenv("LLM_ADAPTER_PROVIDER", "openai")
    monkeypatch.setenv("LLM_ADAPTER_BASE_URL", "https://llm.example.com/v1")
    monkeypatch.setenv("LLM_ADAPTER_UNSUPPORTED", "warn")
    source = """
@pytest.mark.llm_providers("local")
def test_it(llm_settings):
    assert (llm_settings.provider, llm_settings.unsupported) == ("ollama", "warn")
"""
    project(source).assert_outcomes(passed=1)


def test_all_profiles(project: Tried) -> None:
    source = "@pytest.mark.llm_providers()\ndef test_it(llm_provider):\n    pass"
    result = project(source, "--collect-only", "-q")
    result.stdout.fnmatch_lines([f"*test_it?{name}?" for name in ("local", "here", "gone", "cloud", "cluster")])


SKIPPED = {
    "gone": "*'gone' cannot be used: no server answers at 127.0.0.1:9 (127.0.0.1: Connection refused)*",
    "cloud": "*'cloud' cannot be used: no key: set OPENAI_API_KEY*",
    "cluster": "*'cluster' cannot be used: `api_key_env` names CLUSTER_API_KEY, which is not set*",
}
IT = "@pytest.mark.llm_providers({name!r})\ndef test_it(llm_client):\n    raise AssertionError"


@pytest.mark.parametrize("name", SKIPPED)
def test_a_provider_that_cannot_be_used(project: Tried, name: str) -> None:
    """It skips its test, and says why."""
    result = project(IT.format(name=name), "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines([SKIPPED[name]])


@pytest.mark.parametrize("name", SKIPPED)
def test_required(project: Tried, name: str) -> None:
    """In CI a skip would hide that nothing was tested."""
    result = project(IT.format(name=name), "--llm-require")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([SKIPPED[name]])


def test_narrowed(project: Tried) -> None:
    """`--llm-provider` runs the marked tests on one provider, and leaves the others as they are."""
    source = (
        EVERYWHERE + '@pytest.mark.llm_providers("gone")\ndef test_gone():\n    pass\ndef test_other():\n    pass\n'
    )
    result = project(source, "--llm-provider", "here")
    result.assert_outcomes(passed=2, deselected=3)
    project(source, "--llm-provider", "here", "--llm-provider", "embedded").assert_outcomes(passed=3, deselected=2)


WRONG = {
    "'locl'": "*llm_providers: 'locl' is no profile of llm_adapter.toml; did you mean 'local'?*",
    "'fake:nobody'": "*llm_providers: unknown persona 'nobody'*",
    "3": "*llm_providers: 3 is no profile of llm_adapter.toml*",
    "profile='local'": "*llm_providers: name profiles*",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_a_name_that_is_none(project: Tried, arguments: str) -> None:
    result = project(f"@pytest.mark.llm_providers({arguments})\ndef test_it():\n    pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([WRONG[arguments]])


def test_an_option_that_names_nothing(project: Tried) -> None:
    result = project(EVERYWHERE, "--llm-provider", "locl")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--llm-provider: 'locl' is no profile*did you mean 'local'?*"])


def test_fixtures_without_the_mark(project: Tried) -> None:
    """They run on what the configuration names, as the code does."""
    source = """
def test_it(llm_client, llm_provider):
    assert (llm_client.settings.provider, llm_provider) == ("ollama", "ollama")
"""
    project(source).assert_outcomes(passed=1)


def test_other_parameters(project: Tried) -> None:
    source = """
@pytest.mark.llm_providers("embedded", "local")
@pytest.mark.parametrize("text", ["a", "b"])
def test_it(llm_provider, text):
    pass
"""
    project(source).assert_outcomes(passed=4)


def test_on_a_class_and_the_nearest_mark(project: Tried) -> None:
    source = """
pytestmark = pytest.mark.llm_providers("gone")
@pytest.mark.llm_providers("embedded")
class TestIt:
    def test_it(self, llm_provider):
        assert llm_provider == "embedded"
"""
    project(source).assert_outcomes(passed=1)


def test_the_network_is_open_for_the_providers_host(
    project: Tried, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester
) -> None:
    """With the network closed a marked test reaches its provider, and nothing else."""
    monkeypatch.setenv("CLUSTER_API_KEY", "k")
    found: Any = [(2, 1, 6, "", ("127.0.0.1", 9))]
    monkeypatch.setattr("socket.getaddrinfo", lambda host, *more, **options: found)
    monkeypatch.setattr(providers, "_unreachable_reason", lambda url, trust_env: None)
    source = """
import socket
@pytest.mark.llm_providers("cluster")
def test_it(request, no_network):
    no_network.check("llm.example.com", 443)
    with pytest.raises(pytest.fail.Exception):
        no_network.check("api.openai.com", 443)
    no_network.refused.clear()
"""
    project(source, "-o", "llm_no_network=true").assert_outcomes(passed=1)


@pytest.mark.parametrize("persona", ["ollama@0.32", "openai", "vllm"])
def test_a_fake_server(project: Tried, persona: str) -> None:
    """A persona is a provider too, with nothing installed: on loopback, and gone with the test."""
    source = f"""
from llm_adapter import OpenAI
@pytest.mark.llm_providers("fake:{persona}")
def test_it(llm_client, llm_settings):
    assert llm_client.chat.completions.create(**HI).choices[0].message.content
    assert OpenAI().settings == llm_settings
"""
    project(source, "-o", "llm_no_network=true").assert_outcomes(passed=1)


def test_a_fake_server_with_a_script(project: Tried) -> None:
    """One test, every persona: `fake_llm` is the server that the test runs on, with the models of its mark."""
    source = """
@pytest.mark.llm_providers("fake:openai", "fake:ollama@0.32", "fake:llamacpp", "embedded")
@pytest.mark.fake_llm(models=["gpt-4o-mini", "qwen3:8b"])
def test_it(llm_client, fake_llm, llm_provider):
    fake_llm.script("Scripted")
    said = llm_client.chat.completions.create(**HI).choices[0].message.content
    assert (said == "Scripted") == (llm_provider != "embedded")
    assert [model.name for model in fake_llm.models] == ["gpt-4o-mini", "qwen3:8b"]
"""
    project(source).assert_outcomes(passed=4)


def test_help(project: Tried, pytester: pytest.Pytester) -> None:
    """What a user finds by himself."""
    marks = project("", "--markers")
    marks.stdout.fnmatch_lines(["@pytest.mark.llm_providers(?names, elsewhere=False): run the test once on each*"])
    fixtures = project("", "--fixtures").stdout.str()
    assert all(name in fixtures for name in ("llm_client", "llm_mock", "no_network"))
    project("", "--help").stdout.fnmatch_lines(["*--llm-provider=NAME*", "*llm_no_network (bool):*"])


def test_where_the_files_are(pytester: pytest.Pytester, tried: Tried) -> None:
    assert Path.cwd() == pytester.path
    result = tried("import pytest\n@pytest.mark.llm_providers()\ndef test_it():\n    pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*llm_providers: there is no profile in llm_adapter.toml*"])
