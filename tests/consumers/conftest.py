"""`server_url`, `client` and `loop`: what the tests of consumers run against, and on.

Every test that asks for `server_url` or `client` runs against each server of tests/consumers/servers.py. Those of a
module that is marked `both_loops` run twice: under Trio, as all asynchronous tests of this project do, and under
asyncio, where this file takes the place of pytest-trio. There the fixtures and the test run in one task. A single one
of them is left to Trio by the mark `trio_only`, with the reason, or by Trio's clock that jumps.

What differs between the loops is the client's side, what differs between servers is not; so under asyncio a test runs
against one of the servers, another one for each test. Tests that take seconds, such as random ones with kills and
broken networks, are marked `spread`: all of them run against the broker under Trio, and each in one other place, by
turns. With TRIMARAN_EVERY_PAIR=1 every test runs against all servers on both loops.
"""

import inspect
import os
import pathlib
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial, wraps
from typing import Any

import anyio
import coredis
import pytest

from tests.consumers import clusters, loops, servers
from tests.consumers.servers import BROKERS, KINDS, RedisServer, in_process_broker

CLOCKS = {"autojump_clock", "mock_clock"}
EVERY_PAIR = "TRIMARAN_EVERY_PAIR"

_missing: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "both_loops: the module's asynchronous tests run under asyncio as well")
    config.addinivalue_line("markers", "spread: against the broker under Trio, and in one other place, by turns")
    config.addinivalue_line("markers", "asyncio_only: about what Trio does not have")
    config.addinivalue_line("markers", "trio_only(reason): not under asyncio, although the module's other tests do")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    node = metafunc.definition
    if node.get_closest_marker("both_loops") is None or not inspect.iscoroutinefunction(metafunc.function):
        return
    metafunc.fixturenames.append("loop")
    chosen = ["trio", "asyncio"]
    if node.get_closest_marker("trio_only") is not None or CLOCKS & set(metafunc.fixturenames):
        chosen = ["trio"]
    elif node.get_closest_marker("asyncio_only") is not None:
        chosen = ["asyncio"]
    metafunc.parametrize("loop", chosen, indirect=True)


@pytest.fixture
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The loop of this test and of the processes that it starts: "trio" or "asyncio"."""
    name: str = getattr(request, "param", "trio")
    monkeypatch.setenv(loops.VARIABLE, name)
    return name


# asyncio instead of pytest-trio.


def _under_asyncio(item: pytest.Item) -> bool:
    return _parameters(item).get("loop") == "asyncio"


def _parameters(item: pytest.Item) -> dict[str, object]:
    call = getattr(item, "callspec", None)
    return {} if call is None else call.params


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not os.environ.get(EVERY_PAIR):
        here = [kind for kind in KINDS if kind == "broker" or servers.executable(kind) is not None]
        gone = {item for item in items if _under_asyncio(item) and _server_of_another(item, here)}
        gone |= _places_of_others([item for item in items if item not in gone], here)
        config.hook.pytest_deselected(items=[item for item in items if item in gone])
        items[:] = [item for item in items if item not in gone]
    for item in items:
        if isinstance(item, pytest.Function) and _under_asyncio(item):
            # a plain function from here on, which pytest-trio leaves alone
            item.obj = _plain(item.obj)


def _server_of_another(item: pytest.Item, here: list[str]) -> bool:
    """Whether the item is a test's run against another server than its own under asyncio, one of those `here`."""
    kind = _parameters(item).get("server_kind")
    test = item.nodeid.partition("[")[0]
    return kind in here and kind != here[zlib.crc32(test.encode()) % len(here)]


def _places_of_others(items: list[pytest.Item], here: list[str]) -> set[pytest.Item]:
    """Those of tests marked `spread` that would run in a place whose turn it is not. Turns go through a module's tests,
    each with one set of its other parameters."""
    turns: dict[pathlib.Path, dict[object, dict[object, pytest.Item]]] = {}
    for item in items:
        given = _parameters(item)
        kind, loop = given.get("server_kind"), given.get("loop", "trio")
        if item.get_closest_marker("spread") is None or kind not in here or (kind, loop) == ("broker", "trio"):
            continue
        others = tuple((name, repr(value)) for name, value in given.items() if name not in ("server_kind", "loop"))
        # under asyncio there is one server for each test
        place = loop if loop == "asyncio" else kind
        turns.setdefault(item.path, {}).setdefault((item.originalname, others), {})[place] = item  # type: ignore[attr-defined]
    gone = set[pytest.Item]()
    for tests in turns.values():
        for turn, places in enumerate(tests.values()):
            gone.update(item for at, item in enumerate(places.values()) if at != turn % len(places))
    return gone


