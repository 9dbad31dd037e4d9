"""No test reaches beyond this machine: pytest itself runs here, with the plugin, on tests that try."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import openai
import pytest

from llm_adapter.testing import network

OPENAI = "https://api.openai.com/v1/chat/completions"
# Addresses that are for documents (RFC 5737): were a request to leave, nothing would answer it.
ADDRESS = "https://203.0.113.1/v1/chat/completions"
ON_HTTPX2 = int(openai.__version__.split(".")[0]) >= 3

pytestmark = pytest.mark.filterwarnings("default")


LIBRARIES = {
    "httpx": "import httpx\nhttpx.post(URL, params={'key': 'SECRET'})",
    "httpx2": "import httpx2\nhttpx2.post(URL, params={'key': 'SECRET'})",
    "requests": "import requests\nrequests.post(URL, params={'key': 'SECRET'})",
    "urllib3": "import urllib3\nurllib3.PoolManager().request('POST', URL + '?key=SECRET')",
    "urllib": "import urllib.request\nurllib.request.urlopen(URL + '?key=SECRET', b'x')",
    "httpx, async": "import httpx\nasyncio.run(httpx.AsyncClient().post(URL, params={'key': 'SECRET'}))",
    "httpx2, async": "import httpx2\nasyncio.run(httpx2.AsyncClient().post(URL, params={'key': 'SECRET'}))",
    "httpx, trio": "import httpx, trio\ntrio.run(httpx.AsyncClient().post, URL)",
    "openai": "import openai\nopenai.OpenAI(api_key='SECRET', base_url=BASE).chat.completions.create(**HI)",
    "openai, async": "import openai\n"
    "asyncio.run(openai.AsyncOpenAI(api_key='SECRET', base_url=BASE).chat.completions.create(**HI))",
    "aiohttp": "import aiohttp\nasync def main():\n    async with aiohttp.ClientSession() as one:\n"
    "        async with one.post(URL, params={'key': 'SECRET'}):\n            pass\nasyncio.run(main())",
    "a task of its own": "import asyncio, urllib.parse\nasync def look_up():\n"
    "    await asyncio.get_running_loop().getaddrinfo(urllib.parse.urlsplit(URL).hostname, 443)\n"
    "async def main(url, method):\n    await asyncio.shield(asyncio.create_task(look_up()))\n"
    "asyncio.run(main(URL + '?key=SECRET', 'POST'))",
    "ours": "import llm_adapter\nllm_adapter.OpenAI(api_key='SECRET', base_url=BASE).chat.completions.create(**HI)",
}
HEAD = """
import asyncio, socket, threading
import pytest
HI = {{"model": "m", "messages": [{{"role": "user", "content": "Hi"}}]}}
URL = {url!r}
BASE = URL.removesuffix("/chat/completions")
"""


def module(body: str, url: str = OPENAI, arguments: str = "no_network", before: str = "") -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"{HEAD.format(url=url)}\n{before}\ndef test_it({arguments}):\n{lines}\n"


@pytest.mark.parametrize("where", [OPENAI, ADDRESS], ids=["name", "address"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_url_is_told(tried: Any, library: str, where: str) -> None:
    """The failure names the request, whichever library makes it, and no key that is in it."""
    # No variable here is called `url`: this frame is below those of the test that is run.
    for name in re.findall(r"import (\w+)(?:, (\w+))?", LIBRARIES[library])[0]:
        pytest.importorskip(name or "openai")
    result = tried(module(LIBRARIES[library], where))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [f"no network: *{where}", "  from test_the_url_is_told.py:*, in *", "Nothing was sent."]
    )
    # urllib has no method until it sends.
    assert "POST" in result.stdout.str() or library == "urllib"
    result.stdout.no_fnmatch_line("*SECRET*in*")


@pytest.mark.parametrize("library", ["httpx", "httpx2", "requests"])
def test_by_way_of_a_proxy(tried: Any, library: str) -> None:
    """The proxy is what would be connected to; the request is what was meant."""
    pytest.importorskip(library)
    before = "@pytest.fixture(autouse=True)\ndef proxy(monkeypatch):\n    " + (
        "monkeypatch.setenv('HTTPS_PROXY', 'http://me:SECRET@proxy.example.com:3128')\n"
    )
    result = tried(module(LIBRARIES[library], before=before))
    result.stdout.fnmatch_lines([f"no network: POST {OPENAI} by way of proxy.example.com:3128"])


def test_a_url_that_is_not_meant(tried: Any) -> None:
    """A variable of that name in the project's own code may hold any other address."""
    result = tried(module("url = 'https://example.org/other'\nsocket.create_connection(('example.com', 80))"))
    result.stdout.fnmatch_lines(["no network: example.com:80"])


