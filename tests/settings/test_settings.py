"""Settings: defaults < user file < project file < environment < arguments; one frozen value that knows its origins."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from llm_adapter import Settings, SettingsError
from llm_adapter.providers import PROVIDERS
from llm_adapter.settings.provider_names import PROVIDER_NAMES

LAYERS = ("default", "user", "project", "environment", "argument")


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """The user's file."""
    path = tmp_path / "config" / "llm_adapter" / "llm_adapter.toml"
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project's file, in the working directory."""
    return tmp_path / "llm_adapter.toml"


def refusal(environ: dict[str, str] | None = None, **arguments: Any) -> str:
    """The one line with which the settings are refused."""
    with pytest.raises(SettingsError) as error:
        Settings.load({**os.environ, **(environ or {})}, **arguments)
    assert "\n" not in str(error.value).partition(" is not valid TOML")[0]
    return str(error.value)


# --- precedence ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_profile", [False, True])
@pytest.mark.parametrize("strongest", range(len(LAYERS)))
def test_precedence(user: Path, project: Path, strongest: int, in_profile: bool) -> None:
    """The strongest source that names a field gives its value, and its origin says which it was."""
    table = 'profile = "p"\n[profiles.p]\n' if in_profile else ""
    project.write_text('[profiles.p]\nprovider = "ollama"\n' if in_profile else "", encoding="utf-8")
    environ = {**os.environ, "LLM_ADAPTER_PROFILE": "p"} if in_profile else dict(os.environ)
    arguments: dict[str, Any] = {}
    for layer in LAYERS[1 : strongest + 1]:
        if layer in ("user", "project"):
            (user if layer == "user" else project).write_text(
                f"{table}num_ctx = {LAYERS.index(layer)}\n", encoding="utf-8"
            )
        elif layer == "environment":
            environ["LLM_ADAPTER_NUM_CTX"] = "3"
        else:
            arguments["num_ctx"] = 4
    settings = Settings.load(environ, **arguments)
    suffix = " [profiles.p]" if in_profile else ""
    origins = ("default", f"{user}{suffix}", f"{project}{suffix}", "LLM_ADAPTER_NUM_CTX", "argument")
    assert (settings.num_ctx, settings.origin("num_ctx")) == (strongest or None, origins[strongest])


def test_fields_of_several_sources(user: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field comes from its own source."""
    user.write_text('keep_alive = "1h"\nnum_ctx = 1\n', encoding="utf-8")
    project.write_text(
        'profile = "local"\n[profiles.local]\nprovider = "ollama"\n[profiles.local.options]\ntop_k = 20\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("LLM_ADAPTER_NUM_CTX", "2")
    settings = Settings.load(think=True)
    assert {name: settings.origin(name) for name in settings.model_fields_set} == {
        "keep_alive": str(user),
        "provider": f"{project} [profiles.local]",
        "options": f"{project} [profiles.local]",
        "num_ctx": "LLM_ADAPTER_NUM_CTX",
        "think": "argument",
    }
    assert settings.options == {"top_k": 20}


CHOICES = {
    "argument": ({"profile": "a"}, {"LLM_ADAPTER_PROFILE": "b"}, 1),
    "environment": ({}, {"LLM_ADAPTER_PROFILE": "b"}, 2),
    "environment in small letters": ({}, {"llm_adapter_profile": "b"}, 2),
    "file": ({}, {"LLM_ADAPTER_PROFILE": ""}, 3),
}


@pytest.mark.parametrize("case", CHOICES)
def test_profile(project: Path, case: str) -> None:
    """A profile is chosen by the argument, else by the environment, else by a file."""
    project.write_text(
        'profile = "c"\n[profiles.a]\nnum_ctx = 1\n[profiles.b]\nnum_ctx = 2\n[profiles.c]\nnum_ctx = 3\n',
        encoding="utf-8",
    )
    arguments, environ, expected = CHOICES[case]
    assert Settings.load({**os.environ, **environ}, **arguments).num_ctx == expected


def test_profile_of_both_files(user: Path, project: Path) -> None:
    """A profile may begin in the user's file and go on in the project's."""
    user.write_text('[profiles.cluster]\napi_key = "mine"\nbase_url = "https://llm.internal"\n', encoding="utf-8")
    project.write_text('profile = "cluster"\n[profiles.cluster]\nmodels = { gpt = "llama" }\n', encoding="utf-8")
    settings = Settings.load()
    assert settings.api_key == SecretStr("mine")
    assert settings.models == {"gpt": "llama"}


FOUND = {
    "own file": ("llm_adapter.toml", "num_ctx = 7", 7),
    "pyproject": ("pyproject.toml", "[tool.llm_adapter]\nnum_ctx = 7", 7),
    "pyproject, profile": (
        "pyproject.toml",
        '[tool.llm_adapter]\nprofile = "p"\n[tool.llm_adapter.profiles.p]\nnum_ctx = 7',
        7,
    ),
    "another's pyproject": ("pyproject.toml", "[tool.ruff]\nthis is = not TOML", None),
    "only a comment": ("pyproject.toml", "# [tool.llm_adapter]\nthis is = not TOML", None),
}


@pytest.mark.parametrize("below", ["", "src/deep"])
@pytest.mark.parametrize("case", FOUND)
def test_found_upwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, below: str) -> None:
    """The project's file is found from the working directory upwards."""
    name, text, expected = FOUND[case]
    (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / below)
    assert Settings.load().num_ctx == expected


def test_nearest_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest project file is the project's, and the only one."""
    (tmp_path / "llm_adapter.toml").write_text('num_ctx = 1\nkeep_alive = "1h"', encoding="utf-8")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "pyproject.toml").write_text("[tool.llm_adapter]\nnum_ctx = 2", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "inner")
    settings = Settings.load()
    assert (settings.num_ctx, settings.keep_alive) == (2, None)


