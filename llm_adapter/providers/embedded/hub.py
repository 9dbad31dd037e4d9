"""Models of a Hugging Face hub: found in its cache, downloaded, checked, listed and removed.

The cache, its variables (HF_HOME, HF_HUB_CACHE), HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and the resumption of a download
are huggingface_hub's (extra `hub`); to find a model in the cache that package is not needed. It takes a file with a
wrong byte for a whole one (seen with 2.4.0), so each file's hash is held here against what the hub states of it: once,
for what was checked is remembered beside the cache's files by size, time and hash.
Source of the cache's layout: huggingface_hub docs/source/en/guides/manage-cache.md.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from llm_adapter.provider import Rejected
from llm_adapter.providers.embedded.names import PULL, HubName, choose, models_of, quant_of, split_count
from llm_adapter.settings.errors import SettingsError

_log = logging.getLogger("llm_adapter")
_RECORD = ".llm_adapter.json"  # in a repository's folder of the cache
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PIECE = 1 << 20
_TRIES = 2  # of a download whose bytes are not those that the hub states
_YES = ("1", "on", "yes", "true")


class Progress(NamedTuple):
    """How far the download of a model is."""

    file: str  # that is under way
    completed: int  # bytes of all parts
    total: int | None


@dataclass(frozen=True)
class HubModel:
    """A model's files in the cache."""

    name: HubName
    parts: tuple[Path, ...]  # the first one is what llama.cpp is given
    commit: str
    projector: Path | None = None  # its mmproj file, which lets it see images
    others: Mapping[str, int] = field(default_factory=dict)  # bytes by name of the repository's other models, if known

    @property
    def size(self) -> int:
        """The bytes of all its files."""
        return sum(one.stat().st_size for one in (*self.parts, *([self.projector] if self.projector else ())))


