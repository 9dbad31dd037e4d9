"""What an actor of a Ray cluster does; that Ray hands the requests out is Ray's own affair."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from llm_adapter import Settings
from llm_adapter.batch.ray import Actor, _blocks, without_secrets
from llm_adapter.cli.batch import client_of


def asked(number: int, **body: Any) -> str:
    said = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **body}
    return json.dumps({"number": number, "custom_id": f"c{number}", "url": "/v1/chat/completions", "body": said})


def test_an_actor_answers() -> None:
    actor = Actor({"provider": "embedded"}, 0, client_of)
    answers = actor({"item": [asked(1), asked(2, modalities=["audio"])]})["item"]
    (one, status, body, _), (two, refused, error, _) = map(json.loads, answers)
    assert (one, status, body["object"]) == (1, 200, "chat.completion")
    assert (two, refused, error["error"]["param"]) == (2, 400, "modalities")


def test_no_key_is_sent_to_actors() -> None:
    settings = Settings(
        provider="openai",
        base_url="http://gpu:8000/v1",
        api_key=SecretStr("s3cret"),
        headers={"X-Token": SecretStr("s3cret")},
    )
    fields = without_secrets(settings)
    assert fields.keys() == {"provider", "base_url"}
    assert "s3cret" not in repr(list(fields.values()))


@pytest.mark.parametrize(("count", "actors", "blocks"), [(1, 4, 1), (100, 2, 3), (10_000, 2, 312)])
def test_each_actor_has_work(count: int, actors: int, blocks: int) -> None:
    assert _blocks(count, actors) == blocks
