"""The system's log, in place of which a list stands."""

import syslog
from pathlib import Path

import pytest

from broker.process.log import Log
from broker.process.syslog import Syslog


def test_lines_go_to_both_logs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[tuple[str, int, int]] = []
    sent: list[tuple[int, str]] = []
    monkeypatch.setattr(syslog, "openlog", lambda *arguments: opened.append(arguments))
    monkeypatch.setattr(syslog, "syslog", lambda priority, text: sent.append((priority, text)))
    log = Log("verbose", str(tmp_path / "log"), syslog=Syslog("redis", "local3"))
    log.debug("unseen")
    log.verbose("v", id=7)
    log.notice("n")
    log.warning("a\nb\udcff\0")
    assert opened == [("redis", syslog.LOG_PID | syslog.LOG_NDELAY | syslog.LOG_NOWAIT, syslog.LOG_LOCAL3)]
    assert sent == [
        (syslog.LOG_INFO, "v id=7"),
        (syslog.LOG_NOTICE, "n"),
        (syslog.LOG_WARNING, "a\\nb\\udcff\\x00"),
    ]
    assert len((tmp_path / "log").read_text().splitlines()) == 3
