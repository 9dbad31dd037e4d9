"""The program of a process that runs one model: what `process` starts.

It ends when its input ends, or when its parent is another one than at its start. It imports what it needs and no more:
the SDK would take most of the time in which a small model is there.
"""

from __future__ import annotations

import json
import os
import select
import sys

from llm_adapter.providers.embedded.server import (
    ERRORS,
    Launch,
    LlamaCppError,
    ModelLoadError,
    free_on_cards,
    start_server,
)

_LOOK = 1.0  # seconds between two looks at who the parent is


def main() -> None:
    """Obey the parent. An order without a word asks what is free on graphics cards."""
    parent = os.getppid()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the library prints is no answer
    try:
        while not (order := json.loads(sys.stdin.readline())):
            print(json.dumps({"free": free_on_cards()}), file=answers, flush=True)
        _, address = start_server(Launch(**order), verbosity=ERRORS)
    except ModelLoadError:
        print("{}", file=answers, flush=True)
        return
    except LlamaCppError as error:
        print(json.dumps({"error": str(error)}), file=answers, flush=True)
        return
    except ValueError:  # the input has ended: who started this process does not want it any more
        return
    _write_nothing_more()
    print(json.dumps({"root": address.root, "key": address.api_key}), file=answers, flush=True)
    _wait_for_end(parent)
    os._exit(0)  # the server's destructor would wait for the replies under way


def _write_nothing_more() -> None:
    """Let what the library prints from now on go nowhere: the file would grow for ever."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _wait_for_end(parent: int) -> None:
    """Return when the parent is gone. Its pipe alone does not tell: a fork of the parent may hold it open."""
    if sys.platform == "win32":
        sys.stdin.read()
        return
    while os.getppid() == parent:
        if select.select([0], [], [], _LOOK)[0] and not os.read(0, 1):
            return
