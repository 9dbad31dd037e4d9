"""Addresses out of messages: public ones only, the checked one only, and never for ever."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web import PNG, Web, answer, web

from llm_adapter.provider import Fetch, Rejected
from llm_adapter.transport.fetch.addresses import is_public
from llm_adapter.transport.fetch.fetcher import (
    Fetcher,
    FetchError,
    Limits,
    fetch_target,
    resolved_addresses,
    url_without_secrets,
)

__all__ = ["web"]  # the fixture

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "203.0.114.1",
    "172.32.0.1",
    "2606:4700::1111",
    "64:ff9b::808:808",  # NAT64 of 8.8.8.8: how a network with IPv6 alone reaches it
]
NOT_PUBLIC = [
    "127.0.0.1",
    "127.255.0.1",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",  # AWS, GCP, Azure: metadata
    "100.64.0.1",
    "100.100.100.200",  # Alibaba: metadata
    "192.0.0.192",  # Oracle: metadata
    "168.63.129.16",  # Azure: wire server
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",  # IPv4-compatible
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",  # no resolver gives it, and what it reaches is the system's affair
    "64:ff9b::7f00:1",  # NAT64 of 127.0.0.1
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2001::1",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::1",  # 6to4 of 127.0.0.1
    "2002:808:808::1",  # and of 8.8.8.8: nobody's web server is there
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",  # AWS: metadata
    "fe80::1",
    "fe80::1%1",
    "2606:4700::1%1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "not an address",
    "",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    """Hosts of the internet."""
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_not_public(address: str) -> None:
    """Everything else, in whatever disguise."""
    assert not is_public(address)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "１２７.0.0.1"])
def test_odd_spellings_of_this_machine(host: str) -> None:
    """However a number is written, what it resolves to is judged."""
    with pytest.raises(FetchError, match="not on the public internet"):
        Fetcher()(f"http://{host}/a.png")


WRONG_URLS = {
    "ftp://a.test/b": "only http and https",
    "file:///etc/passwd": "only http and https",
    "gopher://a.test/": "only http and https",
    "http://": "no valid host",
    "http:///b": "no valid host",
    "http://u:p@a.test/b": "user's name",
    "http://a.test\\@127.0.0.1/b": "user's name",
    "http://@a.test/b": "user's name",
    "http://a.test:22/b": "port 22",
    "http://a.test:99999/b": "not a valid URL",
    "http://[::1/b": "not a valid URL",
    f"http://{'a' * 70}.test/b": "not a valid URL",
    "http://a test/b": "no valid host",
    "http://fe80::1%25eth0/b": "valid",
}


@pytest.mark.parametrize("url", WRONG_URLS)
def test_urls_that_are_not_asked_for(url: str) -> None:
    """A URL is refused before anything is resolved."""
    fetcher = Fetcher(resolve=lambda host, port: pytest.fail("resolved"))
    with pytest.raises(FetchError, match=WRONG_URLS[url]):
        fetcher(url)


def test_a_url_in_its_parts() -> None:
    """Odd characters are quoted, names are in their ASCII form, the fragment stays here."""
    goal = fetch_target("HTTPS://Bücher.TEST./ä b?q=ü&r=%20#f")
    assert goal == ("https", "xn--bcher-kva.test", 443, "/%C3%A4%20b?q=%C3%BC&r=%20", False)
    assert fetch_target("http://a.test?x=1").path == "/?x=1"
    assert fetch_target("http://a.test/b\r\nX-Evil: 1").path == "/bX-Evil:%201"


@given(st.text() | st.text().map("http://".__add__) | st.from_regex(r"https?://[^/]*/\S*"))
def test_any_text_is_a_target_or_an_error(url: str) -> None:
    """Nothing that a message can hold gets further than its error; what does is safe to write into a request."""
    try:
        goal = fetch_target(url)
    except FetchError:
        assert url_without_secrets(url)
        return
    assert re.fullmatch(r"/?[!-~]*", goal.path)
    assert re.fullmatch(r"[a-z0-9._:-]+", goal.host)


@pytest.mark.parametrize(
    ("url", "hosts", "named"),
    [
        ("http://cdn.internal/a", ("CDN.internal",), True),
        ("http://cdn.internal:9000/a", ("cdn.internal:9000",), True),
        ("http://[::1]:9000/a", ("[::1]:9000",), True),
        ("http://cdn.internal/a", ("cdn.internal:9000",), False),
        ("http://x.cdn.internal/a", ("cdn.internal",), False),
    ],
)
def test_named_hosts(url: str, hosts: tuple[str, ...], named: bool) -> None:
    """A name is that host alone, at a web server's port or at the one that is named with it."""
    assert fetch_target(url, hosts).named is named


