"""What an Ollama of this machine has pulled, read from its folder. Nothing is ever written there.

Source: ollama manifest/manifest.go and server/images.go (v0.24.0) for the layers and their media types,
envconfig/config.go Models() for the folder; the packages for Linux run it as a user of its own, whose home is
/usr/share/ollama.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_adapter.provider import Rejected
from llm_adapter.providers.embedded.names import OllamaName
from llm_adapter.settings.errors import SettingsError, near

_KIND = "application/vnd.ollama.image."
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_LONGEST = 4 << 20  # bytes of a manifest, or of a layer that is a text
_OF_LINUX = Path("/usr/share/ollama/.ollama/models")


@dataclass(frozen=True)
class OllamaModel:
    """A model's files and what its maker set for it."""

    name: OllamaName
    file: Path
    projector: Path | None = None
    adapters: tuple[Path, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)  # by the names of Ollama's `options`
    system: str = ""
    messages: tuple[Mapping[str, Any], ...] = ()


def roots() -> list[Path]:
    """The folders that an Ollama of this machine may keep its models in."""
    if given := os.environ.get("OLLAMA_MODELS"):
        return [Path(given).expanduser()]
    return [Path.home() / ".ollama" / "models", _OF_LINUX]


def find(name: OllamaName) -> OllamaModel:
    """A model that was pulled. Raises `Rejected` (404) where there is none of that name, and `SettingsError`."""
    for root in roots():
        manifest = root / "manifests" / name.host / name.namespace / name.name / name.tag
        if _is_there(manifest):
            return _model(root, name, _layers(manifest))
    known = sorted(named(one) for one in pulled())
    places = ", ".join(map(str, roots()))
    raise Rejected(
        f"model {named(name)!r} not found: Ollama's folder ({places}) has {', '.join(known) or 'no models'}"
        f"{near(named(name), known)}",
        status=404,
        code="model_not_found",
        param="model",
    )


def pulled() -> Iterator[OllamaName]:
    """The names of all models that were pulled. Raises `SettingsError` for a folder that may not be read."""
    for root in roots():
        manifests = root / "manifests"
        if not _is_there(manifests):
            continue
        for folder, names, files in os.walk(manifests, onerror=_refuse):
            names.sort()
            parts = Path(folder).relative_to(manifests).parts
            if len(parts) == 3:
                yield from (OllamaName(parts[2], tag, parts[1], parts[0]) for tag in sorted(files))


def named(name: OllamaName) -> str:
    """The shortest form of a name: "ollama:qwen3:8b"."""
    usual = OllamaName(name.name)
    host = f"{name.host}/" if name.host != usual.host else ""
    namespace = f"{name.namespace}/" if host or name.namespace != usual.namespace else ""
    return f"ollama:{host}{namespace}{name.name}{f':{name.tag}' if name.tag != usual.tag else ''}"


def _model(root: Path, name: OllamaName, layers: list[tuple[str, str]]) -> OllamaModel:
    blobs: dict[str, list[Path]] = {}
    for kind, digest in layers:
        blobs.setdefault(kind, []).append(root / "blobs" / f"sha256-{digest}")
    if "model" not in blobs:
        raise SettingsError(f"{named(name)} is not a GGUF file on this machine: it runs in Ollama alone")
    for one in (*blobs["model"], *blobs.get("projector", ()), *blobs.get("adapter", ())):
        if not _is_there(one):
            raise SettingsError(
                f"{named(name)}: its file {one} is missing: fetch it again with  ollama pull {name.name}"
            )
    projectors = blobs.get("projector", [])
    return OllamaModel(
        name,
        blobs["model"][0],
        projectors[0] if projectors else None,
        tuple(blobs.get("adapter", ())),
        _json_object(blobs.get("params")),
        "".join(_text(one) for one in blobs.get("system", ())),
        tuple(one for path in blobs.get("messages", ()) for one in _json(path) if isinstance(one, dict)),
    )


def _layers(manifest: Path) -> list[tuple[str, str]]:
    """Kind and hash of each layer: ("model", "3f2a...")."""
    layers = _json(manifest)
    found = []
    for one in layers.get("layers", ()) if isinstance(layers, dict) else ():
        digest = _DIGEST.fullmatch(str(one.get("digest"))) if isinstance(one, dict) else None
        if digest is not None and str(one.get("mediaType")).startswith(_KIND):
            found.append((str(one["mediaType"]).removeprefix(_KIND), digest[1]))
    return found


def _json_object(paths: list[Path] | None) -> dict[str, Any]:
    found = _json(paths[0]) if paths else {}
    return found if isinstance(found, dict) else {}


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except (ValueError, RecursionError):
        raise SettingsError(f"{path} of Ollama's folder is not JSON: fetch its model again with  ollama pull") from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST).decode("utf-8", "replace")
    except OSError as error:
        _refuse(error)
        raise


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError as error:
        _refuse(error)
    except OSError:
        return False
    return True


def _refuse(error: OSError) -> None:
    """Say what a folder's owner has to allow. Raises `SettingsError`."""
    if isinstance(error, PermissionError):
        raise SettingsError(
            f"Ollama's folder may not be read by this user: {error.filename}. Add the user to the group of Ollama's, "
            "such as  sudo usermod -aG ollama $USER,  or set OLLAMA_MODELS to a folder that may be read"
        ) from None
    raise SettingsError(f"Ollama's folder cannot be read: {error}") from None