def root() -> Path:
    """The folder of the cache, by huggingface_hub's own variables."""
    if given := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(given).expanduser()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get("HF_HOME") or cache).expanduser() / "hub"


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids to ask the hub."""
    return any(os.environ.get(name, "").lower() in _YES for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def find(name: HubName) -> HubModel | None:
    """A model that the cache has, whole; nothing is asked of the net.

    Raises `SettingsError` where the cache has several that the name may mean. A file whose hash is wrong is deleted,
    and the model is none that the cache has.
    """
    snapshot = _snapshot(name)
    sizes = {} if snapshot is None else _sizes(snapshot)
    if snapshot is None or not _is_among(name, sizes):
        return None
    choice = choose(name, sizes)
    record = _Record(snapshot.parent.parent)
    if not record.are_whole(snapshot, choice.parts):
        return None
    return _model(name, snapshot, choice.parts, choice.projector, record)


def download(name: HubName, progress: Callable[[Progress], None] | None = None) -> HubModel:
    """Get a model from the hub, check it and return it; what the cache has already is not sent again.

    progress: is told of each piece; without it huggingface_hub shows its own bars, on a terminal.
    Raises `SettingsError`.
    """
    if is_offline():
        raise SettingsError(f"{name} is not in the cache at {root()}, and HF_HUB_OFFLINE forbids to ask the hub")
    hub = _huggingface_hub()
    with _explained(name):
        for _ in range(_TRIES):
            listing = _listing(hub, name)
            sizes = {file: size or 0 for file, (size, _) in listing.files.items()}
            choice = choose(name, sizes)
            wanted = {"repo_id": name.repo, "revision": name.revision or "main", "endpoint": _endpoint()}
            options = {**wanted, "cache_dir": root()}
            paths = [
                Path(hub.hf_hub_download(filename=one, **options, tqdm_class=_bar(hub, one, tell)))
                for one, tell in _of_all_parts(choice.parts, sizes, progress)
            ]
            snapshot = paths[0].parents[choice.parts[0].count("/")]
            record = _Record(snapshot.parent.parent)
            record.state(snapshot.name, listing.files)
            projector = choice.projector and _optional(hub, choice.projector, options, progress)
            if record.are_whole(snapshot, choice.parts):
                return _model(name, snapshot, choice.parts, projector, record)
    raise SettingsError(
        f"{name}: the hub at {_endpoint() or 'huggingface.co'} sent other bytes than it states, twice. They are deleted"
    )


def size_of(name: HubName) -> int:
    """The bytes that a download of a model brings, as the hub states them. Raises `SettingsError`."""
    hub = _huggingface_hub()
    with _explained(name):
        sizes = {file: size or 0 for file, (size, _) in _listing(hub, name).files.items()}
    choice = choose(name, sizes)
    return sum(sizes[one] for one in (*choice.parts, *([choice.projector] if choice.projector else ())))


def not_in_cache(name: HubName) -> Rejected:
    """What is said of a model that the cache lacks, where nothing may be pulled."""
    return Rejected(
        f"model {str(name)!r} not found in the cache at {root()}: get it with  {PULL} {name}  or set "
        '`pull = "missing"` in the profile',
        status=404,
        code="model_not_found",
        param="model",
    )


def cached() -> Iterator[HubModel]:
    """All models of the cache, by their names. Their hashes are not checked."""
    for refs in sorted(root().glob("models--*/refs")):
        repo = refs.parent.name.removeprefix("models--").replace("--", "/", 1)
        for ref in sorted(one for one in refs.rglob("*") if one.is_file()):
            revision = ref.relative_to(refs).as_posix()
            yield from _models_at(HubName(repo, revision=None if revision == "main" else revision))


def remove(name: HubName) -> int:
    """Remove a model from the cache; the bytes that are free again. 0: the cache has no such model."""
    snapshot = _snapshot(name)
    sizes = {} if snapshot is None else _sizes(snapshot)
    if snapshot is None or not _is_among(name, sizes):
        return 0
    choice = choose(name, sizes)
    alone = len(models_of(sizes)) == 1
    files = [*choice.parts, *([choice.projector] if choice.projector and alone else ())]
    return sum(_delete(snapshot / one) for one in files)


def _models_at(name: HubName) -> Iterator[HubModel]:
    snapshot = _snapshot(name)
    sizes = {} if snapshot is None else _sizes(snapshot)
    for first, parts in models_of(sizes).items():
        if snapshot is not None and len(parts) == split_count(first):
            quant = quant_of(first)
            own = HubName(name.repo, quant, None if quant else first, name.revision)
            yield HubModel(own, tuple(snapshot / one for one in parts), snapshot.name)


def _model(name: HubName, snapshot: Path, parts: tuple[str, ...], projector: str | None, record: _Record) -> HubModel:
    stated = record.stated(snapshot.name)
    others = {
        str(HubName(name.repo, quant_of(first), None if quant_of(first) else first, name.revision)): sum(
            stated[one][0] or 0 for one in files
        )
        for first, files in models_of(stated).items()
        if files != parts
    }
    found = snapshot / projector if projector else None
    return HubModel(name, tuple(snapshot / one for one in parts), snapshot.name, found, others)


def _is_among(name: HubName, sizes: Mapping[str, int]) -> bool:
    """Whether the cache has files that a name means, and all their parts."""
    try:
        choose(name, sizes)
    except SettingsError:
        if name.quant is None and name.file is None and len(models_of(sizes)) > 1:
            raise
        return False
    return True


def _snapshot(name: HubName) -> Path | None:
    """The folder of the cache with a revision's files."""
    folder = root() / f"models--{name.repo.replace('/', '--')}"
    revision = name.revision or "main"
    commit = revision
    with suppress(OSError):
        commit = (folder / "refs" / revision).read_text(encoding="ascii").strip()
    snapshot = folder / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None


def _sizes(snapshot: Path) -> dict[str, int]:
    """The GGUF files of a revision in the cache, by their names in the repository. A broken link is none."""
    return {
        one.relative_to(snapshot).as_posix(): one.stat().st_size for one in snapshot.rglob("*.gguf") if one.is_file()
    }


class _Record:
    """What is remembered of a repository's files: what the hub stated of them, and which were checked."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _RECORD
        self._data: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            found = json.loads(self._path.read_text(encoding="utf-8"))
            self._data = found if isinstance(found, dict) else {}

    def stated(self, commit: str) -> dict[str, tuple[int | None, str | None]]:
        """Size and hash by file, as the hub stated them of a commit."""
        return {file: (size, sha) for file, (size, sha) in self._data.get("stated", {}).get(commit, {}).items()}

    def state(self, commit: str, files: Mapping[str, tuple[int | None, str | None]]) -> None:
        """Remember what the hub states."""
        models = {file: list(one) for file, one in files.items() if file.endswith(".gguf")}
        self._data["stated"] = {commit: models}
        self._write()

    def are_whole(self, snapshot: Path, files: Sequence[str]) -> bool:
        """Whether the hashes of files are those that the hub states; wrong files are deleted, all of them."""
        wrong = [one for one in files if not self._is_whole(snapshot, one)]
        return not wrong

    def _is_whole(self, snapshot: Path, name: str) -> bool:
        """The cache's own name of a large file is its hash, so this is known without the hub as well."""
        _, expected = self.stated(snapshot.name).get(name, (None, None))
        file = snapshot / name
        blob = file.resolve()
        expected = expected or (blob.name if _SHA256.fullmatch(blob.name) else None)
        if expected is None:
            return True
        status = blob.stat()
        checked = self._data.setdefault("checked", {})
        known = [status.st_size, status.st_mtime_ns, expected]
        if checked.get(blob.name) == known:
            return True
        if _sha256(blob) != expected:
            _log.warning("%s has other bytes than the hub states: it is deleted", file)
            _delete(file)
            return False
        checked[blob.name] = known
        self._write()
        return True

    def _write(self) -> None:
        """Another process may write at the same time: the last one wins, and what it lacks is checked again."""
        own = self._path.with_name(f"{_RECORD}.{os.getpid()}")
        with suppress(OSError):  # a cache that may only be read
            own.write_text(json.dumps(self._data), encoding="utf-8")
            own.replace(self._path)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as data:
        while piece := data.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _delete(file: Path) -> int:
    """Delete a file of a revision, and its bytes. Returns how many they were."""
    blob = file.resolve()
    size = blob.stat().st_size if blob.is_file() else 0
    file.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)
    return size


