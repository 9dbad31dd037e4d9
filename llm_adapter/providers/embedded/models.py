"""The models of the embedded llama.cpp: which one a call means, where its files are, and what is known of it.

configured(settings, "gpt-4o", embeddings=False)   the name that the profile has for it: "hf:owner/repo:Q4_K_M"
resolve("hf:owner/repo:Q4_K_M", settings)          its files, found in the cache or pulled, and what their header says
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_adapter.provider import Json, Rejected
from llm_adapter.providers.embedded import hub, ollama_store
from llm_adapter.providers.embedded.gguf import CutHeaderError, Header, HeaderError, read_header
from llm_adapter.providers.embedded.names import FileName, HubName, OllamaName, is_of_store, parse, parts_of
from llm_adapter.settings.errors import SettingsError, near
from llm_adapter.settings.readers import EMBEDDED, MACHINE_OPTIONS, OPTIONS
from llm_adapter.translation.model_names import names_embedding_model

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings

_log = logging.getLogger("llm_adapter")
MODELS = Path(__file__).parents[2] / "models"
CHAT_MODEL = MODELS / "tiny-chat.gguf"
EMBEDDING_MODEL = MODELS / "tiny-embed.gguf"
_OF_PACKAGE = {file.stem: file for file in (CHAT_MODEL, EMBEDDING_MODEL)}
_LONGEST_TEMPLATE = 1 << 20  # bytes
_CHATML = "chatml"  # the one template that llama.cpp knows by its name and runs with tools (common/chat.cpp, b11549)

NO_GGUF = "It is no GGUF file: a download that failed, another format, or a pointer of Git LFS in the model's place"
CUT = "The file is not complete: fetch it again"
# Architectures as Ollama's own engine names them; llama.cpp has no such, or names them otherwise.
# Source: ollama fs/ggml/ggml.go OllamaEngineRequired and model/models (v0.24.0); llama.cpp src/llama-arch.cpp (b11549).
_OLLAMAS_OWN = frozenset({"gptoss", "mllama", "qwen25vl", "deepseekocr"})


@dataclass(frozen=True)
class Model:
    """A model's files, and what is known of them."""

    name: str  # as the profile has it
    file: Path  # that llama.cpp is given: of a split model its first part
    header: Header
    size: int  # bytes of all its files
    projector: Path | None = None  # lets it see images
    adapters: tuple[Path, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)  # that its maker set, by the names of Ollama's `options`
    system: str = ""  # what its maker tells it before each conversation
    messages: tuple[Mapping[str, Any], ...] = ()  # with which each conversation begins
    others: Mapping[str, int] = field(default_factory=dict)  # bytes by name of the same model in other quantizations

    @property
    def is_from_package(self) -> bool:
        """Whether it is one of the two small models that come with the package."""
        return self.file.parent == MODELS.resolve()

    @property
    def alias(self) -> str:
        """What llama.cpp calls it: its name, and for a path the file's. A blob's hash says nothing to anybody."""
        if is_of_store(self.name):
            return self.name
        return (self.header.name or self.name) if self.file.stem.startswith("sha256-") else self.file.stem


# --- which model a call means -----------------------------------------------------------------------------------------


def configured(settings: Settings, name: str | None, *, embeddings: bool) -> str:
    """The profile's name for the model of a call. name: the call's, aliases resolved; None: it names none.

    Without a table `models` of this provider's, one model answers to every name: a program says "gpt-4o" and means the
    model that there is. Raises `Rejected` (404) for a name that is none of the table's, and for one that means a model
    which the profile does not have.
    """
    own = settings.embedding_model_path if embeddings else settings.model_path
    small = (EMBEDDING_MODEL if embeddings else CHAT_MODEL).stem
    strict = has_table(settings)
    if not name:
        return own or next((one for one in _table(settings, embeddings)), small)
    mine = [path for path in (settings.model_path, settings.embedding_model_path) if path]
    if name in mine or (strict and name in settings.models.values()):
        return name
    if not is_of_store(name) and (not strict or (embeddings and own)):
        return own or small
    stems = {**{stem: stem for stem in _OF_PACKAGE}, **{Path(path).stem: path for path in mine}}
    if name in stems:
        return stems[name]
    known = names(settings)
    raise Rejected(
        f"model {name!r} not found: the profile has {', '.join(known)}{near(name, known)}",
        status=404,
        code="model_not_found",
        param="model",
    )


