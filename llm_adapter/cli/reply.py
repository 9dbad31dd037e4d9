"""A streamed reply, printed as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console

from llm_adapter.cli.wrap import Wrap
from llm_adapter.client.clients import OpenAI
from llm_adapter.devtools.reporting.text import harmless


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the midst of a reply; `said` is what came until then."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self.said = said


def spoken(client: OpenAI, request: dict[str, Any], screen: Console) -> str:
    """Print the reply to a request; its text. Thoughts are for people alone, so only a terminal shows them, dimmed.

    Raises `Interrupted`.
    """
    said, before = "", ""
    wrap = Wrap(screen.width)
    try:
        for kind, piece in _pieces(client, request):
            if kind != "text" and not screen.is_terminal:
                continue
            if before == "thought" and kind == "text":
                _show(screen, wrap.finish(), before)
                _show(screen, wrap.feed("\n" if wrap.begun else "\n\n"), kind)
                piece = piece.lstrip("\n")
            said += piece if kind == "text" else ""
            _show(screen, wrap.feed(harmless(piece)) if screen.is_terminal else piece, kind)
            before = kind
    except KeyboardInterrupt:
        raise Interrupted(said) from None
    finally:
        _show(screen, wrap.finish(), before)
        if before and not (before == "text" and said.endswith("\n")):
            screen.print()
    return said


def _show(screen: Console, text: str, kind: str) -> None:
    screen.out(text, style=None if kind == "text" else "dim", highlight=False, end="")
    screen.file.flush()


def _pieces(client: OpenAI, request: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What comes, each with its kind: "thought", "text", or "note" for what is ours."""
    with client.chat.completions.create(**request, stream=True) as stream:
        for chunk in stream:
            for choice in chunk.choices:
                delta = choice.delta
                if thought := getattr(delta, "reasoning", None) or getattr(delta, "reasoning_content", None):
                    yield "thought", thought
                if text := delta.content or delta.refusal:
                    yield "text", text
                if choice.finish_reason == "length":
                    yield "note", " (cut here: no tokens are left)"