# --- the hub itself ---------------------------------------------------------------------------------------------------


class _Listing(NamedTuple):
    """A repository's files: size and hash by name, where the hub states them."""

    commit: str
    files: dict[str, tuple[int | None, str | None]]


def _huggingface_hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise SettingsError(
            "a model of a hub needs huggingface_hub: install the extra with  pip install 'llm_adapter[hub]'"
        ) from None
    return huggingface_hub


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _listing(hub: Any, name: HubName) -> _Listing:
    info = hub.HfApi(endpoint=_endpoint()).model_info(name.repo, revision=name.revision, files_metadata=True)
    return _Listing(
        info.sha, {one.rfilename: (one.size, one.lfs.sha256 if one.lfs else None) for one in info.siblings or ()}
    )


def _optional(
    hub: Any, file: str, options: Mapping[str, Any], progress: Callable[[Progress], None] | None
) -> str | None:
    """Download a file that a model can do without; its name, or None."""
    try:
        hub.hf_hub_download(filename=file, **options, tqdm_class=_bar(hub, file, progress))
    except Exception as error:
        _log.warning(
            "%s of %s could not be downloaded, so the model sees no images: %s", file, options["repo_id"], error
        )
        return None
    return file


def _of_all_parts(
    parts: Sequence[str], sizes: Mapping[str, int], progress: Callable[[Progress], None] | None
) -> Iterator[tuple[str, Callable[[Progress], None] | None]]:
    """The parts of a model, each with whom to tell of its pieces, as ones of the whole."""
    before, total = 0, sum(sizes[one] for one in parts)

    def tell(piece: Progress) -> None:
        assert progress is not None
        progress(Progress(piece.file, before + piece.completed, total or piece.total))

    for one in parts:
        yield one, None if progress is None else tell
        before += sizes[one]


def _bar(hub: Any, file: str, progress: Callable[[Progress], None] | None) -> Any:
    """A class that stands in for the progress bars of huggingface_hub, and tells of each piece."""
    if progress is None:
        return None
    tell = progress

    class Bar(hub.utils.tqdm):  # type: ignore[misc]
        def __init__(self, *given: Any, **options: Any) -> None:
            self._seen = int(options.get("initial") or 0)
            super().__init__(*given, **{**options, "disable": True})
            self._size = options.get("total")
            tell(Progress(file, self._seen, self._size))

        def update(self, n: float | None = 1) -> None:
            self._seen += int(n or 0)
            tell(Progress(file, self._seen, self._size))

    return Bar


@contextmanager
def _explained(name: HubName) -> Iterator[None]:
    """The errors of huggingface_hub as ours, which say what to do."""
    from huggingface_hub import errors

    where = _endpoint() or "https://huggingface.co"
    token = "HF_TOKEN is set, and may be for another account" if os.environ.get("HF_TOKEN") else "set HF_TOKEN"
    try:
        yield
    except errors.GatedRepoError:
        raise SettingsError(
            f"{name}: the repository is gated: accept its terms at {where}/{name.repo}, and {token}"
        ) from None
    except errors.RevisionNotFoundError:
        raise SettingsError(f"{name}: the repository has no revision {name.revision or 'main'!r}") from None
    except errors.RepositoryNotFoundError:
        raise SettingsError(
            f"{name}: the hub at {where} has no such repository, or it is a private one: then {token}"
        ) from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        cure = f": the repository is gated or private, so {token}" if status in (401, 403) else ""
        raise SettingsError(f"{name}: the hub at {where} answered {status}{cure}") from None
    except SettingsError:
        raise
    except Exception as error:
        raise SettingsError(f"{name} could not be downloaded from {where}: {error}") from error
