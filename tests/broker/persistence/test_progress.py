"""How far loading is: its text, when it is logged, and what INFO makes of it."""

import time
from pathlib import Path

import pytest

from broker.persistence.progress import LOADING, Progress
from broker.process.log import Log


class Watch:
    """A clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def begun(log: Log | None = None, total: int = 3 * 1024**3) -> Progress:
    progress = Progress(log or Log("nothing"))
    progress.begin(7)
    progress.total = total
    return progress


def test_the_text(watch: Watch) -> None:
    progress = begun()
    assert str(progress) == LOADING
    watch.now += 10
    progress.loaded = 3 * 1024**3 // 4
    assert str(progress) == f"{LOADING}: 25 %, 768.00M of 3.00G, 30 s left"
    watch.now += 110
    assert str(progress).endswith(", 6 min left")


def test_a_second_load_begins_at_nothing(watch: Watch) -> None:
    progress = begun()
    progress.loaded = 5
    progress.rdb({b"used-mem": b"77"})
    assert progress.rdb_used_memory == 77
    progress.begin(9)
    assert (progress.began, progress.loaded, progress.total, progress.rdb_used_memory) == (9, 0, 0, 0)
    assert progress.percent == 0


@pytest.mark.parametrize("text", [b"", b"x", b"-1"])
def test_a_size_that_is_none(text: bytes) -> None:
    progress = begun()
    progress.rdb({b"used-mem": text})
    assert progress.rdb_used_memory == 0


def test_a_quick_start_logs_nothing_and_a_slow_one_every_five_seconds(watch: Watch, tmp_path: Path) -> None:
    progress = begun(Log(path=str(tmp_path / "log")), 100)
    for _ in range(49):
        watch.now += 0.1
        progress.report()
    assert (tmp_path / "log").read_text() == ""
    for second in range(1, 21):
        watch.now += 0.5
        progress.loaded = second * 5
        progress.report()
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.partition(f"{LOADING}: ")[2] for line in lines] == [
        "5 %, 5B of 100B, 86 s left", "55 %, 55B of 100B, 8 s left"
    ]  # fmt: skip
