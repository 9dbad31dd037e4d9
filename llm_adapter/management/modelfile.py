"""A Modelfile, as the arguments of `client.models.create`: the API of Ollama does not take one any more.

The text is read as Ollama's own command reads it: a command and its value on each line, which ends with the line or,
where it begins with `"` or with three of them, with the same quotes at the end of a line. Relative paths are seen from
the folder of the file, and a FROM that is a path means the model's files. Beyond that, several spaces before a value
do no harm, an option that Ollama does not know is warned of and sent, every ADAPTER is sent, and not the last one
alone, no character is left out, and lines end in "\n", whatever an editor has written.
Source: ollama parser/parser.go ParseFile, CreateRequest, filesForModel, and api/types.go FormatParams, v0.24.0 to
v0.32.15; 60,000 random texts were read by that parser and by this module alike, but for the above.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from llm_adapter.providers.ollama.parameters import OPTIONS
from llm_adapter.settings.errors import near, warn_caller

_TEXTS = ("template", "system", "renderer", "parser", "requires")  # the last one counts
_COMMANDS = frozenset({"from", "adapter", "draft", "license", "parameter", "message", *_TEXTS})
_COMMAND = re.compile(r"([A-Za-z]+)[ \t](.*)")
_KEYED = re.compile(r"(\w*)[ \t]+(.*)", re.ASCII)  # PARAMETER stop ..., MESSAGE user ...
_ROLES = ("system", "user", "assistant")
_LINE_END = re.compile(r"\r\n|\r|\n")
_VERSION = re.compile(r"v?(\d+(?:\.\d+){0,2}(?:[-+][\w.+-]+)?)", re.ASCII)
_PATH = re.compile(r"[./~\\]|[A-Za-z]:[\\/]|.*\.(gguf|bin|safetensors)$", re.IGNORECASE)
_DEPRECATED = frozenset(
    {"penalize_newline", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock"}
    | {"mirostat", "mirostat_tau", "mirostat_eta"}
)
_INTEGERS = frozenset(
    {"num_keep", "seed", "num_predict", "top_k", "repeat_last_n", "num_ctx", "num_batch", "num_gpu", "main_gpu"}
    | {"num_thread", "draft_num_predict"}
)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_TRUTH = {**dict.fromkeys(("1", "t", "true"), True), **dict.fromkeys(("0", "f", "false"), False)}
# The weights of a folder: the first of these that it has. Those of safetensors may lie in its folders, too.
_WEIGHTS = (
    "model*.safetensors",
    "consolidated*.safetensors",
    "pytorch_model*.bin",
    "consolidated*.pth",
    "*.gguf",
    "*.bin",
)
_BESIDE_WEIGHTS = ("*.json", "*/*.json", "chat_template.jinja")
_LFS = b"version https://git-lfs"


class ModelfileError(ValueError):
    """A Modelfile that cannot be read, with the line."""


class Command(NamedTuple):
    """One command of a Modelfile."""

    name: str  # in small letters
    value: str  # without its quotes
    line: int
    key: str = ""  # of a PARAMETER its name, of a MESSAGE its role


@dataclass(frozen=True)
class Modelfile:
    """A Modelfile's text, and the folder that its paths are seen from."""

    text: str
    folder: Path

    @classmethod
    def of(cls, given: str | os.PathLike[str]) -> Modelfile:
        """given: a text, whose paths are seen from the working folder, or the path of a file."""
        if isinstance(given, str):
            return cls(given, Path())
        file = Path(given)
        return cls(_decoded(file.read_bytes()), file.parent)

    def arguments(self) -> dict[str, Any]:
        """The arguments of `create` that it means, and `draft_files`, `renderer`, `parser` and `requires`.

        Raises ModelfileError, and FileNotFoundError for a file that is not there.
        """
        found: dict[str, Any] = {}
        for command in commands(self.text):
            self._add(found, command)
        if "from_" not in found and "files" not in found:
            raise ModelfileError("the Modelfile has no FROM line")
        if {*_resolved(found.get("files"))} & {*_resolved(found.get("draft_files"))}:
            raise ModelfileError("the Modelfile's DRAFT names a file that its FROM names, too")
        return found

    def _add(self, found: dict[str, Any], command: Command) -> None:
        name, value, line, key = command
        match name:
            case "from":
                self._add_model(found, command)
            case "adapter" | "draft":
                found.setdefault("adapters" if name == "adapter" else "draft_files", {}).update(self._files(command))
            case "license":
                found.setdefault("license", []).append(value)
            case "parameter":
                _add_parameter(found.setdefault("parameters", {}), key, value, line)
            case "message":
                found.setdefault("messages", []).append({"role": key, "content": value})
            case "requires":
                found[name] = _version(command)
            case _:
                found[name] = value

    def _add_model(self, found: dict[str, Any], command: Command) -> None:
        if not command.value:
            raise ModelfileError(f"line {command.line}: FROM names no model")
        if self._path(command.value).exists() or _PATH.match(command.value):
            found.setdefault("files", {}).update(self._files(command))
        else:
            found["from_"] = command.value

    def _path(self, value: str) -> Path:
        return self.folder / Path(value).expanduser()

    def _files(self, command: Command) -> dict[str, Path]:
        """The files of a path, by the names that the server gets."""
        path = self._path(command.value)
        if path.is_dir():
            return {file.relative_to(path).as_posix(): file for file in files_of(path)}
        if not path.is_file():
            raise FileNotFoundError(f"no file at {str(path)!r} ({command.name.upper()} in line {command.line})")
        return {path.name: path}


