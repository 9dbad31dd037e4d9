"""The pytest plugin: the fixtures, the marks and the options. It is loaded with every run of pytest, so it is light:
what a fixture needs, and the SDK above all, is imported by those who ask for the fixture.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from llm_adapter.testing import recording
from llm_adapter.traffic.made import keep_places

if TYPE_CHECKING:
    from llm_adapter import AsyncOpenAI, OpenAI, Settings
    from llm_adapter.testing.cassettes import Cassette
    from llm_adapter.testing.elsewhere import TestCalls
    from llm_adapter.testing.fake import Fake
    from llm_adapter.testing.live import LiveOllama
    from llm_adapter.testing.mock import Mock
    from llm_adapter.testing.network import Guard
    from llm_adapter.testing.providers import Chosen

_GUARD: pytest.StashKey[Guard] = pytest.StashKey()
_CHOSEN: pytest.StashKey[Chosen] = pytest.StashKey()
_FAKE: pytest.StashKey[tuple[Fake, TestCalls]] = pytest.StashKey()
_PASSED: pytest.StashKey[bool] = pytest.StashKey()
_MARKS = (
    "llm_providers(*names, elsewhere=False): run the test once on each of these: profiles of llm_adapter.toml, "
    "'embedded', or a fake server such as 'fake:ollama@0.32'; all profiles without a name. OpenAI() goes there, too; a "
    "test of which a call goes elsewhere fails.",
    "llm_cassette(name, ignore=(), strict=False, scrub=None): another name for the test's cassette, and how calls are "
    "compared with it.",
    "live_ollama: skip the test where no Ollama runs.",
    "fake_llm(*personas, models=None, context=None, library=(), use=False): the server that fake_llm plays; with "
    "several the test runs once on each. use=True leads OpenAI() itself there, the SDK's too.",
    "llm_network(*hosts): let the test reach these hosts, or any host, though the network is closed.",
)
# The options that each mark knows.
_OPTIONS: dict[str, tuple[str, ...]] = {
    "llm_providers": ("elsewhere",),
    "llm_cassette": ("name", "ignore", "strict", "scrub"),
    "live_ollama": (),
    "fake_llm": ("models", "context", "library", "use"),
    "llm_network": (),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("llm_adapter", "llm_adapter: language models in tests")
    group.addoption(
        "--llm-provider",
        action="append",
        default=[],
        metavar="NAME",
        help="Of the tests marked llm_providers, run those on this one; may be given several times.",
    )
    group.addoption(
        "--llm-require",
        action="store_true",
        help="A provider of llm_providers, or an Ollama of live_ollama, that cannot be used fails its tests, which are "
        "skipped otherwise.",
    )
    group.addoption("--llm-no-pull", action="store_true", help="live_ollama pulls no models: it skips what needs one.")
    group.addoption(
        recording.OPTION,
        choices=recording.MODES,
        help="Cassettes: once (the default) records missing ones, all records anew, none (the default in CI) replays.",
    )
    parser.addini("llm_no_network", "Fail every test that reaches beyond this machine.", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    for mark in _MARKS:
        config.addinivalue_line("markers", mark)
    keep_places()  # modules that are collected make clients
    if mode := config.getoption("llm_record"):
        recording.asked.append(mode)
        config.add_cleanup(lambda: recording.asked.remove(mode))
    if config.getoption("llm_provider"):
        from llm_adapter.testing.providers import check_options

        check_options(config.getoption("llm_provider"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    fakes = metafunc.definition.get_closest_marker("fake_llm")
    if fakes is not None and fakes.kwargs.get("use") and "fake_llm" not in metafunc.fixturenames:
        metafunc.fixturenames.insert(0, "fake_llm")
    if fakes is not None and len(fakes.args) > 1 and "fake_llm" in metafunc.fixturenames:
        metafunc.parametrize("fake_llm", fakes.args, indirect=True)
    mark = metafunc.definition.get_closest_marker("llm_providers")
    if mark is not None:
        from llm_adapter.testing.providers import provider_names

        if "llm_provider" not in metafunc.fixturenames:
            metafunc.fixturenames.insert(0, "llm_provider")
        metafunc.parametrize("llm_provider", provider_names(mark), indirect=True)


def pytest_itemcollected(item: pytest.Item) -> None:
    names = getattr(item, "fixturenames", None)
    if names is not None and "live_ollama" not in names and item.get_closest_marker("live_ollama") is not None:
        names.insert(0, "live_ollama")
    fakes = item.get_closest_marker("fake_llm")
    if names is not None and fakes is not None and fakes.kwargs.get("use"):  # before the fixtures that make clients
        names[:] = dict.fromkeys(("fake_llm", *names))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("llm_provider")
    if wanted:
        kept = [_provider(item) in (None, *wanted) for item in items]
        config.hook.pytest_deselected(items=[item for item, keep in zip(items, kept, strict=True) if not keep])
        items[:] = [item for item, keep in zip(items, kept, strict=True) if keep]


# The network is closed, and a provider chosen, before the first fixture is made. That skips tests: what pytest prepares
# around a setup has to be there by then, so this wrapper is the innermost one.


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    _check_marks(item)
    if (guard := _guard(item)) is not None:
        item.stash[_GUARD] = guard.__enter__()
    with guard.judged() if guard is not None else nullcontext():
        if (name := _provider(item)) is not None:
            _chosen(item, name)
        return (yield)


# And the outermost one: pytest's own word on exceptions in threads would stand before ours.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    guard = item.stash.get(_GUARD, None)
    with guard.judged() if guard is not None else nullcontext(), _calls_checked(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    try:
        result = yield
    finally:
        if (chosen := item.stash.get(_CHOSEN, None)) is not None:
            chosen.close()
            del item.stash[_CHOSEN]
        if (guard := item.stash.get(_GUARD, None)) is not None:
            guard.__exit__()
            del item.stash[_GUARD]
            guard.tell()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    if call.when == "call":
        item.stash[_PASSED] = call.excinfo is None
    return (yield)


@contextmanager
def _calls_checked(item: pytest.Item) -> Iterator[None]:
    """Fail a test of which a call went to another provider than the test's; one that fails by itself is told so.

    And one that made a fake server, and did not ask it.
    """
    chosen = item.stash.get(_CHOSEN, None)
    try:
        yield
    except BaseException:
        if chosen is not None and (complaint := chosen.complaint()) is not None:
            item.add_report_section("call", "llm_providers", complaint)
        raise
    if chosen is not None and (complaint := chosen.complaint()) is not None:
        pytest.fail(complaint, pytrace=False)
    if (asked := item.stash.get(_FAKE, None)) is not None:
        from llm_adapter.testing.elsewhere import never_asked

        if (complaint := never_asked(*asked)) is not None:
            pytest.fail(complaint, pytrace=False)


def _check_marks(item: pytest.Item) -> None:
    """Fail for what a mark would pass over: `llm_network(hosts=["a"])` would open the network for all hosts."""
    for mark in item.iter_markers():
        known = _OPTIONS.get(mark.name)
        if known is None:
            continue
        if unknown := [name for name in mark.kwargs if name not in known]:
            told = f"its options are {', '.join(known)}" if known else "it has no options"
            pytest.fail(f"@pytest.mark.{mark.name} does not know {unknown[0]!r}: {told}", pytrace=False)
        if wrong := [one for one in mark.args if not isinstance(one, str) and mark.name != "fake_llm"]:
            pytest.fail(f"@pytest.mark.{mark.name} takes names, not {wrong[0]!r}", pytrace=False)


def _guard(item: pytest.Item) -> Guard | None:
    """The watch over a test, where there is to be one."""
    asked = _asks(item, "no_network") or _asks(item, "llm_mock")
    mark = item.get_closest_marker("llm_network")
    if not (asked or item.config.getini("llm_no_network")) or (mark is not None and not mark.args):
        return None
    from llm_adapter.testing.network import Guard

    return Guard(item.config.rootpath, mark.args if mark is not None else ())


def _asks(item: pytest.Item, fixture: str) -> bool:
    """Whether a test asks for a fixture of this plugin. A project may have one of its own by that name."""
    if fixture not in getattr(item, "fixturenames", ()):
        return False
    found = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}).get(fixture)
    return not found or found[-1].func.__module__ == __name__


def _watch(request: pytest.FixtureRequest) -> Guard:
    """The watch over a test that asks for it only now; one with the mark llm_network is not watched."""
    from llm_adapter.testing.network import Guard

    stash = request.node.stash
    guard: Guard = stash.get(_GUARD, None) or Guard(request.config.rootpath)
    if _GUARD not in stash and request.node.get_closest_marker("llm_network") is None:
        stash[_GUARD] = guard.__enter__()
    return guard


def _provider(item: pytest.Item) -> str | None:
    """The name that stands in a test's id."""
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("llm_provider")


