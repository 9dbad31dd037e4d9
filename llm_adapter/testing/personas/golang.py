"""What Go's encoding/json says of a body that it cannot read: its syntax, or the first value of another type.

A reader says what is wrong with a value, None if nothing is; the functions below give readers, and a struct is a table
of them. Like Go, a reader takes null for everything, and passes over fields that it does not know.
Source: Go encoding/json scanner.go, decode.go UnmarshalTypeError; texts asked of ollama 0.24.0 and 0.33.0-rc2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

_NAMES = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
_INTERFACES = {str: "string", bool: "bool", int: "float64", float: "float64", type(None): "<nil>"} | {
    list: "[]interface {}",
    dict: "map[string]interface {}",
}
_BEGINS = "looking for beginning of value"
_KEY = "looking for beginning of object key string"
_TEXT = r'"(?:\\.|[^"\\])*"'
_WORDS = ("true", "false", "null")


class Place(NamedTuple):
    """Where a value stands: the struct around it, and the names on the way to it."""

    struct: str | None = None
    path: str = ""

    def at(self, name: str, struct: str | None) -> Place:
        return Place(struct, f"{self.path}.{name}" if self.path else name)


Reader: TypeAlias = Callable[[Any, Place], "str | None"]


def mismatch(value: Any, go: str, place: Place, number: str = "") -> str:
    """The words for a value that is of another type than `go`."""
    into = "Go value" if place.struct is None else f"Go struct field {place.struct}.{place.path}"
    return f"json: cannot unmarshal {_NAMES[type(value)]}{number} into {into} of type {go}"


def interface(value: Any) -> str:
    """The type of a value where Go takes any (%T)."""
    return _INTERFACES[type(value)]


def scalar(go: str, *kinds: type) -> Reader:
    def read(value: Any, place: Place) -> str | None:
        fits = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
        return None if value is None or fits else mismatch(value, go, place)

    return read


def integer(value: Any, place: Place) -> str | None:
    """A number of another kind is named in the words: 5.5, and 5.0 too."""
    if isinstance(value, float) or (type(value) is int and not -(2**63) <= value < 2**63):
        return mismatch(value, "int", place, f" {value!r}")
    return None if value is None or type(value) is int else mismatch(value, "int", place)


def array(go: str, each: Reader) -> Reader:
    def read(value: Any, place: Place) -> str | None:
        if isinstance(value, list):
            return next((wrong for one in value if (wrong := each(one, place))), None)
        return None if value is None else mismatch(value, f"[]{go}", place)

    return read


def struct(go: str, fields: Mapping[str, Reader], *, short: str | None = None, own: bool = False) -> Reader:
    """A struct. own: it decodes itself, so that errors inside it name the struct around it."""
    name = go.rpartition(".")[2] if short is None else short

    def read(value: Any, place: Place) -> str | None:
        if value is None:
            return None
        if not isinstance(value, dict):
            return mismatch(value, go, place)
        inside = place.struct if own and place.struct else name
        known = ((fields[key], part, place.at(key, inside)) for key, part in value.items() if key in fields)
        return next((wrong for field, part, where in known if (wrong := field(part, where))), None)

    return read


def mapping(go: str) -> Reader:
    return scalar(go, dict)


string = scalar("string", str)
boolean = scalar("bool", bool)
float64 = scalar("float64", int, float)
float32 = scalar("float32", int, float)
strings = array("string", string)


def syntax(text: str) -> str:
    """The words for a text that is no JSON. A text with nothing in it is "EOF"."""
    text = text.strip(" \t\r\n")
    if not text:
        return "EOF"
    try:
        json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as problem:
        place, context = _context(text, problem.pos, problem.msg)
        return f"invalid character {_quoted(text[place])} {context}" if place < len(text) else "unexpected EOF"
    # Python takes NaN and the like for numbers.
    constant = next((one[0] for one in re.finditer(rf"{_TEXT}|NaN|-?Infinity", text) if one[0][0] != '"'), "N")
    return f"invalid character {_quoted(constant[0])} {_BEGINS}"


def _context(text: str, place: int, message: str) -> tuple[int, str]:
    """The place of the character that is wrong, beyond the text if it ends too early, and what Go was doing there."""
    match message.partition(": ")[0].removesuffix(" at"):
        case "Expecting ',' delimiter" if text[place : place + 1] == ".":
            return place + 1, "after decimal point in numeric literal"
        case "Expecting ',' delimiter":
            return place, "after object key:value pair" if _inside(text[:place]) == "{" else "after array element"
        case "Expecting ':' delimiter":
            return place, "after object key"
        case "Expecting property name enclosed in double quotes":
            return place, _KEY
        case words if words.startswith("Illegal trailing comma"):  # Python 3.13
            return _next(text, place + 1), _KEY if "object" in words else _BEGINS
        case "Invalid control character":
            return place, "in string literal"
        case "Invalid \\escape":
            return place + 1, "in string escape code"
        case "Invalid \\uXXXX escape":
            digits = re.compile(r"\\?u?[0-9A-Fa-f]*").match(text, place)
            return digits.end() if digits else place, r"in \u hexadecimal character escape"
        case words if words.startswith("Unterminated"):
            return len(text), ""
    return _literal(text, place)


def _literal(text: str, place: int) -> tuple[int, str]:
    """A value that does not begin, or a number or a word like true that does not go on."""
    if text[place : place + 1] == "-":
        return place + 1, "in numeric literal"
    word = next((word for word in _WORDS if text[place : place + 1] == word[0]), "")
    for at, letter in enumerate(word):
        if text[place + at : place + at + 1] != letter:
            return place + at, f"in literal {word} (expecting '{letter}')"
    return place, _BEGINS


def _next(text: str, place: int) -> int:
    return place + len(text[place:]) - len(text[place:].lstrip(" \t\r\n"))


def _inside(text: str) -> str:
    """The bracket that is open at a text's end."""
    still = [""]
    for found in re.findall(rf"{_TEXT}|[\[\]{{}}]", text):
        if found in ("[", "{"):
            still.append(found)
        elif found in ("]", "}"):
            still.pop()
    return still[-1]


def _quoted(character: str) -> str:
    """A character as Go quotes it; of one with several bytes, the first."""
    if character == "'":
        return r"'\''"
    if character == '"':
        return "'\"'"
    return "'" + json.dumps(chr(character.encode(errors="replace")[0]), ensure_ascii=False)[1:-1] + "'"
