"""A broker in a process that is forked, for tests that start many: it costs a tenth of a new interpreter."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.crash.process import run_broker
from tests.forkserver import context

__all__ = ["BrokerProcess"]


class BrokerProcess:
    """`python -m broker` with these words, its output appended to a file; the methods are subprocess.Popen's."""

    def __init__(self, words: Sequence[str], log: Path) -> None:
        log.touch()
        self._process = context.Process(target=run_broker, args=([*words], log))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            raise subprocess.TimeoutExpired("broker", timeout or 0)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
