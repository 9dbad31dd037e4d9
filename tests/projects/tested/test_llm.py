"""Tests that mock what the SDK does."""

from unittest.mock import AsyncMock, MagicMock, patch

import httpx
import openai
import pytest
import respx  # expect: http-mock respx

URL = "https://api.openai.com/v1/chat/completions"


@pytest.fixture
def client():
    return openai.OpenAI(api_key="test")  # expect: client OpenAI; hard-coded-key api_key


@respx.mock
def test_answer(client):
    respx.post(URL).mock(return_value=httpx.Response(200, json={"model": "gpt-4o", "choices": []}))
    client.chat.completions.create(model="gpt-4o", messages=HI)  # expect: call chat.completions.create; unmapped-model gpt-4o


@patch("openai.OpenAI")  # expect: patched-name openai.OpenAI
def test_patched(fake):
    mock = MagicMock()
    mock.chat.completions.create = AsyncMock()
    mock.chat.completions.create(model="gpt-4o-mini", messages=HI)
    mock.chat.completions.create.assert_called_once()


@pytest.mark.vcr  # expect: http-mock vcrpy
def test_recorded(httpx_mock):  # expect: http-mock pytest-httpx
    pass
