"""What it costs to begin: whole processes that import the SDK or ours, and make a first client.

The least CPU time, user's and system's, of fresh interpreters that take turns, from their start to their end.
"""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from work import NATIVE, PASS_THROUGH, PLAIN, Cost

import llm_adapter

_CLIENT = "OpenAI(api_key='stub', base_url='http://127.0.0.1:1/v1')"
_NATIVE = "OpenAI(settings=Settings(provider='ollama', host='http://127.0.0.1:1'))"
WAYS: Mapping[str, Mapping[str, str]] = {
    "import": {PLAIN: "from openai import OpenAI", PASS_THROUGH: "from llm_adapter import OpenAI"},
    "import and first client": {
        PLAIN: f"from openai import OpenAI; {_CLIENT}",
        PASS_THROUGH: f"from llm_adapter import OpenAI; {_CLIENT}",
        NATIVE: f"from llm_adapter import OpenAI, Settings; {_NATIVE}",
    },
}
TARGETS: Mapping[str, float] = dict.fromkeys(WAYS, 1.05)


def measured(ways: Iterable[str], rounds: int) -> dict[str, Cost]:
    """Way to column to seconds of CPU."""
    # An installer compiles what it installs; a checkout may not have been.
    compileall.compile_dir(str(Path(llm_adapter.__file__).parent), quiet=2)
    best = {way: dict.fromkeys(WAYS[way], float("inf")) for way in ways}
    for _ in range(rounds):
        for way, columns in best.items():
            for column in columns:
                columns[column] = min(columns[column], _process(WAYS[way][column]))
    return best


def _process(code: str) -> float:
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"this failed: {code}")
    return used.ru_utime + used.ru_stime
