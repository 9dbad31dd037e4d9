"""Where settings come from: the user's file, the project's file, the environment. Read once, when a client is made.

Files are `llm_adapter.toml` or `[tool.llm_adapter]` in `pyproject.toml`, found from the working directory upwards, and
`llm_adapter/llm_adapter.toml` in the user's configuration folder. Top-level fields hold for every profile of a file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_adapter.settings import Settings, SettingsError, near

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

PREFIX = "LLM_ADAPTER_"
FILE = "llm_adapter.toml"


def load(
    cls: type[Settings], environ: Mapping[str, str] | None, profile: str | None, arguments: dict[str, Any]
) -> Settings:
    """The settings of one profile, each field from the strongest source that names it."""
    environ = os.environ if environ is None else environ
    layers = [*_files(environ), *_environment(environ)]
    chosen, chooser = _profile(profile, environ, layers)
    fields: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source, content in [*_selected(layers, chosen, chooser), ("argument", arguments)]:
        fields.update(content)
        origins.update(dict.fromkeys(content, source))
    try:
        return cls(**fields).located(origins)
    except SettingsError as error:
        named = sorted({f"{name} from {source}" for name, source in origins.items() if name in str(error)})
        raise SettingsError(f"{error} ({'; '.join(named)})" if named else str(error)) from None


def _profile(
    profile: str | None, environ: Mapping[str, str], layers: list[tuple[str, dict[str, Any]]]
) -> tuple[str | None, str]:
    if profile:
        return profile, "the argument `profile`"
    if environ.get(f"{PREFIX}PROFILE"):
        return environ[f"{PREFIX}PROFILE"], f"{PREFIX}PROFILE"
    for source, content in reversed(layers):
        if content.get("profile"):
            return str(content["profile"]), f"`profile` in {source}"
    return None, ""


def _selected(
    layers: list[tuple[str, dict[str, Any]]], profile: str | None, chooser: str
) -> list[tuple[str, dict[str, Any]]]:
    known = [name for _, content in layers for name in content.get("profiles", {})]
    if profile is not None and profile not in known:
        have = (
            f"known profiles: {', '.join(dict.fromkeys(known))}"
            if known
            else f"no profile is defined; put [profiles.{profile}] in {FILE}"
        )
        raise SettingsError(f"unknown profile {profile!r} (from {chooser}){near(profile, known)}; {have}")
    selected = []
    for source, content in layers:
        common = {key: value for key, value in content.items() if key not in ("profile", "profiles")}
        selected.append((source, common))
        if profile in content.get("profiles", {}):
            selected.append((f"{source} [profiles.{profile}]", content["profiles"][profile]))
    return selected


def _files(environ: Mapping[str, str]) -> list[tuple[str, dict[str, Any]]]:
    found = [_user_file(environ), _project_file(Path.cwd())]
    return [(str(path), _content(path)) for path in found if path is not None]


def _user_file(environ: Mapping[str, str]) -> Path | None:
    if sys.platform == "win32":
        folder = Path(environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    else:
        folder = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    path = folder / "llm_adapter" / FILE
    return path if path.is_file() else None


def _project_file(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder / FILE
        pyproject = folder / "pyproject.toml"
        # Reading the text first keeps TOML parsing away from every project that has no settings of ours.
        if pyproject.is_file() and "[tool.llm_adapter" in pyproject.read_text("utf-8", "replace"):
            return pyproject
    return None


def _content(path: Path) -> dict[str, Any]:
    from pydantic_settings import TomlConfigSettingsSource

    try:
        content: dict[str, Any] = TomlConfigSettingsSource(_reader(), toml_file=path).toml_data
    except ValueError as error:  # tomllib's and tomli's TOMLDecodeError
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    if path.name == "pyproject.toml":
        content = content.get("tool", {}).get("llm_adapter", {})
    profiles = content.get("profiles", {})
    if not isinstance(profiles, dict) or not all(isinstance(profile, dict) for profile in profiles.values()):
        raise SettingsError(f"{path}: `profiles` holds tables, [profiles.NAME]")
    return content


def _environment(environ: Mapping[str, str]) -> list[tuple[str, dict[str, Any]]]:
    names = {key: key[len(PREFIX) :].lower() for key in environ if key.upper().startswith(PREFIX)}
    names = {key: name for key, name in names.items() if name != "profile" and environ[key] != ""}
    for key, name in names.items():
        if name not in Settings.model_fields:
            hint = near(key, [PREFIX + field.upper() for field in ("profile", *Settings.model_fields)])
            raise SettingsError(f"unknown setting {key} in the environment{hint}")
    if not names:
        return []
    values = _parsed({key: environ[key] for key in names})
    return [(key, {name: values[name]}) for key, name in names.items()]


def _parsed(variables: Mapping[str, str]) -> dict[str, Any]:
    """The variables as pydantic-settings reads them: JSON for tables, text for the rest."""
    from pydantic_settings import EnvSettingsSource
    from pydantic_settings.exceptions import SettingsError as Malformed
    from pydantic_settings.sources.utils import parse_env_vars

    class Variables(EnvSettingsSource):
        def _load_env_vars(self) -> Mapping[str, str | None]:
            return parse_env_vars(variables, self.case_sensitive)

    try:
        return dict(Variables(_reader(), env_prefix=PREFIX)())
    except Malformed as error:
        field = str(error).split('"')[1] if '"' in str(error) else ""
        raise SettingsError(
            f'{PREFIX}{field.upper()} is not valid JSON: write a table as {{"name": "value"}}'
        ) from None


def _reader() -> type[BaseSettings]:
    """`Settings` in the form that pydantic-settings' sources ask for: the same fields, nothing read on its own."""
    from pydantic import create_model
    from pydantic_settings import BaseSettings, SettingsConfigDict

    class Base(BaseSettings):
        model_config = SettingsConfigDict(extra="allow", arbitrary_types_allowed=True, protected_namespaces=())

    fields: dict[str, Any] = {name: (field.annotation, None) for name, field in Settings.model_fields.items()}
    return create_model("Sources", __base__=Base, **{**fields, "provider": (str, "openai")})
