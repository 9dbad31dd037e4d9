"""The embedded model in the processes of those who start workers: gunicorn, uvicorn, Celery and multiprocessing.

A worker that does not end by itself is waited for longer than a test may take: none is killed by its master in time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from workers import GUNICORN, UVICORN, serving

pytest.importorskip("xllamacpp", reason="the extra `embedded` is not installed")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")

CLIENT = """
import os, warnings
warnings.simplefilter("ignore")
from llm_adapter import AsyncOpenAI, OpenAI, Settings
client = OpenAI(settings=Settings(provider="embedded"), max_retries=0)
call = {"model": "m", "messages": [{"role": "user", "content": "What is the capital of France?"}], "max_tokens": 20}
def ask(*_): return client.chat.completions.create(**call).choices[0].message.content
"""
# Asked when it is imported: with --preload, the model runs in the master when it forks.
WSGI = """
ask()
def application(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    return [f"{os.getpid()} {ask()}".encode()]
"""
ASGI = """
client = AsyncOpenAI(settings=Settings(provider="embedded"), max_retries=0)
async def application(scope, receive, send):
    if scope["type"] == "http":
        said = (await client.chat.completions.create(**call)).choices[0].message.content
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{os.getpid()} {said}".encode()})
"""
PROGRAMS = {
    # The broker and the results are files. The worker's own process asks when it is imported, before it forks.
    "celery": """
import signal, subprocess, sys
from celery import Celery
folders = dict.fromkeys(("data_folder_in", "data_folder_out", "control_folder"), os.getcwd())
app = Celery("app", broker="filesystem://", backend=f"file://{os.getcwd()}")
app.conf.update(
    broker_transport_options={**folders, "polling_interval": 0.05},
    broker_connection_retry_on_startup=True,
    worker_max_tasks_per_child=1,
)
@app.task(name="answer")
def answer(): return f"{os.getpid()} {ask()}"
if __name__ != "__main__":
    ask()
else:
    print(answer())
    options = ["--pool=prefork", "--concurrency=1", "--loglevel=ERROR", "--without-mingle", "--without-gossip"]
    command = [sys.executable, "-m", "celery", "--quiet", "--app=app", "worker", *options]
    worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    for _ in range(2):
        print(answer.delay().get(timeout=60, interval=0.05))
    # The second task was answered because the first one's process had ended. Celery's own end takes it five seconds.
    os.killpg(worker.pid, signal.SIGKILL)
""",
    "multiprocessing": """
import multiprocessing
def answer(_): return f"{os.getpid()} {ask()}"
if __name__ == "__main__":
    print(answer(0))
    for method in ("spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        context.set_forkserver_preload(["__main__"])
        with context.Pool(1) as pool:
            print(*pool.map(answer, [0]))
            pool.close()
            pool.join()
""",
}


SERVERS = {"gunicorn": (GUNICORN, WSGI, 2), "uvicorn": (UVICORN, ASGI, 1)}


@pytest.mark.parametrize(("command", "app", "requests"), SERVERS.values(), ids=SERVERS)
def test_a_servers_workers(command: str, app: str, requests: int, tmp_path: Path) -> None:
    """Each worker of gunicorn ends after one request, and the next one answers the second."""
    with serving(command, CLIENT + app, tmp_path) as address:
        said = [httpx.get(address, timeout=60, trust_env=False).text.split(" ", 1) for _ in range(requests)]
    assert all("Paris" in text for _, text in said)
    assert len({pid for pid, _ in said}) == len(said)


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_processes(program: str, tmp_path: Path) -> None:
    """The starting process asks, and so does each of the others, which ends by itself."""
    (tmp_path / "app.py").write_text(CLIENT + program, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "app.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=90)
    said = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert len({pid for pid, _ in said}) == 3, done.stderr
    assert all("Paris" in text for _, text in said)