def _table(settings: Settings, embeddings: bool) -> list[str]:
    """The models of the table that are for embeddings, or for all else, as far as names tell."""
    table = settings.models.items() if has_table(settings) else ()
    return [one for alias, one in table if any(map(names_embedding_model, (alias, one))) is embeddings]


def missing(settings: Settings) -> dict[str, str]:
    """The models of the table that are not on this machine, or cannot be used, each with why. Nothing is pulled."""
    still = settings.model_copy(update={"pull": "never"})
    faults = {name: _fault(name, still) for name in settings.models.values() if has_table(settings)}
    return {name: fault for name, fault in faults.items() if fault}


def _fault(name: str, settings: Settings) -> str:
    """Why a model cannot be used; "" where it can."""
    try:
        resolve(name, settings)
    except Rejected as refusal:
        return str(refusal.error["message"])
    except SettingsError as error:
        return str(error)
    return ""


def has_table(settings: Settings) -> bool:
    """Whether the table `models` is one of this provider's, and not one of another server's.

    It is where it names such a model, and where it stands beside `provider = "embedded"`. Where a variable or an
    argument alone chooses this provider, the table beside it was made for another.
    """
    if any(_is_file_or_stored(one) for one in settings.models.values()):
        return True
    return bool(settings.models) and settings.origin("models") == settings.origin("provider")


def _is_file_or_stored(name: str) -> bool:
    return is_of_store(name) or name.lower().endswith(".gguf") or name.startswith(("/", "./", "../", "~"))


def names(settings: Settings) -> list[str]:
    """The names that calls may give: those of the table, and of the two models that have a setting of their own."""
    own = [shown(path) for path in (settings.model_path, settings.embedding_model_path) if path]
    table = [name for name in settings.models if name != "*"] if has_table(settings) else []
    rest = [] if table or own else list(_OF_PACKAGE)
    return list(dict.fromkeys([*table, *own, *rest]))


def shown(name: str) -> str:
    """A model's name as lists show it: of a path the file's."""
    return name if is_of_store(name) else Path(name).stem


# --- its files --------------------------------------------------------------------------------------------------------


def resolve(name: str, settings: Settings, about: str = "`models`") -> Model:
    """The model of a name: found on this machine, or pulled where `pull = "missing"` allows it. Blocks.

    about: the setting that the name is from, for messages. Raises `SettingsError`, and `Rejected` (404) for a model
    that is not there.
    """
    match parse(name):
        case HubName() as wanted:
            model = _of_hub(name, wanted, settings)
        case OllamaName() as wanted:
            model = _of_ollama(name, wanted)
        case FileName(path):
            model = _of_file(name, path, about)
    return _with_projector(model, settings)


def _of_hub(name: str, wanted: HubName, settings: Settings) -> Model:
    found = hub.find(wanted)
    if found is None:
        if settings.local_only or not may_pull(settings, name):
            raise hub.not_in_cache(wanted)
        found = hub.download(wanted)
    return Model(
        name, found.parts[0], _header(found.parts[0]), _size(found.parts), found.projector, others=found.others
    )


def may_pull(settings: Settings, name: str) -> bool:
    """Whether the profile lets a call pull a missing model."""
    return settings.pull(name) if callable(settings.pull) else settings.pull == "missing"


def _of_ollama(name: str, wanted: OllamaName) -> Model:
    found = ollama_store.find(wanted)
    _tell_unread(name, found.params)
    files = (found.file, *found.adapters)
    return Model(
        name, found.file, _header(found.file), _size(files), found.projector, found.adapters, found.params,
        found.system, found.messages,
    )  # fmt: skip


def _tell_unread(name: str, params: Mapping[str, Any]) -> None:
    """Say once which parameters of the model's maker llama.cpp has no counterpart of."""
    unread = sorted(params.keys() - OPTIONS[EMBEDDED].keys() - MACHINE_OPTIONS - {"num_ctx"})
    if unread:
        _tell_once(name, ", ".join(f"`{one}`" for one in unread))


@cache
def _tell_once(name: str, unread: str) -> None:
    _log.warning("%s: llama.cpp has no counterpart of its maker's %s", name, unread)


