"""`llm-adapter chat`: one question, or a conversation at a terminal."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from llm_adapter.cli.conversation import Conversation
from llm_adapter.cli.defaults import chat_model
from llm_adapter.cli.options import AsJson, AskedModel, Profile
from llm_adapter.cli.reply import print_reply
from llm_adapter.cli.screen import console, print_json
from llm_adapter.client.clients import OpenAI


def chat(
    message: Annotated[
        list[str] | None,
        typer.Argument(
            help="The message. Text that is piped in is added below it; without either, a conversation begins."
        ),
    ] = None,
    model: AskedModel = None,
    system: Annotated[str | None, typer.Option(help="The system message.")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="The sampling temperature; by default the model's own.")
    ] = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Send one message to a model, or hold a conversation at a terminal. Text that is piped in is read."""
    words = " ".join(message or ())
    piped = "" if sys.stdin is None or sys.stdin.isatty() else _piped()
    text = "\n\n".join(part for part in (words, piped) if part)
    talk = not text and sys.stdin is not None and sys.stdin.isatty()
    if not (text or talk) or (talk and as_json):
        raise typer.BadParameter("give a message, as an argument or piped in", param_hint="MESSAGE")
    options: dict[str, Any] = {} if temperature is None else {"temperature": temperature}
    with OpenAI(profile=profile) as client:
        asked = model or chat_model(client)
        conversation = Conversation(client, asked, system, options)
        if talk:
            conversation.run()
        elif as_json:
            print_json(client.chat.completions.create(**conversation.request(text)).to_dict(mode="json"))
        else:
            print_reply(client, conversation.request(text), console())


def _piped() -> str:
    """Standard input, whatever its encoding; a terminal's own would raise on bytes that it does not know."""
    return sys.stdin.buffer.read().decode("utf-8", "replace").strip()
