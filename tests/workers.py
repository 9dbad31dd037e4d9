"""Servers that start worker processes, gunicorn and uvicorn, as their users start them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

GUNICORN = "gunicorn app:application --bind fd://{fd} --preload --workers 1 --max-requests 1 --timeout 90 "
UVICORN = "uvicorn app:application --fd {fd} --workers 2 --lifespan off --timeout-worker-healthcheck 90"


@contextmanager
def serving(
    command: str, app: str, folder: Path, *, under: Sequence[str] = (), env: Mapping[str, str] = os.environ
) -> Iterator[str]:
    """The address of a server whose workers answer; at the end it is asked to stop, and does.

    app: what stands in the module `app`. under: what stands between Python and its `-m`.
    """
    (folder / "app.py").write_text(app, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fd = listening.fileno()
        arguments = [sys.executable, *under, "-m", *command.format(fd=fd).split()]
        # gunicorn puts a socket of its own into the home folder.
        env = {**env, "PYTHONPATH": os.pathsep.join((str(folder), *sys.path)), "HOME": str(folder)}
        with subprocess.Popen(arguments, cwd=folder, pass_fds=[fd], env=env) as server:
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}"
                server.terminate()
                assert server.wait(20) == 0
            finally:
                server.kill()
