"""Where secrets stand in a text, and which names are those of secrets. Pure.

A secret is found by its own form (`sk-...`), or by what stands before it: the name of a field in JSON, Python or JSON
within JSON, a header, a variable, a parameter of a URL. Percent-encoding and Basic's base64 are undone to look.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias
from urllib.parse import unquote

Span: TypeAlias = tuple[int, int]

_FORMS = re.compile(
    r"\bsk-[A-Za-z0-9_-]{8,}"  # OpenAI, Anthropic, OpenRouter, ...
    r"|(?i:\bbearer\s+[a-z0-9._~+/=-]{8,})"
    r"|\bgh[oprsu]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}"
    r"|\b(?:hf|gsk|npm|r8|glsa|whsec)_[A-Za-z0-9_]{20,}|\b[rsp]k_(?:live|test)_\w{10,}|\bdop_v1_[a-f0-9]{20,}"
    r"|\b(?:xai|pplx|nvapi|csk|tvly|pypi)-[A-Za-z0-9_-]{20,}|\bxox[abeprs]-[A-Za-z0-9-]{10,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}|\bya29\.[\w-]{20,}|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|(?<=://)[^\s/@:\"']*:[^\s/@\"']+(?=@)|(?<=://)[^\s/@:\"'?#]{12,}(?=@)"  # a user and a password in a URL, a token
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+"
)
# A name and its value between quotes; in JSON within JSON the quotes have backslashes.
_QUOTED = re.compile(
    r"(?P<quote>\\{0,7}[\"'])(?P<name>[\w .-]{2,60})(?P=quote)\s*[:=]\s*(?P=quote)"
    r"(?=(?P<value>.+?)(?<!\\)(?P=quote))",  # looked at only: a value may be JSON with names of its own
    re.DOTALL,
)
_HEADER = re.compile(
    r"(?<![\w-])(?P<name>[A-Za-z][\w-]{3,60}):[ \t]*"
    r"(?P<value>(?:[A-Za-z]+[ \t]+)?[^\s\"'`,;]{4,}(?:;[ \t]*[^\s\"'`,;]+)*)"
)
# With a digit and no brackets: `API_KEY = os.environ["X"]` is code.
_VARIABLE = re.compile(
    r"(?<!\w)(?P<name>[A-Z][A-Z0-9_]{2,60})[ \t]*=[ \t]*[\"']?(?P<value>(?=[^\s\"']*\d)[^\s\"'()\[\]{}<>$]{8,})"
)
_PARAMETER = re.compile(r"(?<=[?&;])(?P<value>(?P<name>[^=&;#?\s\"']{2,60})=[^\s&#\"']{4,})")
_CURL = re.compile(r"(?:(?<!\S)-u|--user)[ =]+[\"']?(?P<value>[^\s\"':]+:[^\s\"']+)")
_BASIC = re.compile(r"\bbasic\s+(?P<value>[A-Za-z0-9+/_-]{6,}={0,2})", re.IGNORECASE)
# From the beginning of a part on: from each of its characters it would take the square of the time.
_ENCODED = re.compile(r"(?<![^\s\"'<>&?=;#/])[^\s\"'<>&?=;#/]*%[0-9A-Fa-f]{2}[^\s\"'<>&?=;#/]*")

# Of names without their signs and in small letters: `X-Api-Key`, `apiKey` and `OPENAI_API_KEY` are alike.
_FIELD = re.compile(
    r"(x|proxy)?authorization|.*apikey|.*(access|refresh|auth|bearer|session|security|id)token|.*secret|(set)?cookie"
    r"|.*(secret|access|private|signing|encryption|subscription|account)key|awsaccesskeyid"
    r"|.*passw(or)?d|.*passphrase|.*credentials?"
)
# `key` and `token` are words of many other things, but in an address or among headers.
_PARAMETER_NAME = re.compile(rf"{_FIELD.pattern}|key|token|sig|signature|xamz(signature|credential|securitytoken)")
_HEADER_NAME = re.compile(r".*(auth|key|token|secret|cookie|credential|passw|session|signature).*")
_VARIABLE_NAME = re.compile(r"(.*_)?(KEY|APIKEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)(_?\d+)?", re.I)


def is_secret_field(name: str) -> bool:
    """Whether a field of a call or a reply holds a secret, by its name."""
    return _FIELD.fullmatch(_plain(name)) is not None


def is_secret_parameter(name: str) -> bool:
    """The same of a URL's parameter."""
    return _PARAMETER_NAME.fullmatch(_plain(name)) is not None


def is_secret_header(name: str) -> bool:
    """The same of a header."""
    return _HEADER_NAME.fullmatch(_plain(name)) is not None


def is_secret_variable(name: str) -> bool:
    """The same of a variable of the environment."""
    return _VARIABLE_NAME.fullmatch(name) is not None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", unquote(name).lower())


def spellings(secret: str) -> set[str]:
    """How a known secret may be written: as it is, within JSON, and in base64. `secret_spans` undoes the rest."""
    data = secret.encode()
    coded = {code(data).decode().rstrip("=") for code in (base64.b64encode, base64.urlsafe_b64encode)}
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], *coded}


def pattern_of(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """What finds these known secrets, the longest first."""
    known = sorted({text for secret in secrets for text in spellings(secret)}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, known))) if known else None


def secret_spans(text: str, known: re.Pattern[str] | None = None) -> list[Span]:
    """Where secrets stand in a text, in order and apart from one another. known: see `pattern_of`."""
    merged: list[Span] = []
    for start, end in sorted(_spans(text, known)):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _spans(text: str, known: re.Pattern[str] | None) -> Iterator[Span]:
    yield from _plain_spans(text, known)
    if "%" in text:
        for found in _ENCODED.finditer(text):
            if any(_plain_spans(_decoded(found[0]), known)):
                yield found.span()


def _plain_spans(text: str, known: re.Pattern[str] | None) -> Iterator[Span]:
    for pattern in (known, _FORMS):
        if pattern is not None:
            yield from (found.span() for found in pattern.finditer(text))
    for pattern, is_secret in _NAMED:
        yield from (found.span("value") for found in pattern.finditer(text) if is_secret(found["name"]))
    yield from (found.span("value") for found in _CURL.finditer(text))
    yield from (found.span("value") for found in _BASIC.finditer(text) if _is_login(found["value"]))


def _is_text_header(name: str) -> bool:
    """Of a line of text: prose has colons too, so only a name that is a header's."""
    return is_secret_field(name) and ("-" in name or name.lower() in ("authorization", "cookie"))


_NAMED = (
    (_QUOTED, is_secret_field),
    (_HEADER, _is_text_header),
    (_VARIABLE, is_secret_variable),
    (_PARAMETER, is_secret_parameter),
)


def _is_login(value: str) -> bool:
    """Whether base64 holds a user and a password."""
    try:
        decoded = base64.b64decode(value.replace("-", "+").replace("_", "/") + "==")
    except ValueError:
        return False
    return b":" in decoded and decoded.isascii()


def _decoded(text: str) -> str:
    """Without percent-encoding, which may have been applied more than once."""
    for _ in range(3):
        text = unquote(text)
    return text
