"""Many calls through `llm-adapter serve`, and what its process has grown by: memory, open files, threads.

    python benchmarks/gateway.py [--calls 100000] [--seconds 300]
    python benchmarks/gateway.py --first-token 500

Sixteen callers, half of them streamed, against a fake Ollama. It ends with the calls or with the time. --first-token
measures how much later a stream's first token comes through the gateway than by our client, call by call in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import openai

import llm_adapter
from llm_adapter.testing import serving, text

CALLERS = 16
PORT = 18601
HI: list[Any] = [{"role": "user", "content": "Hello"}]


def size(process: int) -> tuple[float, int, int]:
    """Its memory in MB, open files and threads."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    memory = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024
    return memory, len(os.listdir(f"/proc/{process}/fd")), len(os.listdir(f"/proc/{process}/task"))


async def call(client: openai.AsyncOpenAI, *, stream: bool) -> None:
    if not stream:
        await client.chat.completions.create(model="m", messages=HI)
        return
    async for _ in await client.chat.completions.create(model="m", messages=HI, stream=True):
        pass


async def run(process: int, calls: int, seconds: float) -> None:
    done, began = 0, time.monotonic()
    address = f"http://127.0.0.1:{PORT}/v1"
    async with openai.AsyncOpenAI(base_url=address, api_key="any", max_retries=0, timeout=60) as client:

        async def caller(number: int) -> None:
            nonlocal done
            while done < calls and time.monotonic() - began < seconds:
                done += 1
                count = done
                await call(client, stream=bool(number % 2))
                if count % (calls // 10) == 0:
                    memory, files, threads = size(process)
                    print(f"{count:7} calls: {memory:.1f} MB, {files} files, {threads} threads", flush=True)

        await asyncio.gather(*map(caller, range(CALLERS)))
    print(f"{done} calls in {time.monotonic() - began:.0f} s, none failed")


async def first_token(client: openai.AsyncOpenAI) -> float:
    """Milliseconds until it is there."""
    began = time.perf_counter()
    async with await client.chat.completions.create(model="m", messages=HI, stream=True) as chunks:
        async for _ in chunks:
            return (time.perf_counter() - began) * 1000
    raise AssertionError("a stream without a chunk")


async def compare(host: str, rounds: int) -> None:
    took: dict[str, list[float]] = {"by our client": [], "through the gateway": []}
    ours = llm_adapter.AsyncOpenAI(settings=llm_adapter.Settings(provider="ollama", host=host))
    through = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{PORT}/v1", api_key="any")
    async with ours, through:
        for _ in range(rounds):
            for name, client in zip(took, (ours, through), strict=True):
                took[name].append(await first_token(client))
    for name, times in took.items():
        print(f"first token {name}: median {statistics.median(times):.2f} ms")
    later = [one - other for other, one in zip(*took.values(), strict=True)]
    print(f"later through the gateway: median {statistics.median(later):.2f} ms of {rounds} pairs")


def _answer(asked: Any) -> Any:
    return text("Hello there")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--first-token", type=int, metavar="ROUNDS")
    given = parser.parse_args()
    with serving("ollama@0.32") as fake:
        fake.on(_answer)
        environ = {**os.environ, "LLM_ADAPTER_PROVIDER": "ollama", "LLM_ADAPTER_HOST": fake.url}
        command = [sys.executable, "-m", "llm_adapter", "serve", "--port", str(PORT)]
        gateway = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
        try:
            time.sleep(5)
            if given.first_token:
                asyncio.run(compare(fake.url, given.first_token))
                return
            asyncio.run(run(gateway.pid, given.calls, given.seconds))
        finally:
            gateway.terminate()
            gateway.wait()


if __name__ == "__main__":
    main()