def _resolved(files: Mapping[str, Path] | None) -> list[Path]:
    return [file.resolve() for file in (files or {}).values()]


def commands(text: str) -> list[Command]:
    """The commands of a Modelfile in their order. Raises ModelfileError."""
    lines = enumerate(_LINE_END.split(text), 1)
    found = []
    for number, line in lines:
        line = line.lstrip(" \t")
        if line and not line.startswith("#"):
            found.append(_command(line, number, lines))
    return found


def _command(line: str, number: int, rest: Iterator[tuple[int, str]]) -> Command:
    """The command that begins on a line; one whose value is quoted takes more lines of the rest."""
    match = _COMMAND.match(line)
    name = match[1].lower() if match else ""
    if match is None or name not in _COMMANDS:
        names = ", ".join(sorted(one.upper() for one in _COMMANDS))
        raise ModelfileError(f"line {number}: {line.strip()[:60]!r} does not begin with one of {names}")
    key, value = "", match[2]
    if name in ("parameter", "message"):
        key, value = _keyed(name, value.lstrip(), number)
    return Command(name, _unquoted(value.lstrip(), number, rest), number, key)


def _keyed(name: str, value: str, line: int) -> tuple[str, str]:
    """What stands before the value of a PARAMETER or a MESSAGE, and the value."""
    match = _KEYED.match(value)
    key = match[1] if match else ""
    if match is None or (name == "message" and key not in _ROLES):
        wanted = "a name and a value" if name == "parameter" else f"one of {', '.join(_ROLES)}, and a text"
        raise ModelfileError(f"line {line}: after {name.upper()} come {wanted}, and not {value.strip()[:60]!r}")
    return key, match[2]


def _unquoted(value: str, number: int, rest: Iterator[tuple[int, str]]) -> str:
    """The value that begins with the rest of a line; a quoted one goes on to a line that ends with the same quotes."""
    mark = '"""' if value.startswith('"""') else '"' if value.startswith('"') else ""
    lines = [value]
    while mark and not _is_closed(lines, mark):
        _, line = next(rest, (0, None))
        if line is None:
            raise ModelfileError(f"line {number}: the quotes {mark} that begin here have no end")
        lines.append(line)
    lines[-1] = lines[-1].rstrip()
    return "\n".join(lines)[len(mark) : -len(mark) or None]


def _is_closed(lines: list[str], mark: str) -> bool:
    last = lines[-1].rstrip()
    return last.endswith(mark) and (len(lines) > 1 or len(last) >= 2 * len(mark))


def _add_parameter(parameters: dict[str, Any], name: str, value: str, line: int) -> None:
    """Add one option; `stop` is a list of all of them."""
    if name in _DEPRECATED:
        warn_caller(f"the Modelfile's PARAMETER {name} is one that Ollama does not read any more")
    elif name == "stop":
        parameters.setdefault("stop", []).append(value)
    else:
        parameters[name] = _option(name, value, line)


def _option(name: str, text: str, line: int) -> Any:
    if name not in OPTIONS:
        warn_caller(f"the Modelfile's PARAMETER {name} is none that Ollama is known to read{near(name, OPTIONS)}")
        return text if (number := _number(text)) is None else number
    value: float | None
    if name == "use_mmap":
        kind, value = "true or false", _TRUTH.get(text.lower())
    elif name in _INTEGERS:
        kind, value = "a whole number", int(text) if _INTEGER.fullmatch(text) else None
    else:
        kind, value = "a number", _number(text)
    if value is None:
        raise ModelfileError(f"line {line}: PARAMETER {name} is {kind}, and not {text!r}")
    return value


def _number(text: str) -> float | None:
    """A number; None for anything else, and for one that JSON cannot say."""
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) and isfinite(float(text)) else None


def _version(command: Command) -> str:
    found = _VERSION.fullmatch(command.value)
    if found is None:
        raise ModelfileError(f"line {command.line}: REQUIRES is a version, such as 0.14.0, and not {command.value!r}")
    return found[1]


def files_of(folder: Path) -> list[Path]:
    """The files of a folder that a model is made of: its weights, and what belongs to them.

    Raises FileNotFoundError where there are none, and ModelfileError for what is no file of the folder itself.
    """
    weights = next((found for pattern in _WEIGHTS if (found := _matching(folder, pattern))), [])
    if not weights:
        raise FileNotFoundError(f"no safetensors, PyTorch or GGUF files of a model in {str(folder)!r}")
    if weights[0].match(_WEIGHTS[0]):
        weights += _matching(folder, f"*/{_WEIGHTS[0]}")
    tokenizer = _matching(folder, "tokenizer.model") or _matching(folder, "*/tokenizer.model")
    files = [*weights, *_matching(folder, *_BESIDE_WEIGHTS), *tokenizer]
    for file in files:
        _check(file, folder)
    return files


def _matching(folder: Path, *patterns: str) -> list[Path]:
    return [one for pattern in patterns for one in sorted(folder.glob(pattern)) if one.is_file()]


def _check(file: Path, folder: Path) -> None:
    """A link may lead out of the folder, to a file that is nobody's to send; a pointer of Git LFS is no weights."""
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ModelfileError(
            f"{file} is a link that leads out of its folder, and is not sent: download the model into a folder of its "
            "own (`hf download --local-dir`)"
        )
    with file.open("rb") as data:
        if data.read(len(_LFS)) == _LFS:
            raise ModelfileError(f"{file} is a pointer of Git LFS in the file's place: `git lfs pull` fetches the file")


def _decoded(data: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 with its mark, which some editors of Windows write."""
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelfileError(f"the Modelfile is no text in UTF-8: {error}") from None
