"""What the file of a project may decide for a program that merely runs in the project's folder.

A file that came with a checkout was written by others. A program that belongs to the project runs the others' code
anyway, so the file decides everything for it. For any other program, say an installed command line tool, the settings
in `NEEDS_TRUST` hold only when the user trusts the file: `llm-adapter trust` notes its path and a digest of its content
in the user's configuration folder, and LLM_ADAPTER_TRUST names trusted paths.

A file that another user owns or can write is not read at all, trust apart.
Source: git's `safe.directory`, setup.c ensure_valid_ownership, v2.45. Unlike git we take files of root: who is root can
change the program itself.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from llm_adapter.settings.errors import SettingsError, warn_caller
from llm_adapter.settings.hosts import InvalidHostError, is_openai, is_private, ollama_root, openai_base_url
from llm_adapter.settings.provider_names import PROVIDER_NAMES

VARIABLE = "LLM_ADAPTER_TRUST"
SECRETS = frozenset({"api_key", "api_key_env", "headers"})
ADDRESSES = frozenset({"host", "base_url"})
STORE = "trusted.json"


class Sources(NamedTuple):
    """What is compared, each from field to value."""

    folder: Path  # of the project's file
    project: Mapping[str, Any]  # what the project's file says
    others: Mapping[str, Any]  # what the user's file, the environment and arguments say together
    stronger: Mapping[str, Any]  # the environment and arguments alone


class LeftOut(NamedTuple):
    """What of a project's file does not hold, and how the user allows it. As text, one line."""

    file: str
    reason: str
    fields: tuple[str, ...] = ()  # without any, the whole file
    destination: bool = False  # whether the address is among them while nothing else names one

    def __str__(self) -> str:
        if not self.fields:
            return f"{self.file} is not read, because {self.reason}. `llm-adapter trust {self.file}` allows it."
        names = ", ".join(f"`{name}`" for name in self.fields)
        return (
            f"{self.file} does not decide {names} here, because {self.reason}. "
            f"`llm-adapter trust {self.file}` allows it, or {VARIABLE}={self.file}."
        )

    def warn(self) -> None:
        """Say it once in a process."""
        if str(self) not in _warned:
            _warned.add(str(self))
            warn_caller(str(self))


Content: TypeAlias = Callable[[], Mapping[str, Any]]  # reads the settings of a file
_Rule: TypeAlias = Callable[[Any, Sources], bool]
_warned: set[str] = set()
UNTRUSTED = "this program is not part of the project and the file is not trusted"


# --- the rules: whether a value needs trust ---


def _always(value: Any, sources: Sources) -> bool:
    return True


def _leads_away(value: Any, sources: Sources) -> bool:
    """Whether prompts would leave the user's network, or a secret of the user's would go to the file's host."""
    address = _address(sources.project)
    if address is None or ADDRESSES & sources.stronger.keys() or address == _address(sources.others):
        return False
    return bool(SECRETS & sources.stronger.keys()) or not (is_private(address) or is_openai(address))


def _runs_code(value: Any, sources: Sources) -> bool:
    """Whether a provider would be imported that is none of this package, or one leads away."""
    return value not in PROVIDER_NAMES or _leads_away(value, sources)


def _another_account(value: Any, sources: Sources) -> bool:
    """Whether prompts could go to an account of the file's author: a key for a local server is harmless."""
    return not is_private(_address(sources.project) or "")


def _names_variable(value: Any, sources: Sources) -> bool:
    return "env:" in str(value).lower() or _another_account(value, sources)


def _lies_elsewhere(value: Any, sources: Sources) -> bool:
    """Whether a file is outside the project's folder, or in a hidden folder of it such as .git."""
    written = os.path.expanduser(str(value))
    parts = _parts_below(os.path.realpath(written), os.path.realpath(sources.folder))
    return not parts or any(part.startswith(".") for part in parts)


def _switched_on(value: Any, sources: Sources) -> bool:
    return _is_on(value)


def _is_on(value: Any) -> bool:
    """Whether a switch is on, or might be: what pydantic takes for false is off."""
    return str(value).strip().lower() not in ("", "none", "false", "0", "0.0", "no", "off", "f", "n")