SWALLOWED = {
    "except Exception": "try:\n    socket.create_connection(('example.com', 80))\nexcept Exception:\n    pass",
    "bare except": "try:\n    socket.create_connection(('example.com', 80))\nexcept:\n    pass",
    "a thread": "one = threading.Thread(target=socket.create_connection, args=[('example.com', 80)])\n"
    "one.start()\none.join()",
    "a task": "async def main():\n    one = asyncio.create_task(asyncio.open_connection('example.com', 80))\n"
    "    await asyncio.wait([one])\n    one.exception()\nasyncio.run(main())",
    "a name looked up": "try:\n    socket.gethostbyname('example.com')\nexcept BaseException:\n    pass",
    "a datagram": "with socket.socket(type=socket.SOCK_DGRAM) as one:\n    one.sendto(b'x', ('203.0.113.1', 53))",
    "connect_ex": "with socket.socket() as one:\n    one.connect_ex(('203.0.113.1', 53))",
}


@pytest.mark.parametrize("how", SWALLOWED)
def test_it_fails_though_it_was_swallowed(tried: Any, how: str) -> None:
    """The refusal is kept: who catches everything fails as well, once, and in the test itself."""
    result = tried(module(SWALLOWED[how]), "-W", "error")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["no network: *"])


HERE = {
    "localhost": "('localhost', port)",
    "127.0.0.1": "('127.0.0.1', port)",
    "127.1": "('127.1', port)",
    "nowhere": "('0.0.0.0', port)",
}


@pytest.mark.parametrize("address", HERE.values(), ids=HERE)
def test_this_machine_can_be_reached(tried: Any, address: str) -> None:
    body = "with socket.create_server(('127.0.0.1', 0)) as server:\n    port = server.getsockname()[1]\n"
    tried(module(f"{body}    socket.create_connection({address}).close()")).assert_outcomes(passed=1)


def test_sockets_that_lead_nowhere_else(tried: Any) -> None:
    """Nor does this machine's own name, which the mail package and servers look up."""
    body = "one, other = socket.socketpair()\none.close()\nother.close()\nsocket.getfqdn('127.0.0.1')\nsocket.getfqdn()"
    tried(module(body)).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("", True),
        ("127.255.0.1", True),
        ("::1", True),
        ("::1%lo", True),
        ("::ffff:127.0.0.1", True),
        ("::", True),
        ("LOCALHOST", True),
        ("localhost.", True),
        ("0x7f000001", True),
        ("10.0.0.1", False),
        ("192.168.1.1", False),
        ("::ffff:10.0.0.1", False),
        ("128.0.0.1", False),
        ("127.0.0.1.example.com", False),
        ("host.docker.internal", False),
        ("2130706432.example.com", False),
    ],
)
def test_here(host: str, here: bool) -> None:
    assert network.is_here(host) is here


def test_an_address_of_this_machines(tried: Any) -> None:
    """It is not beyond it, whatever network it is of; a broadcast is."""
    # A connected datagram socket knows the address that it would send from, and sends nothing.
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        try:
            one.connect(("203.0.113.1", 53))
        except OSError:
            pytest.skip("no network beyond loopback")
        own = one.getsockname()[0]
    guard = network.Guard()
    guard.check(own, 80)
    assert guard.refused == []
    for host, datagram in ((own, True), ("255.255.255.255", False), ("224.0.0.1", False)):
        with pytest.raises(pytest.fail.Exception):
            guard.check(host, 80, datagram=datagram)


