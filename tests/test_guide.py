"""The migration guide's tables are the code's."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_tables_are_made_from_the_rows() -> None:
    """`python tools/tables.py` changes nothing."""
    spec = importlib.util.spec_from_file_location("tables", ROOT / "tools" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    guide = (ROOT / "migration_guide.md").read_text("utf-8")
    assert tables.rendered(guide) == guide
    assert guide.count("<!-- table: ") == len(tables.TABLES)
