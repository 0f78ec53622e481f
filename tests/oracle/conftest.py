"""Ends the servers that the oracle tests started, and reports clearly what the reference could not be used for."""

from collections.abc import Generator, Iterator

import pytest

from tests.oracle import servers
from tests.oracle.background import until_quiet
from tests.oracle.harness import Differs, close_controls

COMPATIBLE_WITH = (8, 10)
"""The Redis version whose behaviour the broker has; an older reference answers some commands differently."""

_older: list[str] = []
_missing: set[str] = set()


def skip_loudly(reason: str) -> None:
    """Skip a test because another server is missing, and report that at the end of the run."""
    _missing.add(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True, scope="session")
def _servers_end() -> Iterator[None]:
    yield
    close_controls()
    servers.stop()


@pytest.fixture(autouse=True, scope="module")
def _configuration_stays() -> Iterator[None]:
    """What one module sets and leaves would be in force for all that follow: save points, for one, save at any time."""
    yield
    for server in servers.running():
        was, server.directives = server.directives, server.read_directives()
        assert server.directives == was, f"{server.name} has been left with another configuration"


@pytest.fixture(scope="module")
def fresh_servers() -> None:
    """New servers for a module that sees what others leave behind: memory in use, the replication offset."""
    close_controls()
    servers.stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The policies of streams must not change what streams are to others: their tests run in both settings."""
    if metafunc.module.__name__.rpartition(".")[2].startswith("test_stream_"):
        metafunc.fixturenames.insert(0, "_stream_extensions")
        metafunc.parametrize("_stream_extensions", ["no", "yes"], indirect=True, scope="module")


@pytest.fixture(scope="module")
def _stream_extensions(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "yes":
        servers.with_options("--stream-extensions", "yes")
    yield
    servers.with_options()


@pytest.fixture
def quiet_servers() -> Iterator[None]:
    """The two servers, with no background save or rewrite left by tests before, and none left for those behind."""
    until_quiet()
    yield
    until_quiet()


@pytest.fixture(autouse=True)
def _reference_found() -> None:
    try:
        servers.find_reference()
    except servers.OracleMissing as missing:
        pytest.skip(str(missing))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With an older reference, differing replies are expected failures; any other failure counts."""
    report = yield
    differs = call.excinfo is not None and isinstance(call.excinfo.value, Differs)
    if report.when == "call" and differs and servers.version() < COMPATIBLE_WITH and servers.broker_alive():
        report.outcome = "skipped"
        report.wasxfail = "the reference is older than the version that the broker is compatible with"
        _older.append(item.nodeid)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    try:
        path, version = servers.find_reference()
    except servers.OracleMissing as missing:
        terminalreporter.write_line(f"ALL ORACLE TESTS WERE SKIPPED: {missing}", red=True, bold=True)
        return
    for reason in sorted(_missing):
        terminalreporter.write_line(f"ORACLE TESTS WERE SKIPPED: {reason}", red=True, bold=True)
    terminalreporter.write_line(f"oracle: compared with {path} {'.'.join(map(str, version))}")
    if version < COMPATIBLE_WITH:
        text = f"ORACLE: {len(_older)} tests differ from this old reference and were not counted; see make oracle"
        terminalreporter.write_line(text, red=True, bold=True)
