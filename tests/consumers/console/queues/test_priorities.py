"""Priorities that are remembered, in a number that has a limit."""

import pytest

from consumers.console.queues import priorities
from consumers.console.queues.priorities import Priorities


def test_the_usual_ones_come_first() -> None:
    found = Priorities()
    assert found.of("q") == ["high", "normal", "low"]
    assert all(found.add("q", one) for one in ("urgent", "low", "bulk", "urgent"))
    assert found.of("q") == ["high", "normal", "low", "bulk", "urgent"] and found.of("other") == [*priorities.USUAL]


def test_others_have_a_limit_for_each_queue_and_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priorities, "QUEUES", 2)
    found = Priorities()
    assert [found.add("a", str(number)) for number in range(22)] == [True] * 20 + [False] * 2
    assert found.add("a", "0") and found.add("a", "high") and len(found.of("a")) == 23
    assert [found.add(queue, "x") for queue in "bcbc"] == [True, False, True, False]
    assert found.add("c", "low") and found.of("c") == [*priorities.USUAL]
