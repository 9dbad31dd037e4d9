"""No way out of this machine: what a test sends beyond loopback is refused, and fails it with the URL.

An audit hook sees every connection and every look-up of a name, whichever library and thread makes it (Python's
"socket.connect", "socket.getaddrinfo", ...), before a packet leaves. The refusal is pytest's own outcome, which
`except Exception` and the SDK's retries do not catch; and it is kept, for those who catch everything.
Processes that a test starts are not watched.
"""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from llm_adapter.settings.hosts import hostname, is_loopback

MARK = "llm_network"
_INTERNET = (socket.AF_INET, socket.AF_INET6)
_BLIND = (
    "httpx2 sent it, which respx, pytest-httpx and vcrpy do not see: they mock httpx. Use llm_mock, or httpx2_mock of "
    "pytest-httpx2"
)
_ADVICE = (
    "answer it here: the fixture llm_mock in this process, or fake_llm on loopback",
    f"or let this test out: @pytest.mark.{MARK}",
)
_UNANSWERED = (
    "llm_mock has no answer to it: it knows chat, completions, embeddings, responses and lists of models, sent by the "
    "transports of httpx and httpx2",
    "answer it beside llm_mock (respx for httpx, httpx2_mock of pytest-httpx2), or with fake_llm on loopback",
    _ADVICE[1],
)
# What HTTP libraries call the request, or its address, that a frame of theirs is busy with: httpx's and requests'
# `request.url`, urllib's `req.full_url`, urllib3's and aiohttp's `url`.
_REQUEST_NAMES = ("request", "req", "url")
_guards: list[Guard] = []  # the last one decides: pytest can run inside a test
_hooked = False


class Guard:
    """A watch over one test. As a context it is in force; `judged` fails a phase of the test for what was refused.

    hosts: what the test may reach beyond this machine: names, `*.example.com`, addresses, networks such as
    `10.0.0.0/8`; of a URL, or of host:port, the host. root: the folder of the project, to say which of its lines it
    was. `mocked` is set where llm_mock is in force, for what is advised then.
    """

    def __init__(self, root: Path | None = None, hosts: Iterable[str] = ()) -> None:
        self.refused: list[str] = []  # the messages, until they are told
        self._root = str(root) if root else ""
        self.mocked = False
        self._hosts = {_permit(host) for host in hosts}
        self._patches = pytest.MonkeyPatch()

    def allow(self, *hosts: str) -> None:
        """Let the test reach these, too."""
        self._hosts |= {_permit(host) for host in hosts}

    def __enter__(self) -> Guard:
        _install_hook()
        _guards.append(self)
        self._watch()
        return self

    def __exit__(self, *exception: object) -> None:
        self._patches.undo()
        _guards.remove(self)

    @contextmanager
    def judged(self) -> Iterator[None]:
        """Fail for what was refused meanwhile, though the code under test may have caught the refusal."""
        try:
            yield
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException:
            self.tell()
            raise
        self.tell()

    def tell(self) -> None:
        """Fail once for what was refused so far."""
        told, self.refused = list(dict.fromkeys(self.refused)), []
        if told:
            raise pytest.fail.Exception("\n".join(told), pytrace=False) from None

    def check(self, host: Any, port: Any, *, datagram: bool = False) -> None:
        """Refuse a host beyond this machine."""
        name = host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else str(host or "")
        if is_here(name) or self._permits(name) or (not datagram and _is_own(name)):
            return
        own = list(_frames())
        found = outgoing_request(own, name, f"{name}:{port}" if port else name)
        self.refused.append(message(found.what, found.library, self._place(own), mocked=self.mocked))
        raise pytest.fail.Exception(self.refused[-1], pytrace=False)

    def _permits(self, host: str) -> bool:
        return any(_fits(permit, host.lower().rstrip(".")) for permit in self._hosts)

    def _place(self, own: Iterable[FrameType]) -> str:
        """The project's line that it came from; nothing in a thread or a task of a library's own."""
        for frame in own:
            file = frame.f_code.co_filename
            ours = str(frame.f_globals.get("__name__")).startswith("llm_adapter.")
            if self._root and file.startswith(self._root) and "site-packages" not in file and not ours:
                return f"{Path(file).relative_to(self._root)}:{frame.f_lineno}, in {frame.f_code.co_name}"
        return ""

    def _watch(self) -> None:
        """See what audit events do not tell, and the addresses of the names that are allowed."""
        for owner, name, host, port in _ways_out():
            self._patches.setattr(owner, name, self._checked(getattr(owner, name), host, port))
        self._patches.setattr(socket, "getaddrinfo", self._learning(socket.getaddrinfo))

    def _checked(self, original: Callable[..., Any], host: str, port: str) -> Callable[..., Any]:
        parameters = inspect.signature(original)

        async def checked(*arguments: Any, **options: Any) -> Any:
            given = parameters.bind(*arguments, **options).arguments
            self.check(given.get(host), given.get(port))
            return await original(*arguments, **options)

        return checked

    def _learning(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
            found = original(host, *arguments, **options)
            if self._permits(str(host)):
                self.allow(*(str(entry[4][0]) for entry in found))
            return found

        return getaddrinfo


def is_here(host: str) -> bool:
    """Whether a host is this machine, by its name alone: every form of loopback, and the address of no host."""
    host = host.partition("%")[0].rstrip(".")
    if not host or is_loopback(f"[{host}]" if ":" in host else host):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _is_short_loopback(host)
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def message(what: str, library: str = "", place: str = "", *, mocked: bool = False) -> str:
    """What pytest shows: the first line alone in its summary."""
    lines = [f"no network: {what}"]
    if place:
        lines.append(f"  from {place}")
    lines.append("Nothing was sent.")
    advice = _UNANSWERED if mocked else (_BLIND, *_ADVICE) if library == "httpx2" else _ADVICE
    lines += [f"- {line}" for line in advice]
    return "\n".join(lines)


def _is_short_loopback(host: str) -> bool:
    """127.1, 0x7f000001: forms of an address that the system's resolver reads without asking anyone."""
    try:
        return host[:1].isdigit() and ipaddress.IPv4Address(socket.inet_aton(host)).is_loopback
    except OSError:
        return False


def _is_own(host: str) -> bool:
    """Whether it is this machine's name, which it looks up for itself (`socket.getfqdn`), or one of its addresses."""
    if host.lower().rstrip(".") == socket.gethostname().lower():
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
        with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6) as one:
            one.bind((str(address), 0))  # nothing is sent: an address of another machine cannot be bound
    except (ValueError, OSError):
        return False
    return not (address.is_multicast or address.is_reserved)


