"""Refuses every connection that leaves this machine, in a program and its child processes, and writes down the host.

It stands on PYTHONPATH as a user's own `sitecustomize` does, behind that of `llm-adapter run`.
"""

import os
import sys

_HERE = ("127.0.0.1", "::1", "localhost", None)


def _hook(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host in _HERE:
        return
    with open(os.environ["FRAMEWORKS_LEFT"], "a", encoding="utf-8") as file:
        file.write(f"{host}\n")
    raise PermissionError(f"the program tried to reach {host!r}")


sys.addaudithook(_hook)
