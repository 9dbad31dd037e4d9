"""A web service on FastAPI that streams a model's words to its visitors. One who leaves stops the model.

pip install "llm_adapter[embedded]" fastapi uvicorn
LLM_ADAPTER_PROVIDER=embedded uvicorn fastapi_app:app
curl -N "http://127.0.0.1:8000/ask?question=Hello"
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from llm_adapter import AsyncOpenAI


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for the whole service: it keeps the connections, and waits for a free slot at a busy server."""
    async with AsyncOpenAI() as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/ask")
async def ask(question: str, request: Request) -> StreamingResponse:
    client: AsyncOpenAI = request.app.state.client
    # The call is made here and not in the generator: an error is then a status, and not half a reply.
    stream = await client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": question}], stream=True
    )

    async def words() -> AsyncIterator[str]:
        async with stream:  # FastAPI cancels the generator when the visitor leaves; this closes the call
            async for chunk in stream:
                if chunk.choices and (word := chunk.choices[0].delta.content):
                    yield word

    return StreamingResponse(words(), media_type="text/plain; charset=utf-8")