def _permit(given: str) -> str:
    """What is let out by these words: a name, a pattern of names, or a network."""
    text = given.lower().rstrip(".")
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return hostname(text if "://" in text else f"//{text}")


def _fits(permit: str, host: str) -> bool:
    if "/" not in permit:
        return fnmatchcase(host, permit)
    return _is_address(host) and ipaddress.ip_address(host.partition("%")[0]) in ipaddress.ip_network(permit)


def _ways_out() -> Iterator[tuple[Any, str, str, str]]:
    """Coroutines that connect, and their arguments: asyncio's look-up runs in another thread, and trio's connection in
    another task, where no frame knows the URL; uvloop has sockets of its own, of which no audit event tells."""
    import asyncio.base_events

    import anyio

    yield asyncio.base_events.BaseEventLoop, "getaddrinfo", "host", "port"
    yield anyio, "connect_tcp", "remote_host", "remote_port"
    if (trio := sys.modules.get("trio")) is not None:
        yield trio, "open_tcp_stream", "host", "port"
    with suppress(ImportError):  # though the test may import it only later
        loop = import_module("uvloop").Loop
        yield from ((loop, name, "host", "port") for name in ("create_connection", "getaddrinfo"))


def _install_hook() -> None:
    # A hook stays for as long as the process: without a guard it does nothing.
    global _hooked
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked = True


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith("socket.") and _guards and event in _EVENTS:
        _EVENTS[event](*arguments)


def _connecting(one: Any, address: Any) -> None:
    if one.family not in _INTERNET or not isinstance(address, tuple):
        return  # a socket of the file system, or of the kernel
    try:
        _guards[-1].check(address[0], address[1], datagram=one.type == socket.SOCK_DGRAM)
    except BaseException:
        one.close()  # its owner expects an OSError, and would leave it open
        raise


def _resolving(host: Any, port: Any = None, *_: Any) -> None:
    if not _is_address(host):  # an address is looked up nowhere; where it leads to is asked when it is connected
        _guards[-1].check(host, port)


def _reversing(address: Any, *_: Any) -> None:
    host, port = address[:2] if isinstance(address, tuple) else (address, None)
    _guards[-1].check(host, port)


_EVENTS: dict[str, Callable[..., None]] = {
    "socket.connect": _connecting,
    "socket.sendto": _connecting,
    "socket.sendmsg": _connecting,
    "socket.getaddrinfo": _resolving,
    "socket.gethostbyname": _resolving,
    "socket.gethostbyaddr": _reversing,
    "socket.getnameinfo": _reversing,
}


def _is_address(host: Any) -> bool:
    try:
        return bool(ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host).partition("%")[0]))
    except ValueError:
        return False


# --- what is about to leave: the request that this thread is busy with, or a task that waits for what it does


class OutgoingRequest(NamedTuple):
    """What was about to leave."""

    what: str  # "POST https://api.openai.com/v1/chat/completions", or host:port where no frame knows more
    host: str = ""
    library: str = ""  # that the request is of


def _frames() -> Iterator[FrameType]:
    """Where this thread is, from the inside out. Of a coroutine: those that wait for it, too."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def outgoing_request(own: Iterable[FrameType], host: str, target: str) -> OutgoingRequest:
    """The innermost request to this host; else a library's to another, which goes by way of this one: a proxy."""
    found = [(frame, one) for frame in own for one in _requests(frame)]
    for _, one in found:
        if one.host == host.lower():
            return one
    for frame, one in found:
        if "site-packages" in frame.f_code.co_filename:
            return one._replace(what=f"{one.what} by way of {target}")
    others = (one for frame in _task_frames() for one in _requests(frame))
    return next((one for one in others if one.host == host.lower()), OutgoingRequest(target))


def without_secrets(url: str) -> str:
    """A URL without a user's name, a query or a fragment: keys are in them."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _task_frames() -> Iterator[FrameType]:
    """Where the tasks of this thread's event loop are: aiohttp looks a name up in one that does not know the URL."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no loop runs here
        return
    for task in tasks:
        coroutine: Any = task.get_coro()
        while (frame := getattr(coroutine, "cr_frame", None)) is not None:
            yield frame
            coroutine = getattr(coroutine, "cr_await", None)


def _requests(frame: FrameType) -> Iterator[OutgoingRequest]:
    """What a frame is busy with, by the names of its variables."""
    if frame.f_globals.get("__name__") == __name__:
        return
    for name in _REQUEST_NAMES:
        value = frame.f_locals.get(name)
        text = str(getattr(value, "full_url", None) or getattr(value, "url", None) or value or "")
        if text.startswith(("http://", "https://")):
            method = getattr(value, "method", None) or frame.f_locals.get("method")
            shown = f"{method} " if isinstance(method, str) and method else ""
            library = type(value).__module__.partition(".")[0]
            yield OutgoingRequest(shown + without_secrets(text), hostname(text), library)
