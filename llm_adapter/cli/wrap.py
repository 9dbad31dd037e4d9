"""Text that comes in pieces, broken between words before the terminal breaks it inside them."""

from __future__ import annotations

from rich.cells import cell_len


class Wrap:
    """Push pieces in, print what comes out. A word comes out when it is whole."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._column = 0
        self._word = ""

    @property
    def begun(self) -> bool:
        """Whether what comes next begins a line."""
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