def _of_file(name: str, path: str, about: str) -> Model:
    file = _OF_PACKAGE.get(path) or Path(path).expanduser()
    if not file.is_file():
        is_path = _is_file_or_stored(path) or "/" in path
        cure = "an existing file" if is_path else f"a path, `hf:owner/repo:QUANT` or `ollama:{path}`"
        raise SettingsError(f"no GGUF file at {file} ({about}): give {cure}")
    # llama.cpp finds the other parts by their names, which those of a link may not be.
    parts = [file.with_name(one) for one in parts_of(file.name)]
    missing = [one.name for one in parts if not one.is_file()]
    if missing:
        raise SettingsError(
            f"{file} ({about}) is a part of a split model, and beside it are missing {', '.join(missing)}"
        )
    first = parts[0] if len(parts) > 1 else file.resolve()
    return Model(name, first, _header(first), _size(parts))


def _size(files: Any) -> int:
    return sum(one.stat().st_size for one in files)


def _header(file: Path) -> Header:
    """The header of a model's file. Raises `SettingsError` for one that llama.cpp cannot load."""
    try:
        with file.open("rb") as data:
            header = read_header(data)
    except PermissionError:
        raise SettingsError(f"{file} may not be read by this user") from None
    except HeaderError as error:
        cure = CUT if isinstance(error, CutHeaderError) else NO_GGUF
        raise SettingsError(f"llama.cpp could not load {file}: {error}. {cure}") from None
    if header.architecture == "clip":
        raise SettingsError(f"{file} lets a model see images (`mmproj_path`), and is no model itself")
    if header.architecture in _OLLAMAS_OWN or header.number("vision.block_count"):
        raise SettingsError(
            f"{file} is in the form of Ollama's own engine (architecture {header.architecture!r}), which llama.cpp "
            "cannot load: take the model from a hub, `hf:owner/repo:QUANT`, or run it with provider 'ollama'"
        )
    return header


def _with_projector(model: Model, settings: Settings) -> Model:
    """The model with the projector that it sees with: the profile's, or else the one that came with it."""
    given = settings.mmproj_path
    if given is not None:
        projector = Path(given).expanduser()
        if not projector.is_file():
            raise SettingsError(f"no file at {projector} (`mmproj_path` from {settings.origin('mmproj_path')})")
        if not _is_projector(projector):
            raise SettingsError(f"{projector} (`mmproj_path`) is no projector: llama.cpp needs the model's mmproj file")
        return replace(model, projector=projector)
    if model.projector is not None and not _is_projector(model.projector):
        return replace(model, projector=None)
    return model


def _is_projector(file: Path) -> bool:
    try:
        with file.open("rb") as data:
            return read_header(data).architecture == "clip"
    except (HeaderError, OSError):
        return False


# --- how it speaks ----------------------------------------------------------------------------------------------------


def chat_template(settings: Settings) -> str | None:
    """The template of the profile's setting: the text of a file, a text itself, or the name that llama.cpp knows."""
    given = settings.chat_template
    if given is None or given == _CHATML or "{{" in given or "{%" in given:
        return given
    file = Path(given).expanduser()
    if not file.is_file():
        raise SettingsError(
            f"`chat_template` is neither a file nor a Jinja template nor {_CHATML!r}: {given!r}", ("chat_template",)
        )
    return file.read_bytes()[:_LONGEST_TEMPLATE].decode("utf-8", "replace")


def check_chat(model: Model, settings: Settings) -> None:
    """Refuse to chat with a model that cannot. Raises `SettingsError`."""
    if model.header.of_model("attention.causal") is False:
        raise SettingsError(f"{model.name} embeds texts, and does not chat: it is a model for `client.embeddings`")
    if not model.header.chat_template and settings.chat_template is None:
        raise SettingsError(
            f"{model.name} has no chat template in its file, and llama.cpp would take ChatML in silence: give the "
            f'template of its makers, `chat_template = "path/to/template.jinja"`, or `chat_template = "{_CHATML}"`',
            ("chat_template",),
        )


def with_makers_wishes(body: Json, model: Model) -> Json:
    """The arguments of a chat with what the model's maker tells it first, where the call has no system message itself.

    Source: ollama server/routes.go ChatHandler (v0.24.0).
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not (model.system or model.messages):
        return body
    first = messages[0].get("role") if messages and isinstance(messages[0], dict) else None
    told = [] if first in ("system", "developer") or not model.system else [{"role": "system", "content": model.system}]
    return {**body, "messages": [*told, *map(dict, model.messages), *messages]}
