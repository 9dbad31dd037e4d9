"""The tables of the documents, made from the rows and the settings: `python tools/tables.py` writes them.

Tests hold the files against `rendered`, so the documents cannot say what the code does not do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from llm_adapter.devtools.migrate.findings import RULES
from llm_adapter.devtools.parity.thresholds import LIMITS
from llm_adapter.providers.ollama.parameters import CHAT, COMPLETIONS, EMBEDDINGS, NATIVE
from llm_adapter.providers.v1.dialects import DIALECTS, OLLAMA_ONLY, SAMPLERS
from llm_adapter.providers.v1.parameters import ROWS
from llm_adapter.responses.parameters import RESPONSES
from llm_adapter.settings.readers import listed
from llm_adapter.settings.settings import Settings
from llm_adapter.settings.unread import readers_of
from llm_adapter.translation.parameters import PASSED, Row, Rows

ROOT = Path(__file__).parent.parent
DOCUMENTS = (ROOT / "README.md", ROOT / "migration_guide.md", *sorted((ROOT / "docs").glob("*.md")))
_MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


_WORDS = {"honoured": "yes", "emulated": "emulated", "ignored": "ignored", "refused": "**refused**"}
_OPENAI, _OLLAMA = "OpenAI", "Ollama"
SERVERS = {"ollama": "Ollama `/v1`", "llamacpp": "llama.cpp", "vllm": "vLLM", "lmstudio": "LM Studio"}
_ENDPOINTS: dict[str, Rows] = {"chat": CHAT, "completions": COMPLETIONS, "embeddings": EMBEDDINGS}
_OWN = ("think", "format", "raw", "system", "template", "images", "context")  # Ollama's, for some endpoints


def parameters(rows: Rows) -> str:
    """One line a parameter."""
    lines = ["| parameter | elsewhere than at OpenAI | how, or why not |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {_WORDS[row.verdict]} | {row.note} |" for name, row in rows.items())])


def compared(path: str, native: Rows) -> str:
    """One line a parameter of OpenAI's, one column a server; then how, or why not, where there is more to say."""
    names = [name for name in native if not _extra(name)]
    columns = [_OPENAI, _OLLAMA, *SERVERS.values()]
    lines = [f"| parameter | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name in names:
        verdicts = [_WORDS[row.verdict] for row in _of(name, path, native).values()]
        lines.append(f"| `{name}` | {' | '.join(['yes', *verdicts])} |")
    return "\n".join([*lines, "", *_notes(names, path, native)])


def extras() -> str:
    """One line an option that is not OpenAI's, for all endpoints; Ollama's column says where it means something."""
    columns = [_OPENAI, _OLLAMA, *SERVERS.values()]
    lines = [f"| `extra_body` | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name in dict.fromkeys(name for rows in _ENDPOINTS.values() for name in rows if _extra(name)):
        where = [title for title, rows in _ENDPOINTS.items() if name in rows]
        ollama = "yes" if len(where) == len(_ENDPOINTS) else ", ".join(where)
        lines.append(f"| `{name}` | {' | '.join([_sent(name, 'openai'), ollama, *_all_sent(name)])} |")
    return "\n".join(lines)


def _extra(name: str) -> bool:
    return name in NATIVE or name in _OWN


def _of(name: str, path: str, native: Rows) -> dict[str, Row]:
    """A parameter's row by server."""
    return {_OLLAMA: native[name], **{title: ROWS[dialect][path][name] for dialect, title in SERVERS.items()}}


def _sent(name: str, dialect: str) -> str:
    """What becomes of a provider-only parameter that is sent elsewhere."""
    if name in DIALECTS[dialect].understands:
        return "yes"
    return "left out" if name in OLLAMA_ONLY | SAMPLERS else "sent on"


def _all_sent(name: str) -> list[str]:
    return [_sent(name, dialect) for dialect in SERVERS]


def _notes(names: list[str], path: str, native: Rows) -> list[str]:
    """One line for all parameters of which the same is said."""
    about: dict[str, list[str]] = {}
    for name in names:
        servers: dict[str, list[str]] = {}
        for title, row in _of(name, path, native).items():
            if row.note != PASSED.note:
                servers.setdefault(row.note, []).append(title)
        for_all = len(servers) == 1 and len(next(iter(servers.values()))) == 1 + len(SERVERS)
        note_text = ". ".join(note if for_all else f"{', '.join(titles)}: {note}" for note, titles in servers.items())
        if note_text:
            about.setdefault(note_text, []).append(name)
    return [f"- {', '.join(f'`{name}`' for name in names)} - {text}." for text, names in about.items()]


def settings() -> str:
    """One line a field."""
    lines = ["| field | default | read by | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        readers = "all, by its entries" if name == "options" else listed(readers_of(name))
        written = json.dumps(field.default) if isinstance(field.default, tuple) else field.default  # as TOML has it
        default = "" if field.is_required() or field.default in (None, ()) or field.default_factory else f"`{written}`"
        lines.append(f"| `{name}` | {default} | {readers} | {field.description} |")
    return "\n".join(lines)


def thresholds() -> str:
    """One line a threshold of parity's."""
    lines = ["| threshold | default | the default is | what it limits |", "|---|---|---|---|"]
    words = {"least": "the least", "most": "the most", "within": "the farthest, or its inverse"}
    for name, limit in LIMITS.items():
        default = "" if limit.default is None else f"{limit.default:g}"
        lines.append(f"| `{name}` | {default} | {words[limit.kind]} | {limit.meaning} |")
    return "\n".join(lines)


def findings() -> str:
    """One line a kind of finding of scan's."""
    lines = ["| finding | level | what it is | what to do |", "|---|---|---|---|"]
    return "\n".join(
        [*lines, *(f"| `{name}` | {rule.level} | {rule.title} | {rule.help} |" for name, rule in RULES.items())]
    )


TABLES: dict[str, Callable[[], str]] = {
    "chat": lambda: compared("/chat/completions", CHAT),
    "completions": lambda: compared("/completions", COMPLETIONS),
    "embeddings": lambda: compared("/embeddings", EMBEDDINGS),
    "responses": lambda: parameters(RESPONSES),
    "extra_body": extras,
    "settings": settings,
    "thresholds": thresholds,
    "findings": findings,
}


def rendered(text: str) -> str:
    """A document with every table made anew."""
    return _MARK.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", text)


if __name__ == "__main__":
    for path in DOCUMENTS:
        path.write_text(rendered(path.read_text("utf-8")), "utf-8")
