"""Where settings come from: the user's file, the project's file, the environment. Read once, when a client is made.

Files are `llm_adapter.toml` or `[tool.llm_adapter]` in `pyproject.toml`, found from the working directory upwards, and
`llm_adapter/llm_adapter.toml` in the user's configuration folder. Top-level fields hold for every profile of a file,
but a key is for one destination: where a stronger source names another, the weaker one's address and key do not follow.
What a project's file may decide for a program that is no part of the project is in `trust`.
The class with the fields is handed in, so that this module does not import the one that it serves.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, get_args, get_origin

from llm_adapter.settings import trust
from llm_adapter.settings.errors import SettingsError, near
from llm_adapter.settings.run_variable import folder_of_run

if TYPE_CHECKING:
    from pydantic import BaseModel

    Model: TypeAlias = type[BaseModel]

PREFIX = "LLM_ADAPTER_"
FILE = "llm_adapter.toml"
# No settings, for they are about the process: a file that gets a report of all calls, and whether clients are told of.
REPORT_VARIABLE = f"{PREFIX}REPORT"
VERBOSE_VARIABLE = f"{PREFIX}VERBOSE"
_NO_SETTINGS = (trust.VARIABLE, REPORT_VARIABLE, VERBOSE_VARIABLE)
_TABLE = r"^\s*\[\s*tool\s*\.\s*llm[_-]adapter\s*[.\]]"
_KEYS = {"api_key", "api_key_env"}
_OF_A_HOST = {*trust.SECRETS, "call_site_key", "dialect"}  # beside its address


class _Sourced(NamedTuple):
    value: Any
    source: str


_Layer: TypeAlias = dict[str, _Sourced]


class _File(NamedTuple):
    path: Path
    content: dict[str, Any]
    of_project: bool = False

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def profiles(self) -> dict[str, dict[str, Any]]:
        return self.content.get("profiles", {})  # type: ignore[no-any-return]

    def layers(self, profile: str | None) -> list[_Layer]:
        """What holds for every profile, then what holds for this one."""
        common = {name: value for name, value in self.content.items() if name not in ("profile", "profiles")}
        own = self.profiles.get(profile or "", {})
        return [_layer(common, self.name), _layer(own, f"{self.name} [profiles.{profile}]")]


class Merged(NamedTuple):
    """The fields of one profile, each from the strongest source that names it."""

    fields: _Layer
    profile: str | None
    left_out: trust.LeftOut | None = None

    @property
    def values(self) -> dict[str, Any]:
        return _values(self.fields)

    @property
    def origins(self) -> dict[str, str]:
        return {name: field.source for name, field in self.fields.items()}

    def with_sources(self, error: SettingsError) -> SettingsError:
        """The same error, with the sources of the fields that it is about."""
        named = "; ".join(f"{name} from {self.fields[name].source}" for name in error.fields if name in self.fields)
        return SettingsError(f"{error} ({named})" if named else str(error), error.fields)


def merged(
    model: Model,
    environ: Mapping[str, str] | None,
    profile: str | None,
    arguments: dict[str, Any],
    folder: Path | None = None,
) -> Merged:
    """What files, environment and arguments say for one profile.

    model: the class with the fields. folder: from which the project's file is looked for; by default the working
    directory. Raises `SettingsError`.
    """
    environ = os.environ if environ is None else environ
    files, refused = _files(model, environ, folder)
    given = {name: value for name, value in arguments.items() if value is not None}
    stronger = (_environment(model, environ), _layer(given, "argument"))
    chosen = _profile(profile, environ, files)
    if files and files[-1].of_project:
        found = _bounded(files, chosen, _profile(profile, environ, files[:-1], files), stronger, environ)
    else:
        found = Merged(_all(*(layer for file in files for layer in file.layers(chosen)), *stronger), chosen, refused)
    if found.left_out is not None:
        found.left_out.warn()
    return found


def _bounded(
    files: list[_File],
    profile: str | None,
    otherwise: str | None,
    stronger: tuple[_Layer, ...],
    environ: Mapping[str, str],
) -> Merged:
    """The fields, of which the project's file - the last one - decides what it may.

    otherwise: the profile that is chosen without that file.
    """
    *others, project = files
    weaker = [layer for file in others for layer in file.layers(profile)]
    own = project.layers(profile)
    everything = _all(*weaker, *own, *stronger)
    without = _all(*(layer for file in others for layer in file.layers(otherwise)), *stronger)
    said = (_values(_all(*layers)) for layers in (own, (*weaker, *stronger), stronger))
    sources = trust.Sources(project.path.parent, *said)
    names = trust.needing_trust(((name, field.value) for layer in own for name, field in layer.items()), sources)
    kept = {name: without[name] for name in trust.undone(_values(without), _values(everything))}
    if not (names or kept) or trust.is_allowed(project.path, lambda: project.content, environ, user_folder(environ)):
        return Merged(everything, profile)
    allowed = [{name: field for name, field in layer.items() if name not in names} for layer in own]
    fields = {**_all(*weaker, *allowed, *stronger), **kept}
    destination = {*trust.ADDRESSES, "provider"}
    astray = bool(destination & names.keys()) and not (destination & fields.keys())
    left_out = trust.LeftOut(project.name, trust.UNTRUSTED, tuple({**names, **kept}), astray)
    return Merged(fields, profile, left_out)


def profiles(model: Model, environ: Mapping[str, str], folder: Path | None = None) -> list[str]:
    """The names of all profiles that the files define. Raises `SettingsError`."""
    return list(dict.fromkeys(name for file in _files(model, environ, folder)[0] for name in file.profiles))


class ProfileList(NamedTuple):
    """Which profiles there are, and which one is chosen: it need not be one of them."""

    files: dict[str, tuple[str, ...]]  # each profile's name to the files that define it, the weakest first
    chosen: str | None
    chooser: str | None  # what has chosen it, in words


def profile_list(model: Model, environ: Mapping[str, str], argument: str | None = None) -> ProfileList:
    """All profiles that the files define, each with its files. Raises `SettingsError`."""
    files = _files(model, environ)[0]
    names = dict.fromkeys(name for file in files for name in file.profiles)
    chosen, chooser = _chosen(argument, environ, files)
    found = {name: tuple(file.name for file in files if name in file.profiles) for name in names}
    return ProfileList(found, chosen, chooser if chosen else None)


def _layer(content: Mapping[str, Any], source: str) -> _Layer:
    return {name: _Sourced(value, source) for name, value in content.items()}


def _values(layer: _Layer) -> dict[str, Any]:
    return {name: field.value for name, field in layer.items()}


def _all(*layers: _Layer) -> _Layer:
    """The layers over one another, the weakest first."""
    fields: _Layer = {}
    for layer in layers:
        fields = _override(fields, layer)
    return fields


def _override(weaker: _Layer, stronger: _Layer) -> _Layer:
    """One layer over the others. What belongs to a destination or a key that it replaces does not stay below it."""
    address = {"host", "base_url"} & stronger.keys()
    gone = set(_KEYS if _KEYS & stronger.keys() else ())
    if address:
        gone |= {"host", "base_url"}
    elif _provider(stronger, weaker) != _provider(weaker):
        gone |= {"ollama": {"base_url"}, "openai": {"host"}}.get(_provider(stronger), {"host", "base_url"})
    kept = {name: field for name, field in weaker.items() if name not in gone}
    both = {**kept, **stronger}
    if _destination(both) != _destination(weaker):
        both = {name: both[name] for name in both if name in stronger or name not in _OF_A_HOST}
    return both


def _provider(*layers: _Layer) -> str:
    found = next((layer["provider"].value for layer in layers if "provider" in layer), "openai")
    return found if isinstance(found, str) else type(found).__name__


def _destination(layer: _Layer) -> tuple[str, Any]:
    """What tells one destination from another: the address, or the provider where none is named."""
    named = [layer[name].value for name in ("host", "base_url") if name in layer and layer[name].value]
    return ("address", named) if named else ("provider", _provider(layer))


def _profile(
    argument: str | None, environ: Mapping[str, str], files: list[_File], defining: list[_File] | None = None
) -> str | None:
    """The chosen profile's name, which some file defines. Raises `SettingsError`.

    defining: the files that may define it, if these are others than those that may choose it.
    """
    chosen, chooser = _chosen(argument, environ, files)
    known = dict.fromkeys(name for file in defining or files for name in file.profiles)
    if chosen and chosen not in known:
        have = f"known profiles: {', '.join(known)}" if known else f"none is defined: put [profiles.NAME] in {FILE}"
        raise SettingsError(f"unknown profile {chosen!r} (from {chooser}){near(chosen, known)}; {have}")
    return chosen or None


def _chosen(argument: str | None, environ: Mapping[str, str], files: list[_File]) -> tuple[str | None, str]:
    """The name of the profile that is asked for, and by whom."""
    chosen, chooser = argument, "the argument `profile`"
    if not chosen:
        chooser = f"{PREFIX}PROFILE"
        chosen = next((text for key, text in environ.items() if key.upper() == chooser and text), None)
    for file in reversed(files):
        if not chosen and file.content.get("profile"):
            chosen, chooser = file.content["profile"], f"`profile` in {file.name}"
    return chosen or None, chooser


def _files(
    model: Model, environ: Mapping[str, str], folder: Path | None = None
) -> tuple[list[_File], trust.LeftOut | None]:
    """The user's file and the project's, and what is said of a project's file that must not be read."""
    user, project = _user_file(environ), project_file(folder or folder_of_run(environ))
    files = [] if user is None else [_File(user, content(model, user))]
    if project is None or project == user:
        return files, None
    refusal = trust.refusal(project)
    if refusal and not trust.is_trusted(project, partial(content, model, project), environ, user_folder(environ)):
        return files, trust.LeftOut(str(project), refusal)
    return [*files, _File(project, content(model, project), of_project=True)], None


