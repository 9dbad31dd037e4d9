"""A streamed reply, printed as it comes, with lines that end between words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len
from rich.console import Console

from llm_adapter.client.clients import OpenAI
from llm_adapter.devtools.reporting.text import harmless


class WordWrap:
    """Feed pieces of a text, print what is returned. A word is returned when it is whole."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._column = 0
        self._word = ""

    @property
    def at_line_start(self) -> bool:
        """Whether the next text begins a line."""
        return not (self._column or self._word)

    def feed(self, text: str) -> str:
        out = ""
        for char in text:
            if char.isspace():
                out += self.finish() + self._space(char)
                continue
            self._word += char
            # Wide characters are Chinese, Japanese, Korean, emoji: lines may end at each. And some words never end.
            if cell_len(char) > 1 or cell_len(self._word) >= self._width:
                out += self.finish()
        return out

    def finish(self) -> str:
        """The word that is not known to be whole."""
        word, self._word = self._word, ""
        length = cell_len(word)
        if self._column and self._column + length > self._width:
            self._column = length
            return f"\n{word}"
        self._column += length
        return word

    def _space(self, char: str) -> str:
        if char == "\n":
            self._column = 0
            return char
        char = "    " if char == "\t" else char
        if self._column + len(char) > self._width:  # the line is full, and the next word begins another
            return ""
        self._column += len(char)
        return char


class ReplyInterrupted(KeyboardInterrupt):
    """Ctrl-C in the midst of a reply; `text` is what had come until then."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


def print_reply(client: OpenAI, request: dict[str, Any], screen: Console) -> str:
    """Print the reply to a request, and return its text. Reasoning is shown, dimmed, at a terminal alone.

    Raises `ReplyInterrupted`.
    """
    text, before = "", ""
    wrap = WordWrap(screen.width)
    try:
        for kind, piece in _pieces(client, request):
            if kind != "text" and not screen.is_terminal:
                continue
            if before == "reasoning" and kind == "text":
                _show(screen, wrap.finish(), before)
                _show(screen, wrap.feed("\n" if wrap.at_line_start else "\n\n"), kind)
                piece = piece.lstrip("\n")
            text += piece if kind == "text" else ""
            _show(screen, wrap.feed(harmless(piece, part=True)) if screen.is_terminal else piece, kind)
            before = kind
    except KeyboardInterrupt:
        raise ReplyInterrupted(text) from None
    finally:
        _show(screen, wrap.finish(), before)
        if before and not (before == "text" and text.endswith("\n")):
            screen.print()
    return text


def _show(screen: Console, text: str, kind: str) -> None:
    screen.out(text, style=None if kind == "text" else "dim", highlight=False, end="")
    screen.file.flush()


def _pieces(client: OpenAI, request: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The pieces of the reply, each with its kind: "reasoning", "text", or "note" for a remark of ours."""
    with client.chat.completions.create(**request, stream=True) as stream:
        for chunk in stream:
            for choice in chunk.choices:
                delta = choice.delta
                if reasoning := getattr(delta, "reasoning", None) or getattr(delta, "reasoning_content", None):
                    yield "reasoning", reasoning
                if text := delta.content or delta.refusal:
                    yield "text", text
                if choice.finish_reason == "length":
                    yield "note", " (cut off here: the token limit is reached)"
