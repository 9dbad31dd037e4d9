"""What the file of a checkout may decide for a program that is no part of the project."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from llm_adapter import AdapterWarning, OpenAI, Settings, SettingsError
from llm_adapter.settings import trust
from llm_adapter.settings.trust import KEPT, NEEDS_TRUST

pytestmark = pytest.mark.filterwarnings("ignore::llm_adapter.AdapterWarning")
posix = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes are POSIX's")
as_root = pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root gives files away")
NOBODY = 65534


@pytest.fixture(autouse=True)
def stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is pytest, which is installed elsewhere, and nothing is trusted."""
    monkeypatch.delenv("LLM_ADAPTER_TRUST")
    trust._warned.clear()


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout; the working directory is below its root."""
    folder = tmp_path / "repo"
    (folder / "src").mkdir(parents=True)
    monkeypatch.chdir(folder / "src")
    return folder


def write(folder: Path, text: str, name: str = "llm_adapter.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def user(tmp_path: Path, text: str) -> None:
    write(tmp_path / "config" / "llm_adapter", text)


def left_out(**environ: str) -> set[str]:
    found = Settings.load({**os.environ, **environ}).left_out
    return set() if found is None else set(found.fields)


def test_each_setting_has_a_rule() -> None:
    """A new field is decided on: it gets a row."""
    assert Settings.model_fields.keys() <= NEEDS_TRUST.keys()
    assert KEPT.keys() <= NEEDS_TRUST.keys()


LOCAL = 'base_url = "http://127.0.0.1:8000/v1"\n'
AWAY = 'provider = "openai"\nbase_url = "https://llm.example.com/v1"\n'
# What the project's file says, and which of it is left out.
FILES: dict[str, tuple[str, set[str]]] = {
    "harmless": ('keep_alive = "1h"\nnum_ctx = 4096\npull = "missing"\nmodels = { "*" = "qwen3:8b" }\n', set()),
    "a loopback host": ('provider = "ollama"\nhost = "http://localhost:11434"\n', set()),
    "a host of the network": ('base_url = "http://10.0.0.7:8000/v1"\ndialect = "vllm"\n', set()),
    "OpenAI's own host": ('base_url = "https://api.openai.com/v1"\n', set()),
    "a public host": (AWAY, {"provider", "base_url"}),
    "a public Ollama": ('provider = "ollama"\nhost = "ollama.example.com"\n', {"provider", "host"}),
    "what belongs to a public host": (
        AWAY + 'dialect = "vllm"\napi_key = "k"\n',
        {*("provider", "base_url", "dialect"), "api_key"},
    ),
    "a variable for OpenAI": ('api_key_env = "GITHUB_TOKEN"\n', {"api_key_env"}),
    "a variable for a loopback host": (LOCAL + 'api_key_env = "GITHUB_TOKEN"\n', {"api_key_env"}),
    "a key for a loopback host": (LOCAL + 'api_key = "none"\n', set()),
    "a key of another account": ('api_key = "sk-theirs"\n', {"api_key"}),
    "a shadow": ('shadow = "other"\n[profiles.other]\n', {"shadow"}),
    "a store elsewhere": ('response_store = "/var/tmp/x.db"\n', {"response_store"}),
    "a store above": ('response_store = "../../x.db"\n', {"response_store"}),
    "a store in the home folder": ('response_store = "~/.bashrc"\n', {"response_store"}),
    "a store in the project": ('response_store = "x.db"\n', set()),
    "a log in a hidden folder": ('shadow_log = "../.git/hooks/post-commit"\n', {"shadow_log"}),
    "hosts of images": ('image_hosts = ["169.254.169.254"]\n', {"image_hosts"}),
    "proxies": ("trust_env = false\n", {"trust_env"}),
    "nothing at all": ('api_key_env = ""\nshadow = ""\nimage_hosts = []\nbase_url = ""\n', set()),
    "in a profile": ('profile = "p"\n[profiles.p]\napi_key_env = "GITHUB_TOKEN"\n', {"api_key_env"}),
    "in a profile that is not chosen": ('[profiles.p]\napi_key_env = "GITHUB_TOKEN"\n', set()),
    # The profile's address would have dropped the key, and is itself dropped.
    "below a profile": (
        'profile = "p"\napi_key_env = "T"\n[profiles.p]\n' + AWAY,
        {*("provider", "base_url"), "api_key_env"},
    ),
}


@pytest.mark.parametrize("where", ["llm_adapter.toml", "pyproject.toml"])
@pytest.mark.parametrize("name", FILES)
def test_what_needs_trust(name: str, where: str, repo: Path) -> None:
    text, fields = FILES[name]
    if where == "pyproject.toml":
        text = "[tool.llm_adapter]\n" + text.replace("[profiles.", "[tool.llm_adapter.profiles.")
    write(repo, text, where)
    settings = Settings.load()
    assert left_out() == fields
    assert all(settings.origin(name) == "default" for name in fields)
    assert left_out(LLM_ADAPTER_TRUST="1") == set()


# The user's file, the environment, the project's file, and what holds then.
PROTECTED: dict[str, tuple[str, dict[str, str], str, dict[str, Any]]] = {
    "false": ("local_only = true", {}, "local_only = false", {"local_only": True}),
    "empty": ("local_only = true", {}, 'local_only = ""', {"local_only": True}),
    "in a profile": ("local_only = true", {}, 'profile="p"\n[profiles.p]\nlocal_only=false', {"local_only": True}),
    "chosen by the environment": (
        "local_only = true",
        {"LLM_ADAPTER_PROFILE": "p"},
        "[profiles.p]\nlocal_only=false",
        {"local_only": True},
    ),
    "by another profile of the user's": (
        'profile = "safe"\n[profiles.safe]\nlocal_only = true\n[profiles.other]\nnum_ctx = 1',
        {},
        'profile = "other"',
        {"local_only": True, "num_ctx": 1},
    ),
    "set by a variable": ("", {"LLM_ADAPTER_LOCAL_ONLY": "1"}, "local_only = false", {"local_only": True}),
    "taken back by a variable": ("local_only=true", {"LLM_ADAPTER_LOCAL_ONLY": "0"}, "", {"local_only": False}),
    "images": ('image_urls = "refuse"', {}, 'image_urls = "fetch"', {"image_urls": "refuse"}),
    "its own is stricter": ("", {}, "local_only = true", {"local_only": True}),
}


@pytest.mark.parametrize("name", PROTECTED)
def test_what_the_user_protects_stays(name: str, repo: Path, tmp_path: Path) -> None:
    own, environ, project, expected = PROTECTED[name]
    user(tmp_path, own)
    write(repo, project)
    settings = Settings.load({**os.environ, **environ})
    assert {field: getattr(settings, field) for field in expected} == expected


# A secret of the user's, and what the project's file says: the two never meet.
SECRETS: dict[str, tuple[str, dict[str, str], str]] = {
    "a variable's name in the environment": ("", {"LLM_ADAPTER_API_KEY_ENV": "T"}, LOCAL),
    "a key in the environment": ("", {"LLM_ADAPTER_API_KEY": "secret"}, LOCAL),
    "a variable's name in the user's file": ('api_key_env = "T"', {}, LOCAL),
    "the same behind an empty host": ('api_key_env = "T"', {}, 'host = ""\n' + LOCAL),
    "a host that is called like a provider": ('provider="ollama"\napi_key_env = "T"', {}, 'host = "ollama"'),
    "the name in both files": ('base_url = "https://own.test"\napi_key_env = "T"', {}, LOCAL + 'api_key_env = "T"'),
    "a variable for the user's host": ('base_url = "https://own.test"', {}, 'api_key_env = "T"'),
}


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_meets_a_host_of_the_file(name: str, repo: Path, tmp_path: Path) -> None:
    own, environ, project = SECRETS[name]
    user(tmp_path, own)
    write(repo, project)
    settings = Settings.load({**os.environ, **environ})
    secret = bool(settings.api_key or settings.api_key_env)
    address = settings.base_url or settings.host
    assert not secret or address not in ("http://127.0.0.1:8000/v1", "http://ollama:11434")
    assert settings.origin("api_key_env") != str(repo / "llm_adapter.toml")


def test_both_of_the_user_need_no_trust(repo: Path, tmp_path: Path) -> None:
    user(tmp_path, '[profiles.own]\nbase_url = "https://own.test/v1"\napi_key_env = "T"\nshadow = "x"')
    write(repo, 'profile = "own"\n[profiles.own]\nbase_url = "https://own.test/v1"\nnum_ctx = 5')
    settings = Settings.load()
    assert (settings.left_out, settings.api_key_env, settings.shadow, settings.num_ctx) == (None, "T", "x", 5)


def test_where_only_the_file_names_a_server_a_client_says_so(repo: Path, tmp_path: Path) -> None:
    """Its calls would go to OpenAI, which nobody asked for."""
    write(repo, AWAY)
    with pytest.raises(SettingsError, match=r"`provider`, `base_url` here, .* calls would go to OpenAI"):
        OpenAI()
    assert OpenAI(base_url="http://127.0.0.1:1/v1", api_key="k").base_url.host == "127.0.0.1"
    user(tmp_path, 'provider = "ollama"')
    assert OpenAI().base_url.port == 11434


def test_one_line_at_the_caller(repo: Path) -> None:
    file = write(repo, 'api_key_env = "GITHUB_TOKEN"\nresponse_store = "/x.db"')
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(2):
            OpenAI(api_key="k").close()
    (line,) = found
    assert (line.category, line.filename) == (AdapterWarning, __file__)
    assert str(line.message) == (
        f"{file} does not decide `api_key_env`, `response_store` here, because this program is not part of the project "
        f"and the file is not trusted. `llm-adapter trust {file}` allows it, or LLM_ADAPTER_TRUST={file}."
    )


def module(path: Path, name: str) -> ModuleType:
    made = ModuleType(name)
    made.__file__ = str(path)
    return made


PROGRAMS: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], None], bool]] = {
    "its main module": (
        lambda repo, patch: patch.setattr(sys.modules["__main__"], "__file__", str(repo / "a.py"), raising=False),
        True,
    ),
    "its environment": (lambda repo, patch: patch.setattr(sys, "prefix", str(repo / ".venv")), True),
    "a module that a server has loaded": (
        lambda repo, patch: patch.setitem(sys.modules, "asgi_app", module(repo / "src/asgi_app.py", "asgi_app")),
        True,
    ),
    "a folder with a longer name": (lambda repo, patch: patch.setattr(sys, "prefix", f"{repo}-other/.venv"), False),
    "the folder above": (lambda repo, patch: patch.setattr(sys, "prefix", str(repo.parent)), False),
    "no main module": (lambda repo, patch: patch.delattr(sys.modules["__main__"], "__file__", raising=False), False),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_which_program_is_the_projects_own(name: str, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(repo, 'api_key_env = "T"')
    prepare, own = PROGRAMS[name]
    prepare(repo, monkeypatch)
    assert (left_out() == set()) is own


def test_trust_is_for_a_path_and_a_content(repo: Path, tmp_path: Path) -> None:
    config = tmp_path / "config" / "llm_adapter"
    file = write(repo, 'api_key_env = "T"')
    trust.trust(file, {"api_key_env": "T"}, config)
    assert left_out() == set()
    write(repo, '# a comment is no change\napi_key_env = "T"')
    assert left_out() == set()
    write(repo, 'api_key_env = "U"')
    assert left_out() == {"api_key_env"}
    write(repo / "src", 'api_key_env = "T"')
    assert left_out() == {"api_key_env"}


TRUSTED = {"1": True, "{repo}": True, "{file}": True, "/nowhere{sep}{repo}": True, "/nowhere": False, "0": False}


@pytest.mark.parametrize("said", TRUSTED)
def test_the_variable_names_paths(said: str, repo: Path) -> None:
    file = write(repo, 'api_key_env = "T"')
    value = said.format(repo=repo, file=file, sep=os.pathsep)
    assert (left_out(LLM_ADAPTER_TRUST=value) == set()) is TRUSTED[said]


def test_the_variable_takes_no_word(repo: Path) -> None:
    write(repo, 'api_key_env = "T"')
    with pytest.raises(SettingsError, match=r"LLM_ADAPTER_TRUST is 1, or absolute paths .* not 'yes'"):
        left_out(LLM_ADAPTER_TRUST="yes")


def refused() -> str | None:
    found = Settings.load().left_out
    return found.reason if found is not None and not found.fields else None


WRITABLE: dict[str, tuple[str, int, str | None]] = {
    "the file": ("llm_adapter.toml", 0o666, "it can be written by every user"),
    "its folder": ("", 0o777, "can be written by every user"),
    "a folder like /tmp": ("", 0o1777, None),
    "the group's": ("llm_adapter.toml", 0o664, None),
    "read only": ("llm_adapter.toml", 0o444, None),
}


@posix
@pytest.mark.parametrize("name", WRITABLE)
def test_a_file_that_all_can_write_is_not_read(name: str, repo: Path) -> None:
    place, mode, problem = WRITABLE[name]
    write(repo, "num_ctx = 5")
    (repo / place).chmod(mode)
    assert (Settings.load().num_ctx is None) is bool(problem)
    assert (problem or "") in (refused() or "")


@posix
def test_a_link_to_a_file_that_all_can_write_is_not_read(repo: Path, tmp_path: Path) -> None:
    target = write(tmp_path / "elsewhere", "num_ctx = 5", "x.toml")
    (repo / "llm_adapter.toml").symlink_to(target)
    assert Settings.load().num_ctx == 5
    target.chmod(0o666)
    assert Settings.load().num_ctx is None


@posix
def test_a_file_of_another_user_is_not_read(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(repo, "num_ctx = 5")
    if os.geteuid() == 0:
        os.chown(file, NOBODY, NOBODY)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    assert Settings.load().num_ctx is None
    assert "belongs to another user" in str(refused())
    with monkeypatch.context() as patch:  # its user can change the program that runs, too
        patch.setattr(sys.modules["__main__"], "__file__", str(file), raising=False)
        assert Settings.load().num_ctx == 5
    assert Settings.load({**os.environ, "LLM_ADAPTER_TRUST": str(repo)}).num_ctx == 5


OWNED = {
    "the link": ("llm_adapter.toml", "it belongs to another user"),
    "its folder": ("", "belongs to another user"),
    "the target": ("../elsewhere/x.toml", "it belongs to another user"),
    "the target's folder": ("../elsewhere", "elsewhere belongs to another user"),
}


@as_root
@pytest.mark.parametrize("name", OWNED)
def test_none_of_the_way_to_a_file_is_another_users(name: str, repo: Path, tmp_path: Path) -> None:
    target = write(tmp_path / "elsewhere", "num_ctx = 5", "x.toml")
    (repo / "llm_adapter.toml").symlink_to(target)
    place, problem = OWNED[name]
    os.chown(repo / place, NOBODY, NOBODY, follow_symlinks=False)
    assert problem in str(refused())


@as_root
def test_root_by_sudo_uses_the_users_files(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(write(repo, "num_ctx = 5"), NOBODY, NOBODY)
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    assert Settings.load().num_ctx == 5


@posix
def test_a_list_that_others_can_write_trusts_nothing(repo: Path, tmp_path: Path) -> None:
    config = tmp_path / "config" / "llm_adapter"
    trust.trust(write(repo, 'api_key_env = "T"'), {"api_key_env": "T"}, config)
    assert list(json.loads((config / trust.STORE).read_text("utf-8"))) == [str(repo / "llm_adapter.toml")]
    (config / trust.STORE).chmod(0o666)
    assert left_out() == {"api_key_env"}


@pytest.mark.parametrize("text", ["[tool.llm-adapter]", "[tool.llm_adapter", "x = " + "[" * 3000])
def test_a_file_that_is_not_read_breaks_nothing(text: str, repo: Path) -> None:
    file = write(repo, text + "\n[tool.llm_adapter]\n", "pyproject.toml")
    with pytest.raises(SettingsError):
        Settings.load()
    file.chmod(0o666)
    if sys.platform != "win32":
        assert refused()


def test_the_users_file_is_no_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user(tmp_path, 'api_key_env = "T"')
    monkeypatch.chdir(tmp_path / "config" / "llm_adapter")
    assert Settings.load().api_key_env == "T"


@posix
def test_a_relative_folder_of_configuration_is_none(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be the project's."""
    write(repo / "src" / "cfg" / "llm_adapter", "num_ctx = 5")
    monkeypatch.setenv("XDG_CONFIG_HOME", "cfg")
    monkeypatch.setenv("HOME", str(repo))
    assert not Settings.load().configured


def test_a_shadows_profile_is_screened_too(repo: Path, tmp_path: Path) -> None:
    """The user's shadow stays on the user's server, whatever the file writes into its profile."""
    user(tmp_path, 'shadow = "gpu"\n[profiles.gpu]\nbase_url = "http://10.0.0.1/v1"\napi_key_env = "T"')
    write(repo, "[profiles.gpu]\n" + AWAY)
    found = Settings.load(profile="gpu")
    assert (found.base_url, found.api_key_env) == ("http://10.0.0.1/v1", "T")