def user_folder(environ: Mapping[str, str]) -> Path | None:
    """The user's own configuration folder, which need not be there."""
    return _folder_of_user(environ, ("APPDATA", "Roaming"), ("XDG_CONFIG_HOME", ".config"))


def data_folder(environ: Mapping[str, str]) -> Path | None:
    """The folder among the user's data, which need not be there."""
    return _folder_of_user(environ, ("LOCALAPPDATA", "Local"), ("XDG_DATA_HOME", ".local/share"))


def _folder_of_user(environ: Mapping[str, str], windows: tuple[str, str], xdg: tuple[str, str]) -> Path | None:
    """Our folder in that which a variable names, or in the usual one; None for a user without a home."""
    try:
        if sys.platform == "win32":
            folder = Path(environ.get(windows[0]) or Path.home() / "AppData" / windows[1])
        else:
            # A relative path is invalid (XDG Base Directory Specification 0.8), and would lie in the project.
            folder = Path(environ.get(xdg[0]) or "")
            folder = folder if folder.is_absolute() else Path.home() / xdg[1]
    except RuntimeError:  # a container's user without a home
        return None
    return folder / "llm_adapter"


def _user_file(environ: Mapping[str, str]) -> Path | None:
    folder = user_folder(environ)
    return folder / FILE if folder is not None and (folder / FILE).is_file() else None


