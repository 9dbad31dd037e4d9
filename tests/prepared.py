"""Python processes that have imported the SDK already, which is most of what starting one takes.

One process for all tests of a worker imports it, and does nothing else. It forks for each program, which then runs as
`python -c` would run it, to the interpreter's own end.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from functools import cache
from typing import Any

_PREPARED = """
import json, os, socket, sys
import openai
place = socket.socket(fileno=int(sys.argv[1]))
waiting = []
while True:
    sent, files, *_ = socket.recv_fds(place, 1 << 20, 4)
    if not sent:
        sys.exit()
    waiting = [one for one in waiting if not os.waitpid(one, os.WNOHANG)[0]]
    waiting.append(os.fork())
    if waiting[-1] == 0:
        break
    for file in files:
        os.close(file)
asked, status = json.loads(sent), files.pop()
if child := os.fork():
    for file in files:
        os.close(file)
    os.write(status, b"%d\\n" % child)
    os.write(status, b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os._exit(0)
place.close()
os.close(status)
for number, file in enumerate(files):
    os.dup2(file, number)
    os.close(file)
os.chdir(asked["folder"])
os.environ.clear()
os.environ.update(asked["environ"])
sys.argv = ["-c", *asked["arguments"]]
code = compile(asked["code"], "<string>", "exec")
del json, os, socket, sys, openai, place, waiting, sent, files, file, number, asked, status, child, _
exec(code)
"""


@cache
def _prepared() -> socket.socket:
    """What the process that is prepared listens to. It ends when this one does."""
    ours, theirs = socket.socketpair()
    with theirs:
        read, write = os.pipe()  # it reads and writes nothing, and its programs' streams are those of pipes
        command = [sys.executable, "-c", _PREPARED, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=read, stdout=write, stderr=write)
        os.close(read)
        os.close(write)
    atexit.register(lambda: (ours.close(), process.wait()))
    return ours


# The command line, as a program.
LLM_ADAPTER = "import sys; sys.argv[0] = 'llm-adapter'; from llm_adapter.cli import main; main()"


class Program:
    """A program that runs. files: its standard input, output and error."""

    def __init__(self, code: str, *arguments: str, files: tuple[int, int, int]) -> None:
        asked = {"code": code, "arguments": arguments, "folder": os.getcwd(), "environ": {**os.environ}}
        read, write = os.pipe()
        socket.send_fds(_prepared(), [json.dumps(asked).encode()], [*files, write])
        os.close(write)
        self._status = os.fdopen(read, encoding="ascii")
        self.pid = int(self._status.readline())

    def wait(self) -> int:
        """Its exit code."""
        with self._status:
            return int(self._status.readline())

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        with suppress(ProcessLookupError):  # it has ended
            self.send_signal(signal.SIGKILL)


def run(code: str, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """What a program says, and its exit code; that of a program that is not through by then is -9."""
    if not hasattr(os, "fork"):
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=seconds)
    read, write = os.pipe()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said, open(os.devnull, encoding="utf-8") as nothing:
        program = Program(code, *arguments, files=(nothing.fileno(), write, said.fileno()))
        os.close(write)
        timer = threading.Timer(seconds, program.kill)
        timer.start()
        with os.fdopen(read, encoding="utf-8") as out:
            written = out.read()
        code_of_exit = program.wait()
        timer.cancel()
        timer.join()
        said.seek(0)
        return subprocess.CompletedProcess[Any](["python"], code_of_exit, written, said.read())
