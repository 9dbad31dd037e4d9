"""A worker that takes questions from a queue, and ends when it is told to without losing one.

The first SIGTERM or Ctrl-C lets it finish what it works on, for some seconds at most. What is not finished then is
cancelled, which stops the model too, and is given back to the queue.

    printf 'Hello\nHow are you?\n' | LLM_ADAPTER_PROVIDER=embedded python worker.py
"""

import asyncio
import signal
import sys
from collections import deque

from llm_adapter import AsyncOpenAI

GRACE = 10.0  # seconds


class Worker:
    """`jobs` is what is left to do; `answers` is what was done."""

    def __init__(self, client: AsyncOpenAI, jobs: deque[str], grace: float = GRACE) -> None:
        self.client = client
        self.jobs = jobs
        self.answers: list[tuple[str, str]] = []
        self._grace = grace
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Take no further job."""
        self._stop.set()

    async def run(self) -> None:
        while self.jobs and not self._stop.is_set():
            job = self.jobs.popleft()
            answer = asyncio.ensure_future(self._answer(job))
            stopped = asyncio.ensure_future(self._stop.wait())
            await asyncio.wait({answer, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            await asyncio.wait({answer}, timeout=self._grace)
            if answer.done():
                self.answers.append((job, answer.result()))
            else:
                answer.cancel()
                await asyncio.gather(answer, return_exceptions=True)
                self.jobs.appendleft(job)

    async def _answer(self, job: str) -> str:
        reply = await self.client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": job}]
        )
        return reply.choices[0].message.content or ""


async def main() -> None:
    async with AsyncOpenAI() as client:
        worker = Worker(client, deque(line.strip() for line in sys.stdin if line.strip()))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, worker.stop)
        await worker.run()
    for job, answer in worker.answers:
        print(f"{job}\t{answer}")
    for job in worker.jobs:
        print(f"left: {job}", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main())