def project_file(start: Path | None = None) -> Path | None:
    """The file of the project that a folder, by default the working directory, lies in."""
    try:
        start = start or Path.cwd()
    except OSError:  # the working directory is gone
        return None
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder / FILE
        if _has_our_table(folder / "pyproject.toml"):
            return folder / "pyproject.toml"
    return None


def _has_our_table(pyproject: Path) -> bool:
    """Whether the file has our table. A look at its text keeps TOML parsing away from all other projects."""
    try:
        if not pyproject.is_file():
            return False
        return re.search(_TABLE, pyproject.read_text("utf-8", "replace"), re.MULTILINE) is not None
    except OSError:
        return False


def content(model: Model, path: Path) -> dict[str, Any]:
    """The settings in a file, every name in it a known one. Raises `SettingsError`."""
    if sys.version_info >= (3, 11):  # few programs have a file
        import tomllib
    else:
        import tomli as tomllib

    try:
        with path.open("rb") as file:
            found: dict[str, Any] = tomllib.load(file)
    except ValueError as error:  # tomllib's and tomli's TOMLDecodeError
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"{path} is not valid TOML: it is nested too deeply") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    if path.name == "pyproject.toml":
        tools = found.get("tool", {})
        if "llm-adapter" in tools:
            raise SettingsError(f"{path}: unknown table [tool.llm-adapter]; did you mean [tool.llm_adapter]?")
        found = tools.get("llm_adapter", {})
    _check_names(model, found, str(path), ("profile", "profiles"))
    return found


def _check_names(model: Model, content: dict[str, Any], source: str, besides: tuple[str, ...] = ()) -> None:
    known = (*besides, *model.model_fields)
    for name in content:
        if name not in known:
            raise SettingsError(f"unknown setting {name!r} in {source}{near(name, known)}")
    if not isinstance(content.get("profile", ""), str):
        raise SettingsError(f"{source}: `profile` is the name of a profile; write its settings under [profiles.NAME]")
    profiles = content.get("profiles", {})
    if not isinstance(profiles, dict) or not all(isinstance(profile, dict) for profile in profiles.values()):
        raise SettingsError(f"{source}: `profiles` holds tables, [profiles.NAME]")
    for name, profile in profiles.items():
        _check_names(model, profile, f"{source} [profiles.{name}]")


def _environment(model: Model, environ: Mapping[str, str]) -> _Layer:
    layer = {}
    known = [PREFIX + field.upper() for field in ("profile", *model.model_fields)]
    for key, text in environ.items():
        if not key.upper().startswith(PREFIX) or text == "" or key.upper() in (known[0], *_NO_SETTINGS):
            continue
        if key.upper() not in known:
            raise SettingsError(f"unknown setting {key} in the environment{near(key.upper(), known)}")
        name = key[len(PREFIX) :].lower()
        layer[name] = _Sourced(_variable_value(model.model_fields[name].annotation, key, text), key)
    return layer


def _variable_value(annotation: Any, key: str, text: str) -> Any:
    """A variable's value: JSON where its field is a table or a list, text for the rest. Raises `SettingsError`."""
    if not any(get_origin(one) in (dict, tuple) for one in (annotation, *get_args(annotation))):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if get_origin(annotation) not in (dict, tuple):  # it may be a word, too
            return text
        raise SettingsError(
            f'{key} is not valid JSON: write a table as {{"name": "value"}}, a list as ["value"]'
        ) from None
