"""The names that a model of the embedded llama.cpp may have, and which files of a repository a name means. No IO.

/models/qwen3.gguf                     a path
hf:owner/repo[:QUANT|:file.gguf][@revision]    a file of a Hugging Face hub
ollama:name[:tag]                      what a local Ollama has pulled
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.sizes import size_text

HUB, OLLAMA = "hf:", "ollama:"
PULL = "llm-adapter models pull"  # the command that gets a model of the hub
_PART = r"[A-Za-z0-9_][\w.-]*"
_HUB_NAME = re.compile(rf"hf:({_PART}/{_PART})(?::([^:@\s]+))?(?:@(\S+))?", re.ASCII)
_OLLAMA_NAME = re.compile(rf"ollama:(?:(?:({_PART}(?::\d+)?)/)?({_PART})/)?({_PART})(?::({_PART}))?", re.ASCII)
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})(?=\.gguf$)", re.IGNORECASE)
_QUANT = re.compile(r"(?:^|[-._/])((?:UD-)?(?:I?Q\d\w*|TQ\d\w*|BF16|F16|F32|MXFP4\w*))$", re.IGNORECASE)
_LARGEST = 99_999  # parts of a split file: five digits number them


@dataclass(frozen=True, slots=True)
class FileName:
    """A file of this machine."""

    path: str


@dataclass(frozen=True, slots=True)
class HubName:
    """A model of a repository on a Hugging Face hub. quant and file: at most one of them."""

    repo: str  # "owner/name"
    quant: str | None = None  # "Q4_K_M"
    file: str | None = None  # "tiny-Q4_K_M.gguf", with its folder if it has one
    revision: str | None = None  # a branch, a tag or a commit; the branch "main" by default

    def __str__(self) -> str:
        choice = self.quant or self.file
        return f"{HUB}{self.repo}{f':{choice}' if choice else ''}{f'@{self.revision}' if self.revision else ''}"


@dataclass(frozen=True, slots=True)
class OllamaName:
    """A model that an Ollama of this machine has pulled, as its manifests have it."""

    name: str
    tag: str = "latest"
    namespace: str = "library"
    host: str = "registry.ollama.ai"


ModelName: TypeAlias = "FileName | HubName | OllamaName"


def parse(name: str) -> ModelName:
    """What a name means. Raises `SettingsError` for one that begins with `hf:` or `ollama:` and does not go on so."""
    if name.startswith(HUB):
        return _hub_name(name)
    if name.startswith(OLLAMA):
        found = _OLLAMA_NAME.fullmatch(name)
        if found is None:
            raise SettingsError(f"{name!r} is no name of an Ollama model: ollama:name[:tag]")
        host, namespace, model, tag = found.groups()
        standard = OllamaName(model)
        return OllamaName(model, tag or standard.tag, namespace or standard.namespace, host or standard.host)
    return FileName(name)


def _hub_name(name: str) -> HubName:
    found = _HUB_NAME.fullmatch(name)
    repo, choice, revision = found.groups() if found else ("", None, None)
    if not repo or not {"..", "."}.isdisjoint(f"{choice or ''}/{revision or ''}".split("/")):
        raise SettingsError(f"{name!r} is no name of a hub's model: hf:owner/repo[:QUANT|:file.gguf][@revision]")
    is_file = choice is not None and choice.lower().endswith(".gguf")
    return HubName(repo, None if is_file else choice, choice if is_file else None, revision)


def is_of_store(name: str) -> bool:
    """Whether a name means a model of a hub or of an Ollama, and not a path."""
    return name.startswith((HUB, OLLAMA))


class Choice(NamedTuple):
    """The files of a repository that a name means."""

    parts: tuple[str, ...]  # of the model, the first one first
    projector: str | None  # the repository's only mmproj file, which lets a model see images


def choose(name: HubName, sizes: Mapping[str, int]) -> Choice:
    """The files that a name means. sizes: bytes by file of the repository.

    Raises `SettingsError`, which lists the files with their sizes, where the name means none or several.
    """
    models = models_of(sizes)
    found = [parts for first, parts in models.items() if _is_meant(name, first)]
    labels = [parts for parts in found if name.quant and (quant_of(parts[0]) or "").lower() == name.quant.lower()]
    found = labels or found
    if len(found) != 1:
        raise SettingsError(_not_one(name, models, sizes, len(found)))
    parts = found[0]
    count = split_count(parts[0])
    if count != len(parts):
        raise SettingsError(f"{name}: the repository has {len(parts)} of the {count} parts of {parts[0]}")
    projectors = [one for one in sizes if is_projector(one)]
    return Choice(parts, projectors[0] if len(projectors) == 1 else None)


def models_of(files: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The models among files: the first part of each, and all its parts in order."""
    models: dict[str, list[str]] = {}
    for one in sorted(files):
        if one.lower().endswith(".gguf") and not is_projector(one) and "imatrix" not in one.lower():
            models.setdefault(_SPLIT.sub("", one), []).append(one)
    return {parts[0]: tuple(parts) for parts in models.values()}


def split_count(file: str) -> int:
    """How many parts a model has of which this is one: `-00001-of-00003.gguf` says it."""
    found = _SPLIT.search(file)
    return int(found[2]) if found else 1


def parts_of(first: str) -> list[str]:
    """The names of all parts of a split file, of which this is one; of another file, that file."""
    count = min(split_count(first), _LARGEST)
    return [_SPLIT.sub(f"-{place:05}-of-{count:05}", first) for place in range(1, count + 1)] if count > 1 else [first]


def quant_of(file: str) -> str | None:
    """The quantization that a file's name says: "Q4_K_M" of "qwen3-8b-Q4_K_M.gguf"."""
    found = _QUANT.search(_stem(file))
    if found is None and "/" in file:  # a folder by that name
        found = _QUANT.search(file.rsplit("/", 1)[0])
    return found[1] if found else None


def _stem(file: str) -> str:
    return _SPLIT.sub("", file)[: -len(".gguf")]


def is_projector(file: str) -> bool:
    """Whether a file's name says that it lets a model see images."""
    return "mmproj" in file.rsplit("/", 1)[-1].lower() and file.lower().endswith(".gguf")


def _is_meant(name: HubName, first: str) -> bool:
    if name.file is not None:
        return name.file in (first, first.rsplit("/", 1)[-1], *parts_of(first))
    if name.quant is None:
        return True
    return re.search(rf"(^|[-./]){re.escape(name.quant)}($|[-./])", _stem(first), re.IGNORECASE) is not None


def _not_one(name: HubName, models: Mapping[str, tuple[str, ...]], sizes: Mapping[str, int], count: int) -> str:
    if not models:
        return f"{name}: the repository {name.repo} has no GGUF file"
    bare = HubName(name.repo)
    lines = [
        f"{HubName(bare.repo, quant_of(first), None if quant_of(first) else first, name.revision)} "
        f"({size_text(sum(sizes[part] or 0 for part in parts))})"
        for first, parts in models.items()
    ]
    said = "has no such file" if count == 0 else f"has {count} files that this may mean"
    return f"{name}: the repository {said}. Give one of these: {', '.join(lines)}"
