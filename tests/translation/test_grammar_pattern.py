"""The small language of patterns: what it says, it says as the pattern did; everything else is refused."""

from __future__ import annotations

import re

import pytest

from llm_adapter.translation.grammar_pattern import safe_pattern

SAFE = [
    ("^[a-z0-9_-]+$", "^[a-z0-9_-]+$", "a-b_0", "A"),
    ("^[A-Z]{2,3}-[0-9]{4}$", "^[A-Z]{2,3}-[0-9]{4}$", "AB-1234", "A-1234"),
    (r"^\d{3}-\d{4}$", "^[0-9]{3}-[0-9]{4}$", "555-1234", "5555-123"),
    (r"^[\d.]+$", "^[0-9.]+$", "1.2", "a"),
    (r"^[\w.-]+@[\w-]+\.[a-z]{2,}$", r"^[A-Za-z0-9_.-]+@[A-Za-z0-9_-]+\.[a-z]{2,}$", "a.b@c.de", "a@b"),
    (r"^a\.+$", "^a[.]+$", "a..", "a.a."),
    (r"^a\/b$", "^a/b$", "a/b", "ab"),
    ("^(?:ab|c)+$", "^(ab|c)+$", "abc", "b"),
    ("^é+$", "^[é]+$", "éé", "e"),
    (r"^[\]\^-]+$", r"^[\]^-]+$", "]^-", "a"),
    (r"^[\^a]$", r"^[\x5Ea]$", "^", "b"),
    (r"^[a\-z]$", r"^[a\x2Dz]$", "-", "b"),
]


@pytest.mark.parametrize(("pattern", "written", "fits", "breaks"), SAFE, ids=[one[0] for one in SAFE])
def test_what_the_language_holds(pattern: str, written: str, fits: str, breaks: str) -> None:
    assert safe_pattern(pattern, 1000) == written
    for either in (pattern, written):
        assert (re.search(either, fits) is not None, re.search(either, breaks)) == (True, None)


UNSAFE = {
    "no anchors": ["abc", "^a", "a$", r"^a\$", "^a|b$"],
    "groups that look around": ["^(?!x)[a-z]+$", "^(?=a)a$", "^(?<=a)b$", "^(?i)a$", "^(?P<n>a)$", r"^(a)\1$"],
    "may write a quote, a backslash or a control character": [
        *("^.+$", "^[^,]+$", '^"a"$', r"^a\\b$", r"^\s$", r"^\S+$", r"^[\s]$", "^[A-z]$", "^[!-~]$", r"^\D$", "^a\tb$"),
    ],
    "escapes that are not read alike": [r"^\bx$", r"^\x41$", r"^\p{L}$", r"^\u0041$", r"^[\x41]$"],
    "repetition without an end, of nothing": ["^([a-z]*)*$", "^(a?){3}$", "^(a|b*)+$"],
    "too many": ["^a{1001}$", "^a{3,1001}$", "^a{1001,}$"],
    "no patterns": [
        "^$",
        "^()$",
        "^(a|)$",
        "^(a$",
        "^a)$",
        "^[a$",
        "^[]$",
        "^a{3,2}$",
        "^a{0}$",
        "^a{x}$",
        "^+a$",
        "^a^b$",
    ],
    "lazy": ["^a+?$", "^a{1}{2}$"],
}


@pytest.mark.parametrize("pattern", [one for found in UNSAFE.values() for one in found])
def test_what_it_does_not_hold(pattern: str) -> None:
    assert safe_pattern(pattern, 1000) is None
