"""Ends the servers that the oracle tests started, and says loudly when there was no reference."""

from collections.abc import Iterator

import pytest

from tests.oracle import servers
from tests.oracle.harness import close_controls


@pytest.fixture(autouse=True, scope="session")
def _servers_end() -> Iterator[None]:
    yield
    close_controls()
    servers.stop()


@pytest.fixture(autouse=True)
def _reference_found() -> None:
    try:
        servers.find_reference()
    except servers.OracleMissing as missing:
        pytest.skip(str(missing))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    try:
        path, version = servers.find_reference()
    except servers.OracleMissing as missing:
        terminalreporter.write_line(f"ALL ORACLE TESTS WERE SKIPPED: {missing}", red=True, bold=True)
        return
    terminalreporter.write_line(f"oracle: compared with {path} {'.'.join(map(str, version))}")
