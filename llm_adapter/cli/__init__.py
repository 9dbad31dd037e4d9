"""`llm-adapter`, the command. The extra `cli` brings typer and rich; without it one line says so."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. Exits with 1 for an error, with 2 for a wrong option."""
    try:
        from llm_adapter.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        sys.exit("llm-adapter: the command line needs the extra `cli`: pip install 'llm_adapter[cli]'")
    run()