# One row for each setting: the rule by which it needs trust, or None where it never does.
NEEDS_TRUST: dict[str, _Rule | None] = {
    "provider": _runs_code,
    "host": _leads_away,
    "base_url": _leads_away,
    "dialect": _leads_away,
    "api_key": _another_account,
    "api_key_env": _always,
    "call_site_key": _switched_on,
    "headers": _names_variable,
    "trust_env": _always,
    "image_hosts": _always,
    **dict.fromkeys(("shadow", "routes", "fallback"), _always),
    "shadow_log": _lies_elsewhere,
    **dict.fromkeys(("response_store", "batch_store"), _lies_elsewhere),
    **dict.fromkeys(("local_only", "image_urls"), None),  # see KEPT
    **dict.fromkeys(("models", "keep_alive", "num_ctx", "num_ctx_max", "think", "options", "overflow", "shift")),
    **dict.fromkeys(("expected_dimensions", "pull", "preload", "unsupported", "sampling_defaults", "corrections")),
    **dict.fromkeys(("recover_tool_calls", "token_encoding", "connect_timeout", "load_timeout", "idle_timeout")),
    **dict.fromkeys(("response_store_limit", "reasoning_fields", "fallback_on", "fallback_cooldown", "shadow_exit")),
    **dict.fromkeys(("first_token_timeout", "max_concurrency", "shadow_sample", "n_gpu_layers")),
    # These are only read.
    **dict.fromkeys(("model_path", "embedding_model_path", "mmproj_path", "chat_template")),
    **dict.fromkeys(("embedded_process", "memory_limit")),
}
# What the user asked for to be safe stays, whatever the file says, and whichever profile it chooses.
KEPT: dict[str, Callable[[Any], bool]] = {
    "local_only": _is_on,
    "image_urls": lambda value: value == "refuse",
}


def needing_trust(fields: Iterable[tuple[str, Any]], sources: Sources) -> dict[str, None]:
    """The names of those of the project's settings that need trust, in their order."""
    return dict.fromkeys(name for name, value in fields if _needs_trust(name, value, sources))


def undone(without: Mapping[str, Any], everything: Mapping[str, Any]) -> list[str]:
    """The names in `KEPT` that hold without the project's file and not with it."""
    return [name for name, holds in KEPT.items() if holds(without.get(name)) and not holds(everything.get(name))]


def _needs_trust(name: str, value: Any, sources: Sources) -> bool:
    rule = NEEDS_TRUST.get(name, _always)
    if rule is None or _is_empty(value):
        return False
    same = name not in SECRETS and name in sources.others and sources.others[name] == value
    return not same and rule(value, sources)


def _is_empty(value: Any) -> bool:
    return value in (None, [], {}) or (isinstance(value, str) and not value.strip())


def _address(fields: Mapping[str, Any]) -> str | None:
    """The address that calls go to, in full; as it is written where it cannot be understood."""
    for name, understood in (("base_url", openai_base_url), ("host", ollama_root)):
        if not _is_empty(written := fields.get(name)):
            try:
                return understood(str(written))
            except InvalidHostError:
                return str(written)
    return None


# --- whose program, whose file ---


def is_allowed(path: Path, content: Content, environ: Mapping[str, str], config: Path | None) -> bool:
    """Whether the file may decide everything. config: the user's own configuration folder. Raises `SettingsError`."""
    return own_code(path.parent) is not None or is_trusted(path, content, environ, config)


def own_code(folder: Path) -> str | None:
    """A file or folder by which the running program belongs to a project's folder; None where there is none.

    That is its main module, its environment, or any module of the project that it has loaded, as a server or a test
    runner does: each of them can do anything on its own, so the project's file gives it no power.
    """
    main = _file_of(sys.modules.get("__main__"))
    notebook = os.environ.get("JPY_SESSION_NAME") if "ipykernel" in sys.modules else None
    for path in (main, notebook, sys.prefix):
        if path and any(_parts_below(form(path), form(folder)) for form in (os.path.abspath, os.path.realpath)):
            return path
    beginning = os.path.join(folder, "")
    loaded = map(_file_of, list(sys.modules.values()))
    return next((path for path in loaded if path and path.startswith(beginning)), None)


def _file_of(module: Any) -> str | None:
    # Some modules load others when an attribute is asked for: their dictionary is looked at instead.
    found = getattr(module, "__dict__", {}).get("__file__")
    return found if isinstance(found, str) else None


