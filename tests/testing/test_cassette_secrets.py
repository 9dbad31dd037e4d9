"""Secrets in every spelling that calls, tools and replies have for them; and what only looks like one."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from llm_adapter.testing.cassettes.scrubbing import Scrubber
from llm_adapter.testing.cassettes.tape import Line, RecordedRequest

KEY = "sk-proj-abcdefgh12345678"
OWN = 'our "own" /secret+1'  # of the environment; every encoding writes it differently
PASSWORD = "hunter2!"
BASIC = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
NESTED = json.dumps({"headers": {"X-Api-Key": PASSWORD}, "user": "me"})

# A value somewhere in a call or a reply, with a secret in it.
SECRETS: dict[str, Any] = {
    "a key": f"use {KEY}.",
    "a key in an address": f"https://host.test/v1?q=1&model=m&key={KEY}",
    "percent-encoded": f"https://host.test/{KEY.replace('-', '%2D')}/x",
    "percent-encoded twice": f"q={quote(quote(KEY.replace('-', '%2d')))}",
    "a parameter with an encoded name": f"https://host.test/?api%5Fkey={PASSWORD}",
    "a parameter of Amazon's": f"https://s3.test/?X-Amz-Signature={PASSWORD}",
    "a password in an address": f"postgres://me:{PASSWORD}@db.test/x",
    "a token in an address": "https://hunter2!hunter2!@git.test/x.git",
    "Bearer in capitals": f"BEARER {KEY}",
    "Basic": f"Authorization: Basic {BASIC}",
    "Basic of curl": f"curl -u me:{PASSWORD} https://x.test",
    "a header of curl": f"curl -H 'X-API-KEY: {PASSWORD}' https://x.test",
    "a cookie": f"Cookie: theme=dark; session={PASSWORD}",
    "a variable": f"export OPENAI_API_KEY={PASSWORD}",
    "JSON in a text": NESTED,
    "JSON in JSON in a text": json.dumps({"arguments": NESTED}),
    "Python in a text": f"{{'password': '{PASSWORD}'}}",
    "a field": {"apiKey": PASSWORD},
    "a field with signs": {"X-Goog-Api-Key": PASSWORD, "AWS_SECRET_ACCESS_KEY": PASSWORD, "client secret": PASSWORD},
    "a field with a list": {"authorization": [PASSWORD]},
    "any header of a tool": {"tools": [{"type": "mcp", "headers": {"My-Auth": PASSWORD, "X-Tenant-Key": PASSWORD}}]},
    "a pair": [{"name": "Authorization", "value": PASSWORD}],
    "the environment's": f"so {OWN}",
    "the environment's in JSON": json.dumps({"said": OWN}),
    "the environment's in an address": f"https://x.test/{quote(OWN, safe='')}",
    "the environment's in base64": base64.b64encode(OWN.encode()).decode(),
    "of other makers": "xai-" + "a1" * 12 + " r8_" + "b2" * 12 + " ASIA" + "C3" * 8,
}
LEAKS = (KEY, "abcdefgh12345678", PASSWORD, "hunter2", OWN, quote(OWN, safe=""), BASIC, "a1a1", "b2b2", "C3C3")


@pytest.mark.parametrize("where", ["request", "query", "reply", "events"])
@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_is_left(name: str, where: str) -> None:
    value = SECRETS[name]
    scrubber = Scrubber({"OUR_API_KEY_2": OWN})
    given = {"x": value} if where != "events" else [{"x": value}]
    line = scrubber.clean_line(Line("POST", "/x", **{where: given}))
    text = line.to_json()
    assert "[scrubbed]" in text
    assert not [one for one in LEAKS if one in text or json.dumps(one)[1:-1] in text]
    assert base64.b64encode(OWN.encode()).decode() not in text
    assert scrubber.clean_line(line) == line
    if where == "request":  # what a test asks is compared as it was recorded
        assert scrubber.clean_request(RecordedRequest("POST", "/x", given)) == line.call


def test_arguments_stay_json() -> None:
    """The code under test reads them when they are played."""
    call = {"function": {"name": "fetch", "arguments": json.dumps({"url": "u", "headers": NESTED, "password": 'a"b'})}}
    line = Scrubber({}).clean_line(Line("POST", "/x", reply={"tool_calls": [call]}))
    arguments = json.loads(line.reply["tool_calls"][0]["function"]["arguments"])
    assert (arguments["url"], arguments["password"]) == ("u", "[scrubbed]")
    assert json.loads(arguments["headers"]) == {"headers": {"X-Api-Key": "[scrubbed]"}, "user": "me"}


def test_arguments_in_pieces() -> None:
    whole = json.dumps({"url": "u", "password": PASSWORD, "page": 2})
    for size in (1, 3, 7):
        pieces = [whole[place : place + size] for place in range(0, len(whole), size)]
        line = Scrubber({}).clean_line(Line("POST", "/x", events=[{"arguments": piece} for piece in pieces]))
        assert line.events is not None
        played = json.loads("".join(event["arguments"] for event in line.events))
        assert played == {"url": "u", "password": "[scrubbed]", "page": 2}


def test_a_path_is_scrubbed() -> None:
    assert Scrubber({}).clean_line(Line("GET", f"/files/{KEY}")).path == "/files/[scrubbed]"


KEPT: dict[str, Any] = {
    "a schema": {"properties": {"password": {"type": "string"}}, "required": ["password", "user"]},
    "a filter": {"filter": {"key": "genre", "value": "jazz"}, "max_tokens": 4, "token": "word"},
    "prose": "basic understanding; authorization is required: password resets, keys and tokens",
    "code": 'API_KEY = os.environ["OPENAI_API_KEY"]; MAX_TOKEN = 4096',
    "an address": "https://host.test/a%20b?page=2&q=a%2Fb ssh://git@host.test",
    "a header of another kind": "Content-Type: application/json",
}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_no_secret_stays(name: str) -> None:
    assert Scrubber({"SHORT_TOKEN": "true"}).clean_line(Line("POST", "/x", request=KEPT[name])).request == KEPT[name]
