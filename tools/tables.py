"""The tables of migration_guide.md, made from the rows and the settings: `python tools/tables.py` writes them.

tests/test_guide.py holds the file against `rendered`, so the guide cannot say what the code does not do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from llm_adapter.providers.ollama.params import CHAT, COMPLETIONS, EMBEDDINGS, NATIVE
from llm_adapter.rows import Rows
from llm_adapter.settings import Settings

GUIDE = Path(__file__).parent.parent / "migration_guide.md"
_MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def parameters(rows: Rows) -> str:
    """One line a parameter of OpenAI's; those that only Ollama has come after."""
    lines = ["| parameter | on Ollama | how, or why not |", "|---|---|---|"]
    own = [name for name in rows if name in NATIVE or name in ("think", "format", "raw", "system", "template", "images", "context")]
    for name in [*(name for name in rows if name not in own), *own]:
        row = rows[name]
        lines.append(f"| `{name}`{' (`extra_body`)' if name in own else ''} | {row.verdict} | {row.note} |")
    return "\n".join(lines)


def settings() -> str:
    """One line a field."""
    lines = ["| field | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.is_required() or field.default is None or field.default_factory else f"`{field.default}`"
        lines.append(f"| `{name}` | {default} | {field.description} |")
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "chat": lambda: parameters(CHAT),
    "completions": lambda: parameters(COMPLETIONS),
    "embeddings": lambda: parameters(EMBEDDINGS),
    "settings": settings,
}


def rendered(text: str) -> str:
    """The guide with every table made anew."""
    return _MARK.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", text)


if __name__ == "__main__":
    GUIDE.write_text(rendered(GUIDE.read_text("utf-8")), "utf-8")
