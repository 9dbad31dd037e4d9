"""The embedded server belongs to the process that started it: forked children start their own, and end at once."""

from __future__ import annotations

import os
import sys
import time

import prepared
import pytest

pytest.importorskip("xllamacpp", reason="the extra `embedded` is not installed")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")

HEAD = """
import os, sys, threading, time, warnings
warnings.simplefilter("ignore")
from llm_adapter import OpenAI, Settings
client = OpenAI(settings=Settings(provider="embedded"), max_retries=0)
call = {"model": "m", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
ask = lambda: client.chat.completions.create(**call).choices[0].message.content
def ended(pid):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if (found := os.waitpid(pid, os.WNOHANG))[0]:
            return os.waitstatus_to_exitcode(found[1])
        time.sleep(0.02)
    os.kill(pid, 9)
    return "the child does not end"
"""
SCRIPTS = {
    # As a worker of gunicorn --preload ends: with its exit status, through Python's own exit.
    "children that end and that ask, within a stream of the parent": """
stream = client.chat.completions.create(**call, stream=True)
next(stream)
if (idle := os.fork()) == 0: sys.exit(5)
if (pid := os.fork()) == 0: sys.exit(3 if "Paris" in ask() else 4)
assert ended(idle) == 5
print(ended(pid), "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))
""",
    "fork while a model loads": """
from llm_adapter.providers.embedded import provider as embedded
start, loading, go_on = embedded.start_server, threading.Event(), threading.Event()
def slow(*given):
    started = start(*given)
    loading.set(), go_on.wait()
    return started
embedded.start_server = slow
said = []
thread = threading.Thread(target=lambda: said.append(ask()))
thread.start(), loading.wait()
if (pid := os.fork()) == 0: sys.exit(3 if "Paris" in ask() else 4)
code = ended(pid)
go_on.set(), thread.join()
print(code, *said)
""",
    # Its library may be out of sight by then, as after a test that ran pytest in this process.
    "daemon whose parent ends": """
ask()
del sys.modules["xllamacpp"]
parent = os.getpid()
if os.fork() == 0:
    while os.getppid() == parent: time.sleep(0.02)
    print(3, ask(), flush=True)
    sys.exit(0)
""",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_forked(script: str) -> None:
    if "stream=True" in script and sys.version_info[:3] == (3, 13, 0):
        pytest.skip("a process of CPython 3.13.0 that ends with an open stream of the plain SDK is killed by SIGSEGV")
    done = prepared.run(HEAD + script)
    code, _, said = done.stdout.partition(" ")
    assert (code, "Paris" in said, done.stderr) == ("3", True, "")


def test_a_server_process_ends_with_its_owner() -> None:
    """It is told by its pipe, which is closed however its owner ends."""
    script = HEAD + (
        "from llm_adapter.providers import PROVIDERS\n"
        "PROVIDERS['embedded']._in_process = False\n"
        "ask()\n"
        "(server, address), = PROVIDERS['embedded']._servers.values()\n"
        "print(server._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = prepared.run(script)
    assert not _runs_within(int(done.stdout), 10)


def _runs_within(pid: int, seconds: float) -> bool:
    """Whether a process still runs after so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return False
        except FileNotFoundError:
            return False
        time.sleep(0.05)
    return True
