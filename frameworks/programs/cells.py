"""Runs the cells of a program one after the other, and prints what each gave as a line of JSON.

The programs beside this know nothing of llm_adapter: they are written as the framework's own users write them.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any


def run_cells(*cells: Callable[[], Any]) -> None:
    """Each cell is a function without arguments. One that raises does not keep the others from running."""
    for cell in cells:
        try:
            gave = {"gave": cell()}
        except Exception as error:
            traceback.print_exc()
            gave = {"raised": f"{type(error).__name__}: {error}"}
        print(f"\ncell {json.dumps({'cell': cell.__name__, **gave})}", file=sys.stdout, flush=True)
