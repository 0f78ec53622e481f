"""Lists of CPUs."""

import os

import pytest

from broker.process.cpus import parse_cpus, stay_on


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0", {0}),
        ("0,2-3", {0, 2, 3}),
        ("0-6:2", {0, 2, 4, 6}),
        ("1 3", {1, 3}),
        ("5-5", {5}),
        ("", set()),
    ],
)
def test_lists(text: str, cpus: set[int]) -> None:
    assert parse_cpus(text) == cpus


@pytest.mark.parametrize("text", ["x", "3-1", "-1", "1-", "0-4:0", "0-9999999999", "0:x"])
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ValueError):
        parse_cpus(text)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no such call")
def test_a_process_stays_on_its_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, set[int]]] = []
    warnings: list[str] = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda thread, cpus: calls.append((thread, set(cpus))))
    for text in ("", "0-1", "x"):
        stay_on(text, lambda text, **values: warnings.append(text))
    assert calls == [(0, {0, 1})]
    assert warnings == ["the list of CPUs can't be followed"]
