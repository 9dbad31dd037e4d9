"""Strangers' texts on a person's screen: names of models and files, replies, messages of servers."""

from __future__ import annotations

import json

import pytest

from llm_adapter.devtools.reporting.text import harmless, json_text, one_line

SHOWN = {
    "plain": ("Grüße, 模型 и שלום", "Grüße, 模型 и שלום"),
    "lines and tabs": ("a\n\tb", "a\n\tb"),
    "escape sequences": ("a\x1b[2Jb\x9b2J\x07", "a[2Jb2J"),
    "a carriage return": ("all is well\rFAIL", "all is wellFAIL"),
    "overriding directions": ("a\u202eb\u202c", "ab"),
    "isolating directions": ("\u2066a\u2069", "a"),
    "marks of direction": ("a\u200e\u200f\u061cb", "ab"),
    "line separators": ("a\u2028b\u2029c\x85d", "a b cd"),
    "without width": ("gp\u200bt\ufeff-\u20604o", "gpt-4o"),
    "joiners in a name": ("gpt\u200d-4\u200c", "gpt-4"),
    "joiners in a script": ("می\u200cخواهم", "می\u200cخواهم"),
    "joiners in emoji": ("👩\u200d🚀", "👩\u200d🚀"),
    "tags": ("a\U000e0041\U000e007fb", "ab"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_shown(name: str) -> None:
    text, shown = SHOWN[name]
    assert harmless(text) == shown
    assert one_line(text) == shown.replace("\n", " ").replace("\t", " ")


def test_a_piece_may_end_within_a_letter() -> None:
    assert "".join(harmless(piece, part=True) for piece in ("👩", "\u200d", "🚀\u202e")) == "👩\u200d🚀"


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("ascii_only", [False, True])
def test_json_loses_nothing(name: str, ascii_only: bool) -> None:
    text, _ = SHOWN[name]
    written = json_text({text: [text]}, ascii_only=ascii_only)
    assert json.loads(written) == {text: [text]}
    assert harmless(written) == written
