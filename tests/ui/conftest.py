"""One browser, one broker and its consoles for all tests of this folder; skipped, with a notice, without a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import redis

from consumers.console.access.policy import Login, Policy
from consumers.console.viewpoint import Viewpoint
from tests.consumers.servers import redis_server
from tests.ui.hostile import WORD, fill
from tests.ui.sites import Sites

if TYPE_CHECKING:
    from tests.ui.browser import Browser

PASSWORD = "correct horse"
POLICIES = {
    "open": Policy(),
    "password": Policy(Login.PASSWORD, PASSWORD),
    "users": Policy(Login.SERVER),
    "read-only": Policy(read_only=True),
}

_missing: list[str] = []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for reason in _missing:
        terminalreporter.write_line(f"BROWSER TESTS WERE SKIPPED: {reason}", red=True, bold=True)


def _skip(reason: str) -> None:
    if reason not in _missing:
        _missing.append(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def _browser() -> Iterator[Browser]:
    pytest.importorskip("selenium")
    from tests.ui.browser import Browser, axe_source, missing

    if (reason := missing()) is not None:
        _skip(reason)
    browser = Browser(axe_source())
    try:
        yield browser
    finally:
        browser.close()


@pytest.fixture(scope="session")
def server(_browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a broker that is full of hostile data."""
    users = tmp_path_factory.mktemp("acl") / "users.acl"
    users.touch()
    with redis_server("broker", "--aclfile", str(users), "--stream-extensions", "yes") as process:
        anyio.run(fill, process.url)
        yield process.url


@pytest.fixture
def client(server: str) -> Iterator[redis.Redis]:
    """A client of that broker, which has a hostile name."""
    with redis.Redis.from_url(server, client_name=WORD, decode_responses=True) as connected:
        connected.ping()
        yield connected


@pytest.fixture(scope="session")
def sites(server: str) -> Iterator[Sites]:
    with Sites(server, POLICIES) as running:
        running.call(_looked, running.consoles["open"])
        yield running


async def _looked(console: Any) -> None:
    viewpoint: Viewpoint = console.viewpoint
    with anyio.fail_after(30):
        while (found := await viewpoint.queues.latest(5)) is None or len(found.figures) < 2:
            viewpoint.queues.expire()
            await anyio.sleep(0.05)


@contextmanager
def _visiting(browser: Browser, sites: Sites, name: str) -> Iterator[Browser]:
    browser.renew(sites.addresses[name])
    yield browser
    # no page stays open that goes on asking
    browser.driver.get("about:blank")


@pytest.fixture
def visit(_browser: Browser, sites: Sites) -> Iterator[Callable[[str], Browser]]:
    """Returns a new visitor of the console with this name."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(_visiting(_browser, sites, name))


@pytest.fixture
def browser(_browser: Browser, sites: Sites) -> Iterator[Browser]:
    """A new visitor of the console that nobody logs in to."""
    with _visiting(_browser, sites, "open") as visiting:
        yield visiting


@pytest.fixture(scope="session")
def axe(_browser: Browser) -> None:
    """Skips what can't be looked at without axe-core."""
    if _browser._axe is None:
        _skip("no axe-core: npm could not install it")