def _chosen(item: pytest.Item, name: str | None = None) -> Chosen:
    """The provider of a test, switched to if it is not yet."""
    if _CHOSEN not in item.stash:
        from llm_adapter.testing.providers import chosen

        required, fakes = item.config.getoption("llm_require"), item.get_closest_marker("fake_llm")
        given = _fake_options(fakes)
        mark = item.get_closest_marker("llm_providers")
        elsewhere = bool(mark is not None and mark.kwargs.get("elsewhere"))
        item.stash[_CHOSEN] = chosen(
            name, item.stash.get(_GUARD, None), required=required, given=given, elsewhere=elsewhere
        )
    return item.stash[_CHOSEN]


@pytest.fixture
def no_network(request: pytest.FixtureRequest) -> Guard:
    """Fail the test for any connection beyond this machine, with its URL. `allow(host)` makes an exception.

    `llm_no_network = true` in pytest's settings does so for every test but those marked llm_network.
    """
    return _watch(request)


@pytest.fixture
def llm_provider(request: pytest.FixtureRequest) -> str:
    """The name of the provider that the test runs on: one of the mark llm_providers, or what is configured."""
    return _chosen(request.node).name


@pytest.fixture
def llm_settings(request: pytest.FixtureRequest, llm_provider: str) -> Settings:
    """The settings of the provider that the test runs on."""
    return _chosen(request.node).settings


