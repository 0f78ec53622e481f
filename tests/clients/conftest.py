"""The broker that the client libraries use, empty at the start of each test."""

from collections.abc import Iterator

import pytest

from tests.oracle import servers

_missing: list[str] = []


@pytest.fixture(scope="session")
def _broker() -> Iterator[None]:
    yield
    servers.stop()


def empty_broker() -> int:
    """The broker's port on 127.0.0.1, after FLUSHALL."""
    server = servers.broker()
    connection = server.connect()
    reply = connection.call("FLUSHALL")
    connection.close()
    assert reply == b"+OK\r\n", f"FLUSHALL answered {reply!r}; the broker's log ends:\n{server.log()}"
    return server.address[1]


@pytest.fixture
def port(_broker: None) -> int:
    """The broker's port on 127.0.0.1; every database is empty."""
    return empty_broker()


@pytest.fixture
def url(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


def skip_loudly(reason: str) -> None:
    """Skip a test because a tool is missing, and report that at the end of the run."""
    if reason not in _missing:
        _missing.append(reason)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reason in _missing:
        terminalreporter.write_line(f"CLIENT TESTS WERE SKIPPED: {reason}", red=True, bold=True)
