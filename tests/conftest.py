"""Options of the whole test run, and the clock that jumps."""

import math
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import trio
import trio.testing

# On a busy machine the time that an example takes means nothing. Each run draws the same examples, so that it fails for
# what was changed; `--hypothesis-profile=explore` draws others.
hypothesis.settings.register_profile("trimaran", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.load_profile("trimaran")


def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are cores: tests that run processes wait for them half of the time."""
    return -(-3 * (os.cpu_count() or 1) // 2)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--oracle-examples",
        metavar="N",
        type=int,
        help="generated scripts per oracle test, instead of each test's own small number",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A run that a script has put into the background ignores interrupts, and so would the processes that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--oracle-examples") is not None:
        os.environ["TRIMARAN_ORACLE_EXAMPLES"] = str(config.getoption("--oracle-examples"))


@pytest.fixture(autouse=True, scope="session")
def _processes_share_bytecode() -> Iterator[None]:
    """Where Python writes no bytecode, as in many containers, each of the hundreds of processes that tests start would
    compile every module again, which is half of a broker's start: they share a folder that goes with the run."""
    if not sys.dont_write_bytecode:
        yield
        return
    with (
        tempfile.TemporaryDirectory(prefix="trimaran-bytecode-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        environment.setenv("PYTHONPYCACHEPREFIX", folder)
        yield


@pytest.fixture
def autojump_clock(monkeypatch: pytest.MonkeyPatch) -> trio.testing.MockClock:
    """pytest-trio's clock, which stands still while a thread of Trio's works.

    Otherwise hours can pass while a thread waits for a core, and whatever has a limit then fails.
    """
    clock = trio.testing.MockClock(autojump_threshold=0)
    run_sync = trio.to_thread.run_sync
    working = 0

    async def held(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        nonlocal working
        working += 1
        clock.autojump_threshold = math.inf
        try:
            return await run_sync(function, *arguments, **options)
        finally:
            working -= 1
            if not working:
                clock.autojump_threshold = 0

    monkeypatch.setattr(trio.to_thread, "run_sync", held)
    return clock