def _plain(test: Callable[..., Any]) -> Callable[..., None]:
    @wraps(test)
    def run(**arguments: Any) -> None:
        anyio.run(partial(_run, test, arguments), backend="asyncio")

    del run.__wrapped__  # type: ignore[attr-defined]
    return run


async def _run(test: Callable[..., Any], arguments: dict[str, Any]) -> None:
    async with AsyncExitStack() as stack:
        opened: dict[_Deferred, Any] = {}
        await test(**{name: await _opened(one, stack, opened) for name, one in arguments.items()})


class _Deferred:
    """An asynchronous fixture that is set up when its test's loop runs."""

    def __init__(self, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
        self.function = function
        self.arguments = arguments


async def _opened(value: Any, stack: AsyncExitStack, opened: "dict[_Deferred, Any]") -> Any:
    if not isinstance(value, _Deferred):
        return value
    if value not in opened:
        arguments = {name: await _opened(one, stack, opened) for name, one in value.arguments.items()}
        if inspect.isasyncgenfunction(value.function):
            opened[value] = await stack.enter_async_context(asynccontextmanager(value.function)(**arguments))
        else:
            opened[value] = await value.function(**arguments)
    return opened[value]


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: "pytest.FixtureDef[Any]", request: pytest.FixtureRequest) -> object | None:
    function = fixturedef.func
    if not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
        return None
    if not _under_asyncio(request.node):
        return None
    arguments = {name: request.getfixturevalue(name) for name in fixturedef.argnames}
    value = _Deferred(function, arguments)
    fixturedef.cached_result = (value, fixturedef.cache_key(request), None)  # type: ignore[arg-type]
    return value


# Servers.


@pytest.fixture(scope="session")
def _server_processes() -> Iterator[dict[str, RedisServer]]:
    """The server processes of this run, each started when a test first needs it."""
    running: dict[str, RedisServer] = {}
    try:
        yield running
    finally:
        for server in running.values():
            server.stop()


@pytest.fixture(scope="session", autouse=True)
def _clusters() -> Iterator[None]:
    yield
    clusters.end_all()


@pytest.fixture(params=KINDS)
def server_kind(request: pytest.FixtureRequest) -> str:
    """Which server: "broker", "redis-newest" or "redis-older"; a test may name others. Skips, with a notice, those that
    this machine lacks."""
    kind: str = request.param
    if kind not in BROKERS and servers.executable(kind) is None:
        reason = f"no redis-server of the kind {kind!r}"
        if reason not in _missing:
            _missing.append(reason)
        pytest.skip(reason)
    return kind


@pytest.fixture
async def server_url(loop: str, server_kind: str, _server_processes: dict[str, RedisServer]) -> AsyncIterator[str]:
    """redis://127.0.0.1:PORT/0 of an empty server; under Trio, the broker runs inside the test's own program."""
    directives = BROKERS.get(server_kind)
    if directives is not None and loop == "trio":
        async with in_process_broker(**directives) as url:
            yield url
        return
    if server_kind not in _server_processes:
        options = [word for name, value in (directives or {}).items() for word in (f"--{name}", value)]
        server = RedisServer(servers.executable(server_kind) if directives is None else None, *options)
        server.start()
        _server_processes[server_kind] = server
    _server_processes[server_kind].flush()
    yield _server_processes[server_kind].url


@pytest.fixture
async def client(server_url: str) -> AsyncIterator["coredis.Redis[bytes]"]:
    """A coredis client (replies as bytes) of an empty server."""
    async with coredis.Redis.from_url(server_url) as connected:
        yield connected


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reason in _missing:
        terminalreporter.write_line(f"CONSUMER TESTS WERE SKIPPED: {reason}", red=True, bold=True)
