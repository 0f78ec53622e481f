"""Slowing down on purpose."""

import pytest

from broker.config import Config
from broker.persistence import delays


def test_the_time_for_some_keys() -> None:
    assert delays.delay_seconds(0, 1000) == 0
    assert delays.delay_seconds(500, 1000) == pytest.approx(0.5)
    assert delays.delay_seconds(-10, 1000) == pytest.approx(100e-6)


def test_progress_waits_for_the_keys_since_the_last_report(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    seen: list[int] = []
    monkeypatch.setattr(delays.time, "sleep", slept.append)
    config = Config()
    assert delays.delayed(seen.append, config) == seen.append
    config.rdb_key_save_delay = 1000
    report = delays.delayed(seen.append, config)
    report(1000)
    report(1500)
    assert seen == [1000, 1500]
    assert slept == pytest.approx([1.0, 0.5])