def test_a_named_host_at_another_port() -> None:
    """The name of a host opens no other of its ports."""
    with pytest.raises(FetchError, match="port 6379"):
        fetch_target("http://cdn.internal:6379/a", ("cdn.internal",))


def test_what_an_error_shows() -> None:
    """Neither the signature of a URL nor a password in it; and not a whole page of it."""
    assert url_without_secrets("https://u:p@a.test/b.png?X-Signature=s#f") == "'https://a.test/b.png'"
    assert len(url_without_secrets("https://a.test/" + "b" * 500)) < 120


class Names:
    """A resolver with a script: each name's answers, one a question; the last one stays."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): given for name, given in answers.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        given = self.answers.get(host, [["127.0.0.1"]])
        return given.pop(0) if len(given) > 1 else given[0]


def here(address: str) -> bool:
    """The tests' policy: this machine is the internet, 127.0.0.2 and the rest are not."""
    return address in ("127.0.0.1", "127.0.0.9")


def fetcher(names: Names | None = None, **limits: Any) -> Fetcher:
    return Fetcher(Limits(**limits, ports=PORTS), resolve=names or Names(), allowed=here)


# The tests' servers have ports that no web server has.
PORTS = frozenset(range(1024, 65536)) - {6379}


class TestFetcher:
    """A real server, a scripted resolver, and the policy `here`."""

    def test_an_image(self, web: Web) -> None:
        """The bytes; and nothing but what a GET needs goes along."""
        web.answers["/a.png"] = answer()
        reply = fetcher()(web.url())
        assert (reply.status, reply.body) == (200, PNG)
        sent = {name.lower() for name in web.seen[0]}
        assert sent == {"host", "accept", "accept-encoding", "user-agent", "connection"}
        assert web.seen[0]["Host"].startswith("img.test")

    @pytest.mark.parametrize("kind", ["application/octet-stream", "binary/octet-stream", "IMAGE/PNG; x=y", None])
    def test_types_that_may_be_images(self, web: Web, kind: str | None) -> None:
        """Object stores give no type; what it is, its bytes say later."""
        web.answers["/a.png"] = answer(Content_Type=kind)
        assert fetcher()(web.url()).body == PNG

    @pytest.mark.parametrize("length", [None, len(PNG)])
    def test_chunked_and_closed(self, web: Web, length: int | None) -> None:
        """A reply without a length ends with the connection."""
        web.answers["/a.png"] = answer(Content_Length=length)
        assert fetcher()(web.url()).body == PNG

    REFUSED: Any = {  # noqa: RUF012 - a table
        "status": (answer(403, b"the secret"), "answered 403"),
        "type": (answer(body=b"<html>the secret", Content_Type="text/html"), "type 'text/html'"),
        "declared size": (answer(Content_Length=10_000), "larger than 100 bytes"),
        "real size": (answer(body=PNG * 10, Content_Length=None), "larger than 100 bytes"),
        "cut": (answer(Content_Length=90), "before it was complete"),
        "compressed": (answer(Content_Encoding="gzip"), "compressed"),
        "no HTTP": (lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH the secret\r\n"), "connection failed"),
        "nothing": (lambda handler: None, "connection failed"),
        "loop": (answer(302, b"", Location="/a.png"), "redirects more than 3 times"),
        "to a file": (answer(302, b"", Location="file:///etc/passwd"), "only http and https"),
        "to a port": (answer(302, b"", Location="http://img.test:6379/"), "port 6379"),
        "to this machine": (answer(302, b"", Location="http://local.test:8080/"), "not on the public internet"),
        "to its metadata": (
            answer(301, b"", Location="http://169.254.169.254:8080/latest"),
            "not on the public internet",
        ),
    }

    @pytest.mark.parametrize("name", REFUSED)
    def test_refused(self, web: Web, name: str) -> None:
        """What is not fetched says why, and not a word of what was there."""
        web.answers["/a.png"], reason = self.REFUSED[name]
        names = Names(local_test=[["127.0.0.2"]])
        names.answers["169.254.169.254"] = [["169.254.169.254"]]
        with pytest.raises(FetchError, match=reason) as caught:
            fetcher(names, size=100)(web.url())
        assert "secret" not in str(caught.value)

    def test_redirects(self, web: Web) -> None:
        """Followed, each resolved and checked on its own."""
        web.answers["/a.png"] = answer(302, b"", Location="/b.png")
        web.answers["/b.png"] = answer(307, b"", Location=web.url("/c.png", "other.test"))
        web.answers["/c.png"] = answer(body=PNG + b"c")
        names = Names()
        assert fetcher(names)(web.url()).body == PNG + b"c"
        assert names.asked == ["img.test", "img.test", "other.test"]

    def test_a_name_that_changes_its_mind(self, web: Web) -> None:
        """DNS rebinding: the name is resolved once, and the connection goes to what was checked."""
        web.answers["/a.png"] = answer()
        names = Names(img_test=[["127.0.0.1"], ["10.0.0.1"]])
        assert fetcher(names)(web.url()).body == PNG
        assert names.asked == ["img.test"]

    @pytest.mark.parametrize("found", [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]])
    def test_one_private_address_among_others(self, web: Web, found: list[str]) -> None:
        """All of a name's addresses have to be public."""
        with pytest.raises(FetchError, match="not on the public internet"):
            fetcher(Names(img_test=[found]))(web.url())
        assert web.seen == []

    def test_the_next_address(self, web: Web) -> None:
        """An address that does not answer is not the last word."""
        web.answers["/a.png"] = answer()
        assert fetcher(Names(img_test=[["127.0.0.9", "127.0.0.1"]]))(web.url()).body == PNG

    def test_a_name_without_an_address(self, web: Web) -> None:
        """A name that is not there."""

        def nothing(host: str, port: int) -> list[str]:
            raise OSError

        with pytest.raises(FetchError, match="cannot be resolved"):
            Fetcher(Limits(ports=PORTS), resolve=nothing, allowed=here)(web.url())
        with pytest.raises(FetchError, match="no address"):
            fetcher(Names(img_test=[[]]))(web.url())

    def test_slow_ends(self, web: Web) -> None:
        """A server that sends a byte now and then meets the limit of the whole, in its head as in its body."""

        def slow(begin: bytes) -> Callable[[Any], None]:
            def send(handler: Any) -> None:
                handler.wfile.write(begin)
                for _ in range(100):
                    handler.wfile.write(b"x")
                    time.sleep(0.02)

            return send

        for begin in (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"):
            web.answers["/a.png"] = slow(begin)
            started = time.monotonic()
            with pytest.raises(FetchError, match=r"more than 0\.2 seconds"):
                fetcher(seconds=0.2)(web.url())
            assert time.monotonic() - started < 1.5

    def test_slow_names(self, web: Web) -> None:
        """The resolver's time counts too, and it is not waited for."""
        over = threading.Event()
        with pytest.raises(FetchError, match=r"more than 0\.1 seconds"):
            Fetcher(Limits(seconds=0.1, ports=PORTS), resolve=lambda *_: over.wait(5) and [], allowed=here)(web.url())
        over.set()

    def test_several(self, web: Web) -> None:
        """Side by side and in order; the first that fails is what is told, by the name that the SDK raises."""
        for name in ("a", "b", "c"):
            web.answers[f"/{name}"] = answer(body=PNG + name.encode())
        urls = tuple(web.url(f"/{name}") for name in ("a", "b", "c"))
        assert [reply.body[-1:] for reply in fetcher().all(Fetch(urls))] == [b"a", b"b", b"c"]
        web.answers["/b"] = answer(404)
        with pytest.raises(Rejected, match=r"/b' was not fetched: the server answered 404") as caught:
            fetcher().all(Fetch(urls))
        assert (caught.value.status, caught.value.error["code"]) == (400, "image_fetch_failed")


def test_a_named_host(web: Web) -> None:
    """What the settings name may be a private address, at any port, with the policy of the internet."""
    web.answers["/a.png"] = answer()
    assert Fetcher()(web.url(host="127.0.0.1"), web.hosts).body == PNG


def test_the_environments_proxy_is_not_used(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve the name again, and knows the caller."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    web.answers["/a.png"] = answer()
    assert Fetcher()(web.url(host="127.0.0.1"), web.hosts).body == PNG


def test_the_systems_resolver() -> None:
    """Each address once."""
    assert resolved_addresses("127.0.0.1", 80) == ["127.0.0.1"]


@pytest.fixture
def secure() -> Iterator[tuple[Web, Any]]:
    """A server whose certificate is for img.test, and who trusts it."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("img.test").configure_cert(context)
    web = Web(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    yield web, trusting
    web.server.shutdown()
    web.server.server_close()


def test_tls(secure: tuple[Web, Any]) -> None:
    """The connection goes to the address, and the certificate has to be the name's. Never down from https."""
    web, trusting = secure
    web.answers["/a.png"] = answer()
    web.answers["/down"] = answer(302, b"", Location="http://img.test/a.png")
    hosts = (f"img.test:{web.port}", f"other.test:{web.port}")
    ours = Fetcher(resolve=Names(), context=lambda: trusting)
    assert ours(web.url(scheme="https"), hosts).body == PNG
    with pytest.raises(FetchError, match="certificate is not good"):
        ours(web.url(scheme="https", host="other.test"), hosts)
    with pytest.raises(FetchError, match="certificate is not good"):
        Fetcher(resolve=Names())(web.url(scheme="https"), hosts)
    with pytest.raises(FetchError, match="from https to something less"):
        ours(web.url("/down", scheme="https"), hosts)