def test_no_home_and_no_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user without a home, in a directory that is gone, has no files and no error."""

    def gone(*_: Any) -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "home", gone)
    monkeypatch.setattr(os, "getcwd", lambda: (_ for _ in ()).throw(FileNotFoundError()))
    assert not Settings.load().configured


# --- the environment -------------------------------------------------------------------------------------------------

VARIABLES = {
    "LLM_ADAPTER_PROVIDER=ollama": "ollama",
    "llm_adapter_provider=ollama": "ollama",
    "Llm_Adapter_Num_Ctx=8192": 8192,
    'LLM_ADAPTER_MODELS={"gpt-4o": "qwen3:8b", "*": "llama"}': {"gpt-4o": "qwen3:8b", "*": "llama"},
    'LLM_ADAPTER_OPTIONS={"top_k": 20, "stop": ["a"]}': {"top_k": 20, "stop": ["a"]},
    'LLM_ADAPTER_PRELOAD=["a", "b"]': ("a", "b"),
    "LLM_ADAPTER_UNSUPPORTED=warn": "warn",
    'LLM_ADAPTER_UNSUPPORTED={"seed": "warn"}': {"seed": "warn"},
    "LLM_ADAPTER_KEEP_ALIVE=30m": "30m",
    "LLM_ADAPTER_KEEP_ALIVE=300": 300,
    "LLM_ADAPTER_KEEP_ALIVE=-1": -1,
    "LLM_ADAPTER_KEEP_ALIVE=1.5": 1.5,
    "LLM_ADAPTER_THINK=high": "high",
    "LLM_ADAPTER_THINK=false": False,
    "LLM_ADAPTER_TRUST_ENV=1": True,
    "LLM_ADAPTER_HOST=0.0.0.0": "http://127.0.0.1:11434",
    "LLM_ADAPTER_BASE_URL=vllm:8000": "http://vllm:8000/v1",
    "LLM_ADAPTER_API_KEY=sk-1": SecretStr("sk-1"),
    "LLM_ADAPTER_NUM_CTX=": None,
}


@pytest.mark.parametrize("variable", VARIABLES)
def test_variable(variable: str) -> None:
    """Every field is a variable, in any case; tables are JSON; an empty variable is none."""
    name, _, text = variable.partition("=")
    field = name.lower().removeprefix("llm_adapter_")
    provider = {"LLM_ADAPTER_PROVIDER": "ollama"} if field == "host" else {}
    settings = Settings.load({**os.environ, **provider, name: text})
    assert getattr(settings, field) == VARIABLES[variable]
    assert settings.origin(field) == (name if text else "default")


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_field_has_a_variable(field: str) -> None:
    """No field is left out: the variable is the field's origin, or is named in the refusal."""
    variable = f"LLM_ADAPTER_{field.upper()}"
    try:
        named = Settings.load({**os.environ, variable: "1"}).origin(field)
    except SettingsError as error:
        named = str(error)
    assert variable in named