def _parts_below(path: str, folder: str) -> tuple[str, ...]:
    """The parts of a path below a folder; none where it is not below it."""
    try:
        return Path(path).relative_to(folder).parts
    except ValueError:
        return ()


def refusal(path: Path) -> str | None:
    """Why a file must not be read, whatever it says: another user owns it or can write it. None on Windows."""
    if sys.platform == "win32":
        return None
    target = Path(os.path.realpath(path))
    for place in dict.fromkeys((path, target, path.parent, target.parent)):
        for found in dict.fromkeys((os.lstat(place), os.stat(place))):
            problem = _problem(found)
            if problem and not _is_like_program(found, path.parent):
                return f"its folder {place} {problem}" if stat.S_ISDIR(found.st_mode) else f"it {problem}"
    return None


def _problem(found: os.stat_result) -> str | None:
    if found.st_uid not in (os.geteuid(), 0, *_sudo_user()):
        return f"belongs to another user (uid {found.st_uid})"
    # In a folder with the sticky bit only owners replace their files.
    harmless = stat.S_ISLNK(found.st_mode) or (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX)
    return None if harmless or not found.st_mode & stat.S_IWOTH else "can be written by every user of this machine"


def _is_like_program(found: os.stat_result, folder: Path) -> bool:
    """Whether who may change this may change the running program too, which lies in the same folder.

    It is so where a container runs as root on a folder of the host's user, and on file systems that keep no modes.
    """
    own = own_code(folder)
    if own is None or not os.path.exists(own):
        return False
    code = os.stat(own)
    owners = (code.st_uid, os.geteuid(), 0)
    return found.st_uid in owners and (not found.st_mode & stat.S_IWOTH or bool(code.st_mode & stat.S_IWOTH))


def _sudo_user() -> Iterator[int]:
    """Who became root by sudo, whose files root may then use, as with git."""
    uid = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and uid.isascii() and uid.isdigit():
        yield int(uid)


# --- what the user trusts ---


def is_trusted(path: Path, content: Content, environ: Mapping[str, str], config: Path | None) -> bool:
    """Whether the user trusts this file with this content. Raises `SettingsError`."""
    if _named(path, environ):
        return True
    noted = trusted(config).get(str(path))
    return noted is not None and noted == _digest(content())


def trusted(config: Path | None) -> dict[str, str]:
    """The trusted files, each to the digest of its content."""
    import json

    try:
        store = config / STORE if config is not None else None
        found = json.loads(store.read_bytes()) if store is not None and refusal(store) is None else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def trust(path: Path, content: Mapping[str, Any], config: Path) -> None:
    """Note that the user trusts a file as it is now. Raises `OSError`."""
    _write({**trusted(config), str(path): _digest(content)}, config)


def distrust(path: Path, config: Path) -> bool:
    """Take a file out of the trusted ones. Whether it was one. Raises `OSError`."""
    files = trusted(config)
    if was := files.pop(str(path), None) is not None:
        _write(files, config)
    return was


def _write(files: dict[str, str], config: Path) -> None:
    import json

    config.mkdir(parents=True, exist_ok=True)
    new = config / f"{STORE}.{os.getpid()}"
    new.touch(mode=0o600)
    new.write_text(json.dumps(files, indent=1, sort_keys=True), "utf-8")
    new.replace(config / STORE)


def _digest(content: Mapping[str, Any]) -> str:
    """Of the settings alone: comments, and the other tables of a pyproject.toml, may change."""
    import hashlib
    import json

    return f"sha256:{hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()}"


def _named(path: Path, environ: Mapping[str, str]) -> bool:
    """Whether LLM_ADAPTER_TRUST is `1`, or names the file or a folder above it."""
    said = environ.get(VARIABLE, "").strip()
    if said in ("", "0", "1"):
        return said == "1"
    for written in said.split(os.pathsep):
        place = os.path.expanduser(written.strip())
        if not os.path.isabs(place):
            raise SettingsError(
                f"{VARIABLE} is 1, or absolute paths of files or folders, {os.pathsep!r} between them; not {written!r}"
            )
        if {str(path), *map(str, path.parents)} & {os.path.normpath(place), os.path.realpath(place)}:
            return True
    return False
