"""When writes during a sync are postponed; test_journal.py shows what that does to the file."""

from pathlib import Path

import pytest

from broker.persistence import postponing
from broker.persistence.postponing import BLOCKED_SECONDS, GATHER_SECONDS, POSTPONED_MS, Postponement
from broker.process.log import Log


class Time:
    """What the module sees as the time, and how often it waited."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.waits = 1
        monkeypatch.setattr(postponing, "monotonic", lambda: self.now)
        monkeypatch.setattr(postponing, "times_waited", lambda: self.waits)

    def pass_by(self, seconds: float, asleep: bool = True) -> None:
        self.now += seconds
        self.waits += asleep


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def test_a_write_that_waits_postpones_the_next_ones_for_a_while(time: Time, tmp_path: Path) -> None:
    log = tmp_path / "log"
    postponement = Postponement(Log(path=str(log)))
    assert not postponement.applies(0)
    assert postponement.attempt(lambda: time.pass_by(2 * BLOCKED_SECONDS))
    assert postponement.applies(POSTPONED_MS - 1)
    assert not postponement.applies(POSTPONED_MS)
    time.now += GATHER_SECONDS
    assert not postponement.applies(0)
    assert postponement.attempt(lambda: time.pass_by(1))
    assert log.read_text().count("had to wait") == 1


@pytest.mark.parametrize(("seconds", "asleep"), [(0.0, True), (1.0, False)])
def test_a_quick_write_and_one_that_never_slept_postpone_nothing(
    time: Time, tmp_path: Path, seconds: float, asleep: bool
) -> None:
    postponement = Postponement(Log(path=str(tmp_path / "log")))
    assert not postponement.attempt(lambda: time.pass_by(seconds, asleep))
    assert not postponement.applies(0)
