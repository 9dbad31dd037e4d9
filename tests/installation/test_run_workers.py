"""Worker processes below `llm-adapter run`, of programs that know the SDK alone: gunicorn, uvicorn and Celery."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from workers import GUNICORN, UVICORN, serving

from llm_adapter.testing import Fake
from llm_adapter.testing import serving as faking

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")

CALL = """
import os
import openai
call = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
"""
# The client is made where --preload imports the program: in the master, which forks then.
WSGI = """
client = openai.OpenAI()
def application(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    return [f"{os.getpid()} {client.chat.completions.create(**call).choices[0].message.content}".encode()]
"""
ASGI = """
client = openai.AsyncOpenAI()
async def application(scope, receive, send):
    said = (await client.chat.completions.create(**call)).choices[0].message.content
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{os.getpid()} {said}".encode()})
"""
CELERY = """
from celery import Celery
folders = dict.fromkeys(("data_folder_in", "data_folder_out", "control_folder"), os.path.dirname(__file__))
app = Celery("app", broker="filesystem://", backend=f"file://{os.path.dirname(__file__)}")
app.conf.update(broker_transport_options={**folders, "polling_interval": 0.05}, broker_connection_retry_on_startup=True)
client = openai.OpenAI()
@app.task(name="answer")
def answer(): return f"{os.getpid()} {client.chat.completions.create(**call).choices[0].message.content}"
"""
WORKER = "celery --quiet --app=app worker --pool=prefork --concurrency=1 --loglevel=ERROR --without-mingle"
RUN = ["-m", "llm_adapter", "run", "--profile", "local", "--"]
PROFILE = """
[profiles.local]
provider = "ollama"
host = "{}"
models = {{ "gpt-4o-mini" = "qwen3" }}
"""


@pytest.fixture
def ollama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    monkeypatch.setenv("LLM_ADAPTER_REPORT", str(tmp_path / "calls.jsonl"))
    with faking("ollama@0.32", models=["qwen3"]) as fake:
        fake.script("from here", repeat=True)
        (tmp_path / "llm_adapter.toml").write_text(PROFILE.format(fake.url), encoding="utf-8")
        yield fake


def calls_told(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "calls.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["calls"]]


@pytest.mark.parametrize(("command", "app"), [(GUNICORN, WSGI), (UVICORN, ASGI)], ids=["gunicorn", "uvicorn"])
def test_a_servers_workers(command: str, app: str, ollama: Fake, tmp_path: Path) -> None:
    """Of gunicorn, each worker ends after a request; the report has the calls of each, with where they went."""
    with serving(command, CALL + app, tmp_path, under=RUN) as address:
        said = [httpx.get(address, timeout=60, trust_env=False).text.split(" ", 1) for _ in range(2)]
    assert [text for _, text in said] == ["from here"] * 2
    told = calls_told(tmp_path)
    assert [str(one["process"]) for one in told] == [pid for pid, _ in said]
    assert {one["host"] for one in told} == {ollama.url.removeprefix("http://")}


def test_the_workers_of_celery(ollama: Fake, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(CALL + CELERY, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))}
    command = [sys.executable, *RUN, "-m", *WORKER.split()]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, start_new_session=True) as worker:
        try:
            ask = "import app; print(app.answer.delay().get(timeout=60, interval=0.05))"
            asking = [sys.executable, "-c", ask]
            done = subprocess.run(
                asking, cwd=tmp_path, env={**env, "OPENAI_API_KEY": "k"}, capture_output=True, text=True, timeout=90
            )
        finally:
            os.killpg(worker.pid, 9)  # its own end takes five seconds
    pid, _, text = done.stdout.strip().partition(" ")
    assert (text, pid.isdigit(), pid != str(worker.pid)) == ("from here", True, True), done.stderr
    assert [one["model_used"] for one in calls_told(tmp_path)] == ["qwen3"]
