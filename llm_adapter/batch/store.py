"""The folder that keeps files and batches: small JSON records, and the files' contents beside them.

    files/ID.json, files/ID.data        a file object as OpenAI has it, and its content
    batches/ID.json, batches/ID.cancel  a batch with what the runner knows of it, and whether it is to be cancelled

Several processes use it at once: a record is replaced as a whole, and who runs a batch holds its journal's lock.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from llm_adapter.provider import Json
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.settings import Settings
from llm_adapter.settings.sources import data_folder

_ID = re.compile(r"(file-|batch_)[0-9a-f]{24}")
FINAL = ("failed", "completed", "expired", "cancelled")


def store_of(settings: Settings) -> Store:
    """The store that the settings name. Raises `SettingsError` where they name none and the user has no home."""
    if settings.batch_store:
        return Store(Path(settings.batch_store).expanduser())
    folder = data_folder(os.environ)
    if folder is None:
        raise SettingsError("there is no folder for the user's data: set `batch_store`", ("batch_store",))
    return Store(folder / "batches")


class Store:
    """The folder; it is made with the first file, for its owner alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def data_path(self, name: str) -> Path:
        return self.folder / "files" / f"{name}.data"

    def _record_path(self, name: str) -> Path:
        return self.folder / ("files" if name.startswith("file-") else "batches") / f"{name}.json"

    def _cancel_path(self, name: str) -> Path:
        return self.folder / "batches" / f"{name}.cancel"

    def _make(self) -> None:
        for folder in (self.folder, self.folder / "files", self.folder / "batches"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def read(self, name: str) -> Json | None:
        """A record; None where there is none of this id."""
        if not _ID.fullmatch(name):
            return None
        try:
            return dict(json.loads(self._record_path(name).read_bytes()))
        except (FileNotFoundError, ValueError):
            return None

    def write(self, name: str, record: Json) -> None:
        self._make()
        path = self._record_path(name)
        beside = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            json.dump(record, file)
        os.replace(beside, path)

    def records(self, kind: str) -> list[Json]:
        """All records of "files" or "batches"."""
        names = [path.stem for path in self.folder.glob(f"{kind}/*.json")]
        return [record for record in map(self.read, names) if record is not None]

    def add_file(self, content: bytes, filename: str, purpose: str, name: str = "") -> Json:
        """Keep a file; its object as OpenAI has it."""
        self._make()
        name = name or f"file-{secrets.token_hex(12)}"
        with open(os.open(self.data_path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        return self.describe_file(name, filename, purpose)

    def describe_file(self, name: str, filename: str, purpose: str) -> Json:
        """Make a file that lies there one that is kept."""
        record = {
            **{"id": name, "object": "file", "bytes": self.data_path(name).stat().st_size, "filename": filename},
            **{"created_at": int(time.time()), "purpose": purpose, "status": "processed", "expires_at": None},
        }
        self.write(name, record)
        return record

    def remove_file(self, name: str) -> None:
        for path in (self.data_path(name), self._record_path(name)):
            path.unlink(missing_ok=True)

    def add_batch(self, batch: Json, profile: str) -> Json:
        """Keep a batch that was asked for; it as OpenAI has it."""
        self._make()
        name = f"batch_{secrets.token_hex(12)}"
        batch = {**batch, "id": name}
        files = {kind: f"file-{secrets.token_hex(12)}" for kind in ("output", "errors")}
        self.write(name, {"batch": batch, "profile": profile, **files})
        return batch

    def change(self, name: str, **changes: Any) -> None:
        """Change fields of a batch. Only who runs it does."""
        record = self.read(name)
        if record is not None:
            record["batch"] |= changes
            self.write(name, record)

    def cancel(self, name: str) -> None:
        with suppress(FileExistsError):
            self._cancel_path(name).touch(mode=0o600, exist_ok=False)

    def cancelled_at(self, name: str) -> int | None:
        try:
            return int(self._cancel_path(name).stat().st_mtime)
        except FileNotFoundError:
            return None