@pytest.fixture
def llm_client(llm_settings: Settings) -> Iterator[OpenAI]:
    """A client of the provider that the test runs on."""
    from llm_adapter import OpenAI

    with OpenAI(settings=llm_settings) as client:
        yield client


@pytest.fixture
def llm_async_client(llm_settings: Settings) -> AsyncOpenAI:
    """An async client of the provider that the test runs on. It keeps no connection open between two calls."""
    from llm_adapter import AsyncOpenAI

    # The test's event loop may be gone when the client could be closed.
    return AsyncOpenAI(settings=llm_settings, default_headers={"Connection": "close"})


@pytest.fixture
def llm_mock(request: pytest.FixtureRequest) -> Iterator[Mock]:
    """What models say to this process, whatever host they are asked at: `llm_mock.chat("Hello")`. Nothing leaves.

    It works for openai 2 on httpx and openai 3 on httpx2, and beside respx and pytest-httpx2. A test that asks more
    often than its script has turns fails.
    """
    from llm_adapter.testing.mock import Mock

    _watch(request).mocked = True
    with Mock() as mock:
        yield mock
        if request.node.stash.get(_PASSED, False):
            mock.assert_sufficed()


@pytest.fixture
def llm_cassette(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cassette]:
    """Record what the test is answered, and answer so from then on: `cassettes/<module>/<test>.jsonl`, beside the test.

    The mark llm_cassette gives another name; --llm-record says when to record. Only a test that passes writes.
    """
    from llm_adapter.testing.cassettes.fixture import in_test

    with in_test(request.node, monkeypatch) as cassette:
        yield cassette
        if request.node.stash.get(_PASSED, False):
            cassette.finish()


@pytest.fixture(scope="session")
def live_ollama(request: pytest.FixtureRequest) -> Iterator[LiveOllama]:
    """A running Ollama, at OLLAMA_HOST or where the configuration says; tests are skipped where none runs.

    `ensure_model("qwen3:0.6b")` pulls what is missing; `client()` and `async_client()` go there.
    """
    from llm_adapter.testing.live import live

    found = live(request.config)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def fake_llm(request: pytest.FixtureRequest) -> Iterator[Fake]:
    """A fake server on loopback, for clients of any kind: `fake_llm.script("Hello")`, `fake_llm.base_url`.

    The mark fake_llm says which server it plays: `@pytest.mark.fake_llm("ollama@0.32", models=["qwen3:8b"])`. Without
    it, OpenAI. `fake_llm.use()` leads OpenAI() itself there. A test that asks more often than its script has turns
    fails, and so does one that never asks it, though it has a script or calls somebody else. In a test on
    llm_providers("fake:...") it is the server that the test runs on.
    """
    from llm_adapter.testing.elsewhere import TestCalls
    from llm_adapter.testing.fake import serving

    mark = request.node.get_closest_marker("fake_llm")
    names = mark.args if mark is not None and mark.args else ("openai",)
    chosen = request.node.stash.get(_CHOSEN, None)
    playing = nullcontext(chosen.fake) if chosen is not None and chosen.fake is not None else None
    with playing or serving(getattr(request, "param", names[0]), **_fake_options(mark)) as fake, TestCalls() as calls:
        if mark is not None and mark.kwargs.get("use"):
            fake.use()
        if chosen is None or chosen.fake is fake:  # else the test is to ask the other provider
            request.node.stash[_FAKE] = fake, calls
        yield fake
        if request.node.stash.get(_PASSED, False):
            fake.assert_sufficed()


def _fake_options(mark: pytest.Mark | None) -> dict[str, Any]:
    """Of the options of the mark fake_llm those that are about the server."""
    return {} if mark is None else {name: value for name, value in mark.kwargs.items() if name != "use"}