@pytest.mark.parametrize(
    ("permit", "host", "let"),
    [
        ("api.example.com", "API.example.com.", True),
        ("API.Example.com", "api.example.com", True),
        ("*.example.com", "eu.api.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "example.com.evil.test", False),
        ("https://api.example.com:8443/v1", "api.example.com", True),
        ("api.example.com:8443", "api.example.com", True),
        ("203.0.113.0/24", "203.0.113.9", True),
        ("203.0.113.0/24", "203.0.114.9", False),
        ("203.0.113.0/24", "example.com", False),
        ("2001:db8::/32", "2001:DB8:0::1", True),
        ("[2001:db8::1]:443", "2001:db8::1", True),
        ("2001:db8::1", "2001:db8:0::1", True),
    ],
)
def test_what_is_let_out(permit: str, host: str, let: bool) -> None:
    """Every form that people write for a host: who lets one out is not told again that it is closed."""
    guard = network.Guard(hosts=[permit])
    with nullcontext() if let else pytest.raises(pytest.fail.Exception):
        guard.check(host, 443)


def test_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sockets are its own, and no audit event tells of them."""

    class Loop:
        async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **options: Any) -> str:
            return "connected"

        async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> str:
            return "found"

    monkeypatch.setitem(sys.modules, "uvloop", SimpleNamespace(Loop=Loop))
    monkeypatch.setattr(network, "_guards", [])
    with network.Guard() as guard:
        assert asyncio.run(Loop().create_connection(None, "127.0.0.1", 1)) == "connected"
        assert asyncio.run(Loop().create_connection(None)) == "connected"  # a socket that is there already
        for leaving in (Loop().create_connection(None, "203.0.113.1", 1), Loop().getaddrinfo("example.com", port=1)):
            with pytest.raises(pytest.fail.Exception):
                asyncio.run(leaving)
        assert len(guard.refused) == 2
    assert "create_connection" in Loop.__dict__
    assert asyncio.run(Loop().getaddrinfo("example.com", 1)) == "found"


OUT = "socket.gethostbyname('example.com')"


@pytest.mark.parametrize(
    ("before", "arguments", "failed"),
    [
        ("", "", 1),
        ("@pytest.mark.llm_network", "", 0),
        ("@pytest.mark.llm_network('example.com')", "", 0),
        ("@pytest.mark.llm_network('example.org')", "", 1),
        ("@pytest.fixture\ndef outside():\n    return socket.gethostbyname('example.com')\n", "outside", 1),
    ],
    ids=["closed", "open", "this host", "another host", "in a fixture"],
)
def test_the_setting(tried: Any, monkeypatch: pytest.MonkeyPatch, before: str, arguments: str, failed: int) -> None:
    """`llm_no_network = true` closes the network for every test, and a mark opens it: for all hosts or for some."""
    left: list[str] = []
    # What would go on to the system's resolver is seen by a hook of the test's own, and stopped there.
    monkeypatch.setattr("socket.gethostbyname", Asking(left))
    body = "pass" if arguments else OUT
    result = tried(module(body, arguments=arguments, before=before), "-o", "llm_no_network=true", "--strict-markers")
    kind = "errors" if arguments else "failed"
    result.assert_outcomes(**({kind: failed} if failed else {"passed": 1}))
    assert left == ([] if failed else ["example.com"])


def test_the_mark_is_nearer_than_the_fixture(tried: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []
    monkeypatch.setattr("socket.gethostbyname", Asking(left))
    tried(module(OUT, before="@pytest.mark.llm_network")).assert_outcomes(passed=1)
    assert left == ["example.com"]


def test_asked_for_in_the_middle_of_a_test(tried: Any) -> None:
    body = f"request.getfixturevalue('no_network')\ntry:\n    {OUT}\nexcept BaseException:\n    pass"
    result = tried(module(body, arguments="request"))
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["no network: example.com"])


class Asking:
    """A resolver that asks nobody."""

    def __init__(self, left: list[str]) -> None:
        self.left = left

    def __call__(self, host: str) -> str:
        sys.audit("socket.gethostbyname", host)
        self.left.append(host)
        return "203.0.113.1"


def test_the_addresses_of_an_allowed_name(tried: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is allowed may be connected to, which is done by its address; another address may not."""
    monkeypatch.setattr("socket.getaddrinfo", lambda host, port, *more, **options: [(2, 1, 6, "", ("203.0.113.7", 1))])
    body = """
found = socket.getaddrinfo("example.com", 1)[0][4][0]
no_network.check(found, 1)
with pytest.raises(pytest.fail.Exception):
    no_network.check("203.0.113.8", 1)
no_network.refused.clear()
"""
    tried(module(f'no_network.allow("example.com"){body}')).assert_outcomes(passed=1)


@pytest.mark.skipif(not ON_HTTPX2, reason="the SDK sends by httpx")
def test_a_mock_that_does_not_see_the_sdk(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Respx mocks httpx; the SDK's request would have left. The message says so."""
    pytest.importorskip("respx")
    body = "import openai\nopenai.OpenAI(api_key='k').chat.completions.create(**HI)"
    pytester.makepyfile(module(body, arguments="no_network, respx_mock"))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # the other plugins take most of the time
    # In this process respx sees httpx2: see conftest.
    result = pytester.runpytest_subprocess("-p", "respx.plugin", "-p", "llm_adapter", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["no network: POST*", "*httpx2 sent it, which respx*Use llm_mock*"])


OWN = """
import pytest, socket
@pytest.fixture
def no_network():
    return "ours"
def test_it(no_network):
    assert no_network == "ours"
    assert not __import__('llm_adapter').testing.network._guards
def test_mocked(no_network, llm_mock):
    assert __import__('llm_adapter').testing.network._guards[-1].mocked
"""


def test_a_projects_own_fixture(tried: Any) -> None:
    """The name is a usual one: whoever has such a fixture has theirs, and llm_mock closes the network all the same."""
    tried("import llm_adapter.testing.network\n" + OWN).assert_outcomes(passed=2)


MARKS = {
    "llm_network(hosts=['a'])": "@pytest.mark.llm_network does not know 'hosts': it has no options",
    "llm_network(['a', 'b'])": "@pytest.mark.llm_network takes names, not ['a', 'b']",
    "llm_cassette(mode='all')": "@pytest.mark.llm_cassette does not know 'mode': its options are name, ignore, *",
    "fake_llm(persona='vllm')": "@pytest.mark.fake_llm does not know 'persona': its options are models, *",
}


def test_marks_that_are_wrong(tried: Any) -> None:
    """An option that is passed over would open the network for every host, say."""
    tests = [f"@pytest.mark.{mark}\ndef test_{place}(): pass" for place, mark in enumerate(MARKS)]
    result = tried("\n".join(["import pytest", *tests]))
    result.assert_outcomes(errors=len(MARKS))
    result.stdout.fnmatch_lines([told.replace("[", "[[]") for told in MARKS.values()])


def test_the_guard_ends_with_its_test(tried: Any) -> None:
    source = module("pass") + "\ndef test_next():\n    assert not __import__('llm_adapter').testing.network._guards\n"
    tried(source).assert_outcomes(passed=2)


def test_with_xdist(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(module(OUT) + "\ndef test_other(no_network):\n    pass\n")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # the other plugins take most of the time
    result = pytester.runpytest_subprocess("-p", "xdist", "-p", "llm_adapter", "-n", "1", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["no network: example.com"])


LIGHT = """
import sys, pytest
before = set(sys.modules)
import llm_adapter.testing.plugin
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new - {"llm_adapter"}))
"""


def test_the_plugin_is_light() -> None:
    """Every run of pytest loads it: beside pytest it needs nothing but two empty packages of ours."""
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"