def test_value_reads_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Settings(...)` is a plain value: no file and no variable changes it."""
    project.write_text("num_ctx = 1", encoding="utf-8")
    monkeypatch.setenv("LLM_ADAPTER_NUM_CTX", "2")
    monkeypatch.setenv("OLLAMA_HOST", "gpu")
    settings = Settings(provider="ollama")
    assert (settings.model_fields_set, settings.host, settings.num_ctx) == ({"provider"}, None, None)


def test_ollama_and_openai_variables_choose_nothing() -> None:
    """The servers' own variables say where they are, not which one is used."""
    environ = {**os.environ, "OLLAMA_HOST": "gpu", "OLLAMA_API_KEY": "k", "OPENAI_BASE_URL": "http://x/v1"}
    assert not Settings.load(environ).configured


# --- one destination -------------------------------------------------------------------------------------------------

CLUSTER = 'provider = "openai"\nbase_url = "https://llm.internal/v1"\napi_key_env = "CLUSTER"\ndialect = "vllm"\n'
OVER: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "another address leaves the key": (
        CLUSTER,
        {"BASE_URL": "https://other.test"},
        {"base_url": "https://other.test/v1", "api_key_env": None, "dialect": None},
    ),
    "another provider leaves the address and the key": (
        CLUSTER,
        {"PROVIDER": "ollama"},
        {"base_url": None, "api_key_env": None, "dialect": None},
    ),
    "back to OpenAI": (
        'provider = "ollama"\nhost = "gpu"\napi_key = "gpu"\n',
        {"PROVIDER": "openai"},
        {"host": None, "api_key": None},
    ),
    "the same address keeps the key": (
        CLUSTER,
        {"BASE_URL": "https://llm.internal/v1", "PROVIDER": "openai"},
        {"api_key_env": "CLUSTER", "dialect": "vllm"},
    ),
    "another key replaces the key": (CLUSTER, {"API_KEY": "k"}, {"api_key": SecretStr("k"), "api_key_env": None}),
    "a new address with its key": (
        CLUSTER,
        {"BASE_URL": "https://other.test", "API_KEY_ENV": "OTHER"},
        {"base_url": "https://other.test/v1", "api_key_env": "OTHER"},
    ),
    "a host for the provider below": ('host = "gpu"\n', {"PROVIDER": "ollama"}, {"host": "http://gpu:11434"}),
    "embedded has no address": (CLUSTER, {"PROVIDER": "embedded"}, {"base_url": None, "api_key_env": None}),
}


@pytest.mark.parametrize("case", OVER)
def test_stronger_destination(project: Path, case: str) -> None:
    """Where a stronger source names another destination, the weaker's address and key stay behind."""
    file, variables, expected = OVER[case]
    project.write_text(file, encoding="utf-8")
    settings = Settings.load({**os.environ, **{f"LLM_ADAPTER_{name}": text for name, text in variables.items()}})
    assert {name: getattr(settings, name) for name in expected} == expected


def test_top_level_key_is_not_the_profiles(project: Path) -> None:
    """A file's key is not for the other host that one of its profiles names."""
    project.write_text('api_key = "sk-work"\n[profiles.local]\nprovider = "ollama"\n', encoding="utf-8")
    assert Settings.load(profile="local").api_key is None


# --- refusals --------------------------------------------------------------------------------------------------------

UNKNOWN = {
    "file": ("nun_ctx = 1", {}, {}, "unknown setting 'nun_ctx' in {project}; did you mean 'num_ctx'?"),
    "profile": (
        '[profiles.p]\nkeepalive = "1h"',
        {},
        {},
        "unknown setting 'keepalive' in {project} [profiles.p]; did you mean 'keep_alive'?",
    ),
    "environment": (
        "",
        {"LLM_ADAPTER_PROVIDR": "ollama"},
        {},
        "unknown setting LLM_ADAPTER_PROVIDR in the environment; did you mean 'LLM_ADAPTER_PROVIDER'?",
    ),
    "environment in small letters": (
        "",
        {"llm_adapter_hots": "gpu"},
        {},
        "unknown setting llm_adapter_hots in the environment; did you mean 'LLM_ADAPTER_HOST'?",
    ),
    "argument": (
        "",
        {},
        {"keepalive": "1h"},
        "unknown setting 'keepalive'; did you mean 'keep_alive'? (keepalive from argument)",
    ),
    "nothing near": ("zzz = 1", {}, {}, "unknown setting 'zzz' in {project}"),
    "another dash": (
        None,
        {},
        {},
        "{pyproject}: unknown table [tool.llm-adapter]; did you mean [tool.llm_adapter]?",
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_unknown_field(project: Path, case: str) -> None:
    """An unknown field is refused by name, with its place and the nearest name."""
    text, environ, arguments, expected = UNKNOWN[case]
    pyproject = project.with_name("pyproject.toml")
    if text is None:
        pyproject.write_text("[tool.llm-adapter]\nnum_ctx = 1", encoding="utf-8")
    else:
        project.write_text(text, encoding="utf-8")
    assert refusal(environ, **arguments) == expected.format(project=project, pyproject=pyproject)


WRONG: dict[str, tuple[str, dict[str, str], dict[str, Any], str]] = {
    "unknown profile, argument": (
        "[profiles.local]\n[profiles.cloud]",
        {},
        {"profile": "locl"},
        "unknown profile 'locl' (from the argument `profile`); did you mean 'local'?; known profiles: local, cloud",
    ),
    "unknown profile, environment": (
        "",
        {"LLM_ADAPTER_PROFILE": "local"},
        {},
        "unknown profile 'local' (from LLM_ADAPTER_PROFILE); none is defined: put [profiles.NAME] in llm_adapter.toml",
    ),
    "unknown profile, file": (
        'profile = "x"\n[profiles.y]',
        {},
        {},
        "(from `profile` in {project}); known profiles: y",
    ),
    "a table for a profile": (
        '[profile.local]\napi_key = "sk-real"',
        {},
        {},
        "{project}: `profile` is the name of a profile; write its settings under [profiles.NAME]",
    ),
    "profiles not tables": ("[profiles]\nlocal = 1", {}, {}, "{project}: `profiles` holds tables, [profiles.NAME]"),
    "broken TOML": ("num_ctx = 1\nhost =\n", {}, {}, "{project} is not valid TOML: Invalid value (at line 2"),
    "unknown provider": (
        'provider = "olama"',
        {},
        {},
        "provider: unknown provider 'olama': expected one of openai, ollama, embedded, or package.module:Name; "
        "did you mean 'ollama'? (provider from {project})",
    ),
    "bad host": (
        "",
        {"LLM_ADAPTER_PROVIDER": "ollama", "LLM_ADAPTER_HOST": "localhost:port"},
        {},
        "host: 'localhost:port' is not a server's address: 'port' is not a port (host from LLM_ADAPTER_HOST)",
    ),
    "bad number": (
        "",
        {"LLM_ADAPTER_NUM_CTX": "many"},
        {},
        "num_ctx: Input should be a valid integer, unable to parse string as an integer or Input should be 'auto' "
        "(num_ctx from LLM_ADAPTER_NUM_CTX)",
    ),
    "bad choice": ('unsupported = "drop"', {}, {}, "unsupported: Input should be 'error', 'warn' or 'ignore'"),
    "bad JSON": (
        "",
        {"LLM_ADAPTER_MODELS": "gpt=llama"},
        {},
        'LLM_ADAPTER_MODELS is not valid JSON: write a table as {{"name": "value"}}, a list as ["value"]',
    ),
    "JSON without an end": ("", {"LLM_ADAPTER_PRELOAD": "[" * 100_000}, {}, "LLM_ADAPTER_PRELOAD is not valid JSON"),
    "not a table": ("", {"LLM_ADAPTER_MODELS": "[1]"}, {}, "models: Input should be a valid dictionary"),
    "host for openai": (
        'provider = "openai"\nhost = "gpu"',
        {},
        {},
        "`host` is for provider ollama; provider 'openai' does not use it (host from {project})",
    ),
    "host and base_url": (
        'provider = "ollama"\nhost = "gpu"\nbase_url = "http://gpu/v1"',
        {},
        {},
        "give one of them (host from {project}; base_url from {project})",
    ),
    "a key for its variable's name": (
        'api_key_env = "sk-real"',
        {},
        {},
        "api_key_env: this is the name of an environment variable that holds the key, not the key itself",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_refused(project: Path, case: str) -> None:
    """Bad input gets one line that says what, where and what to do, and shows no key."""
    text, environ, arguments, expected = WRONG[case]
    project.write_text(text, encoding="utf-8")
    said = refusal(environ, **arguments)
    assert expected.format(project=project) in said
    assert "sk-real" not in said


def test_file_that_is_no_text(project: Path) -> None:
    """A file that is not UTF-8 is named."""
    project.write_bytes(b'host = "\xff"')
    assert f"{project} is not valid TOML: 'utf-8' codec" in refusal()


def test_error_is_the_sdks_and_a_value_error() -> None:
    """A caller may catch the SDK's base class or ValueError; the error survives a process boundary."""
    import openai

    with pytest.raises(openai.OpenAIError) as error:
        Settings(provider="x")
    again = pickle.loads(pickle.dumps(error.value))
    assert isinstance(again, ValueError)
    assert (str(again), again.fields) == (str(error.value), ("provider",))


# --- the value -------------------------------------------------------------------------------------------------------


def test_frozen() -> None:
    """A value in use cannot change below a client."""
    settings = Settings(num_ctx=1)
    with pytest.raises(ValidationError):
        settings.num_ctx = 2  # type: ignore[misc]
    assert settings.num_ctx == 1


def test_none_chooses_nothing() -> None:
    """None and the empty string of an unset variable are absent."""
    assert not Settings(host=None, base_url="", api_key="", keep_alive=None).configured


def test_none_argument_keeps_the_file(project: Path) -> None:
    """An argument of None leaves what the file says."""
    project.write_text("num_ctx = 1", encoding="utf-8")
    assert Settings.load(num_ctx=None).num_ctx == 1


def test_origin_of_a_copy() -> None:
    """What a copy knows of its fields does not change what the original knows."""
    settings = Settings(provider="ollama")
    copy = settings.model_copy(update={"host": "http://gpu:11434"}).with_origins({"host": "OLLAMA_HOST"})
    assert (settings.origin("host"), copy.origin("host"), copy.origin("provider")) == (
        "default",
        "OLLAMA_HOST",
        "argument",
    )


def test_origin_of_no_field() -> None:
    """A misspelt field has no origin, and a hint."""
    with pytest.raises(AttributeError, match="did you mean 'num_ctx'"):
        Settings().origin("numctx")


@pytest.mark.parametrize("show", [repr, str, lambda value: value.model_dump_json(), lambda value: str(vars(value))])
def test_no_key_is_shown(show: Any) -> None:
    """A key is masked wherever a value is shown."""
    assert "sk-real" not in show(Settings(api_key="sk-real"))


ALIASES = {"gpt-4o": "qwen3:8b", "*": "llama3.2"}


@pytest.mark.parametrize(
    ("models", "name", "expected"),
    [
        (ALIASES, "gpt-4o", "qwen3:8b"),
        (ALIASES, "gpt-4o-mini", "llama3.2"),
        (ALIASES, "qwen3:8b", "qwen3:8b"),
        ({"gpt-4o": "qwen3:8b"}, "mistral:7b", "mistral:7b"),
        ({}, "gpt-4o", "gpt-4o"),
    ],
)
def test_alias(models: dict[str, str], name: str, expected: str) -> None:
    """A call site's name becomes the provider's; one that is the provider's already stays."""
    assert Settings(models=models).model(name) == expected


def test_provider_names() -> None:
    """The names that settings accept are the registry's."""
    assert set(PROVIDER_NAMES) == PROVIDERS.keys()


@pytest.mark.parametrize("value", ["30m", "1h30m", "1.5h", "-1m", "300", -1, 0, 12.5])
def test_durations(value: Any) -> None:
    assert Settings(keep_alive=value).keep_alive == (300 if value == "300" else value)


@pytest.mark.parametrize("value", ["30x", "half an hour", "30 m", "m"])
def test_what_is_no_duration(value: str) -> None:
    """Ollama would say so with the first call (recordings: bad_keep_alive)."""
    with pytest.raises(ValueError, match="is no duration"):
        Settings(keep_alive=value)


CHANGES: dict[str, Any] = {
    "an alias": lambda settings: settings.models.update({"gpt": "other"}),
    "a header": lambda settings: settings.headers.pop("x-team"),
    "an option": lambda settings: settings.options.__setitem__("seed", 2),
    "an option within one": lambda settings: settings.options["nested"].setdefault("b", 2),
    "one of a list": lambda settings: settings.options["stop"].__setitem__(0, "b"),
    "a policy": lambda settings: settings.unsupported.clear(),
    "a default": lambda settings: Settings().models.update({"gpt": "other"}),
    "a copy's": lambda settings: settings.model_copy(deep=True).models.clear(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_settings_are_immutable_all_the_way_down(change: Any) -> None:
    """They are shared by clients, threads and caches."""
    options = {"seed": 1, "nested": {"a": 1}, "stop": ["a"]}
    settings = Settings(models={"gpt": "m"}, headers={"x-team": "a"}, options=options, unsupported={"n": "warn"})
    with pytest.raises(TypeError):
        change(settings)
    assert settings.models == {"gpt": "m"}
    assert settings.model_dump()["unsupported"] == {"n": "warn"}
    assert json.loads(settings.model_dump_json())["options"] == options
    assert pickle.loads(pickle.dumps(settings.model_copy(update={"headers": {}}))).options == settings.options
