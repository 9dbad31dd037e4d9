"""A chat application for the terminal: streamed replies, a tool, a history that stays within a budget.

Written for the `openai` SDK; one import is all that changed, and `trim_messages` is the one thing more. A line that is
`/new` begins anew, an empty one ends. It runs on what is configured:

    LLM_ADAPTER_PROFILE=local python chat_app.py
    LLM_ADAPTER_PROVIDER=embedded python chat_app.py
"""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import openai

from llm_adapter import OpenAI, trim_messages  # was: from openai import OpenAI

MODEL = os.environ.get("CHAT_MODEL", "gpt-4o-mini")
BUDGET = 3000  # tokens of history that are sent: what is older is left out, and not cut by the server
SYSTEM: Any = {"role": "system", "content": "You are a friendly assistant. Be brief."}
GET_WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def get_weather(city: str) -> str:
    return "18 degrees and sunny"


TOOLS = {"get_weather": get_weather}


class Conversation:
    """What was said so far."""

    def __init__(self, client: OpenAI) -> None:
        self.client = client
        self.messages: list[Any] = [SYSTEM]

    def reply(self, text: str) -> Iterator[str]:
        """The pieces of the answer to what the user says, as they come. Tools are run on the way."""
        before = len(self.messages)
        self.messages.append({"role": "user", "content": text})
        try:
            while calls := (yield from self._turn()):
                self.messages += [self._result(call) for call in calls]
        except openai.OpenAIError:
            del self.messages[before:]  # half a turn would confuse the next one
            raise

    def _turn(self) -> Any:
        """One streamed reply: yields its text, returns its tool calls."""
        kept, _ = trim_messages(self.messages, budget=BUDGET)
        with self.client.chat.completions.stream(
            model=MODEL, messages=kept, tools=[GET_WEATHER], temperature=0
        ) as stream:
            for event in stream:
                if event.type == "content.delta":
                    yield event.delta
            message = stream.get_final_completion().choices[0].message
        self.messages.append(message.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True))
        return message.tool_calls

    def _result(self, call: Any) -> Any:
        """What the tool says. Its failure is said to the model, which may try again."""
        try:
            content = TOOLS[call.function.name](**json.loads(call.function.arguments))
        except (KeyError, TypeError, ValueError) as error:
            content = f"error: {error}"
        return {"role": "tool", "tool_call_id": call.id, "content": content}


def main(client: OpenAI) -> None:
    conversation = Conversation(client)
    while text := _user_input():
        if text == "/new":
            conversation = Conversation(client)
            continue
        try:
            for piece in conversation.reply(text):
                print(piece, end="", flush=True)
        except openai.OpenAIError as error:
            print(f"[{type(error).__name__}: {error}]", end="")
        print()


def _user_input() -> str:
    """What the user types; nothing at the end of the input."""
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return ""


if __name__ == "__main__":
    main(OpenAI())
