"""Who may ask: hosts, origins and keys, also in the application of another framework."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from llm_adapter import Settings
from llm_adapter.serve import gateway
from llm_adapter.serve.access import access

KEY = {"authorization": "Bearer s3cret"}
PAGE, OTHER = "https://app.example", "https://evil.example"


def answered(method: str = "GET", path: str = "/v1/nothing/api", headers: Any = None, **options: Any) -> httpx.Response:
    """What a gateway answers that is given these options; it asks no server: 404 or 400 is an answer, too."""

    async def ask() -> httpx.Response:
        app = gateway(settings=Settings(provider="embedded"), **options)
        given = {"host": "127.0.0.1:8080", **(headers or {})}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            return await client.request(method, path, headers=given)

    return asyncio.run(ask())


HOSTS = {
    "localhost": True,
    "localhost:8080": True,
    "LOCALHOST": True,
    "127.0.0.1": True,
    "127.1.2.3:80": True,
    "[::1]:8080": True,
    "app.localhost": True,
    "evil.example": False,
    "localhost.evil.example": False,
    "127.0.0.1.evil.example": False,
    "192.168.0.7": False,
    "": False,
    "localhost@evil.example": False,
    "[::1": False,
}


@pytest.mark.parametrize("host", HOSTS)
def test_hosts_without_a_key(host: str) -> None:
    assert (answered(path="/healthz", headers={"host": host}).status_code == 200) is HOSTS[host]


def test_a_host_that_is_named() -> None:
    assert answered(path="/healthz", headers={"host": "Box:8080"}, allow_hosts=["box"]).status_code == 200
    assert answered(path="/healthz", headers={"host": "evil.example"}, allow_hosts=["*"]).status_code == 200


def test_any_host_with_a_key() -> None:
    assert answered(path="/metrics", headers={"host": "gw.example", **KEY}, key="s3cret").status_code == 200


KEYS = {
    "none": ({}, 401),
    "another": ({"authorization": "Bearer other"}, 401),
    "of another scheme": ({"authorization": "Basic s3cret"}, 401),
    "no ASCII": ({"authorization": "Bearer \u00e9".encode()}, 401),
    "the key": (KEY, 404),
    "the key, in other words": ({"authorization": "bearer  s3cret"}, 404),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys(kind: str) -> None:
    headers, status = KEYS[kind]
    reply = answered(path="/v1/api/tags", headers=headers, key="s3cret")
    assert reply.status_code == status
    assert "s3cret" not in reply.text


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/metrics", 401)])
def test_what_needs_no_key(path: str, status: int) -> None:
    assert answered(path=path, key="s3cret").status_code == status


def test_the_key_is_in_no_repr() -> None:
    assert "s3cret" not in repr(access("s3cret", (), ()))


def test_an_empty_key_is_none() -> None:
    with pytest.raises(ValueError, match="key is empty"):
        access(" ", (), ())


@pytest.mark.parametrize("key", [None, "s3cret"])
@pytest.mark.parametrize(("origin", "status"), [(PAGE, 200), (OTHER, 403), ("null", 403)])
def test_pages(origin: str, status: int, key: str | None) -> None:
    headers = {"origin": origin, **KEY}
    reply = answered(path="/metrics", headers=headers, allow_origins=[f"{PAGE}/"], key=key)
    assert reply.status_code == status
    assert reply.headers.get("access-control-allow-origin") == (PAGE if status == 200 else None)


def test_a_page_that_does_not_say_which() -> None:
    assert answered(path="/metrics", headers={"sec-fetch-site": "cross-site"}).status_code == 403


@pytest.mark.parametrize(("origin", "status"), [(PAGE, 200), (OTHER, 403)])
def test_the_question_before(origin: str, status: int) -> None:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    reply = answered("OPTIONS", "/v1/chat/completions", headers, allow_origins=[PAGE], key="s3cret")
    assert reply.status_code == status


def test_within_another_application() -> None:
    async def ask() -> list[int]:
        app = Starlette(routes=[Mount("/llm", gateway(settings=Settings(provider="embedded"), key="s3cret"))])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://site.example") as client:
            paths = ("/llm/healthz", "/llm/metrics", "/llm/v1/api/tags")
            return [(await client.get(path, headers=KEY)).status_code for path in paths] + [
                (await client.get("/llm/metrics")).status_code
            ]

    assert asyncio.run(ask()) == [200, 200, 404, 401]
