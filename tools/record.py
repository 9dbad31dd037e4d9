"""Records a server: sends the requests of a folder of recordings again, and writes down what this server answers.

    python tools/record.py --like tests/recordings/ollama-0.32.15 --to tests/recordings/ollama-0.34.0

Each file holds one wish, as requests of the native API and of `/v1`; tests/recordings/README.md describes the form.
Some of the requests create and delete models, so the server must be one that was started for this.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import httpx

SIDES = ("native", "v1")
TIMEOUT = 600.0  # seconds: the first request waits for the model to be loaded


def recorded(client: httpx.Client, exchange: dict[str, Any]) -> dict[str, Any]:
    """The exchange with this server's answer, whatever its status is."""
    reply = client.request(exchange["method"], exchange["path"], json=exchange["request"])
    kind = reply.headers.get("Content-Type", "")
    return {**exchange, "status": reply.status_code, "content_type": kind, "body": reply.text}


def record(like: Path, to: Path, server: str) -> list[Path]:
    """Writes a file for each one of `like`, and gives the paths of the new ones.

    server: the root of its address, without /v1. Raises `httpx.TransportError` where it cannot be reached.
    """
    to.mkdir(parents=True, exist_ok=True)
    written = []
    with httpx.Client(base_url=server, timeout=TIMEOUT, trust_env=False) as client:
        for file in sorted(like.glob("*.json")):
            recording = json.loads(file.read_text("utf-8")) | {"server": to.name.replace("-", " ", 1)}
            for side in SIDES:
                if recording.get(side):
                    recording[side] = [recorded(client, exchange) for exchange in recording[side]]
            written.append(to / file.name)
            written[-1].write_text(json.dumps(recording, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--like", type=Path, required=True, help="a folder of recordings, whose requests are sent")
    parser.add_argument("--to", type=Path, required=True, help="the folder that is written: its name and version")
    parser.add_argument("--server", default="http://127.0.0.1:11434", help="its root, without /v1 (%(default)s)")
    given = parser.parse_args()
    print(f"{len(record(given.like, given.to, given.server))} files written to {given.to}")


if __name__ == "__main__":
    main()
