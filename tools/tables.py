"""The tables of the documents, made from the rows and the settings: `python tools/tables.py` writes them.

Tests hold the files against `rendered`, so the documents cannot say what the code does not do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from llm_adapter.providers.ollama.params import CHAT, COMPLETIONS, EMBEDDINGS, NATIVE
from llm_adapter.responses.params import RESPONSES
from llm_adapter.rows import Rows
from llm_adapter.settings import Settings

ROOT = Path(__file__).parent.parent
DOCUMENTS = (ROOT / "README.md", ROOT / "migration_guide.md")
_MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def parameters(rows: Rows) -> str:
    """One line a parameter of OpenAI's; those that only Ollama has come after."""
    lines = ["| parameter | on Ollama | how, or why not |", "|---|---|---|"]
    own = [
        name
        for name in rows
        if name in NATIVE or name in ("think", "format", "raw", "system", "template", "images", "context")
    ]
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
    "responses": lambda: parameters(RESPONSES),
    "settings": settings,
}


def rendered(text: str) -> str:
    """A document with every table made anew."""
    return _MARK.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", text)


if __name__ == "__main__":
    for path in DOCUMENTS:
        path.write_text(rendered(path.read_text("utf-8")), "utf-8")
