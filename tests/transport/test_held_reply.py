"""A response that holds its JSON is the response that would have been made of its bytes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from drivers import HTTPX

from llm_adapter.transport.held_reply import held_json, held_response

VALUE = {"id": "c1", "text": "Grüße \N{SNOWMAN} \ud83d", "numbers": [1, 0.5]}
HEADERS = [("content-type", "application/json"), ("x-a", "1")]


@pytest.fixture(params=[HTTPX, httpx], ids=["of the SDK", "httpx"])
def http(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def held(http: Any) -> Any:
    return held_response(http, VALUE, headers=HEADERS, request=http.Request("POST", "http://a.test/b"))


def test_it_is_a_response_that_was_read(http: Any, held: Any) -> None:
    assert isinstance(held, http.Response)
    assert (held.status_code, held.is_closed, held.is_stream_consumed) == (200, True, True)
    assert held.raise_for_status() is held
    assert held.headers.multi_items() == HEADERS
    assert held_json(held) is VALUE
    assert held_json(http.Response(200)) is None


def test_its_bytes(held: Any) -> None:
    assert held.json() == json.loads(held.content) == VALUE
    assert held.text == held.content.decode()
    assert held.read() == asyncio.run(held.aread()) == held.content
    assert b"".join(held.iter_bytes()) == held.content
    assert "".join(held.iter_text()) == "".join(held.iter_lines()) == held.text
    held.close()


def test_its_bytes_are_written_once(held: Any) -> None:
    assert held.content is held.content
