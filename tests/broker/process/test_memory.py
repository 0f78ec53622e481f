"""What the system says of the process's memory."""

import pytest

from broker.process import memory as process_memory
from broker.process.memory import human, measure, of_machine, peak_resident, resident, unused, writable

MEGABYTE = 1 << 20


def test_the_process_has_memory() -> None:
    assert 1 << 20 < resident() < 1 << 36
    assert peak_resident() > 1 << 20
    assert of_machine() > resident()


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (1, "1B"), (1023, "1023B"), (1024, "1.00K"), (1536, "1.50K"), (1 << 20, "1.00M"), (5 << 30, "5.00G"),
     (3 << 40, "3.00T"), (1 << 60, "1024.00P")],
)  # fmt: skip
def test_sizes_for_people(size: int, text: str) -> None:
    assert human(size) == text


@pytest.mark.parametrize(
    ("count", "size"), [(200_000, 60), (20_000, 2_000), (40, 1 << 20), (1, 50 << 20)], ids=["small", "2K", "1M", "50M"]
)
def test_what_is_in_use_falls_with_every_object_freed(count: int, size: int) -> None:
    before = measure().in_use
    values = [b"v" * size for _ in range(count)]
    taken = measure().in_use - before
    assert 0.95 < taken / (count * (size + 33)) < 1.35
    del values[::2]
    half = measure().in_use - before
    assert 0.4 * taken - MEGABYTE < half < 0.6 * taken + MEGABYTE or count == 1
    del values
    assert abs(measure().in_use - before) < 2 * MEGABYTE


def test_in_use_and_resident_belong_together() -> None:
    memory = measure()
    assert memory.resident == pytest.approx(resident(), rel=0.2)
    assert memory.in_use < memory.resident * 1.2


def test_where_the_allocators_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_memory, "_function", lambda *_: None)
    blind = process_memory._Allocators()
    assert blind.measure() == pytest.approx((resident(), resident()), rel=0.05)


def test_without_c_figures_what_python_has_free_is_not_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    allocators = process_memory._Allocators()
    monkeypatch.setattr(allocators, "_c", None)
    python, free = allocators._of_python()
    assert python > free > 0
    memory = allocators.measure()
    assert memory.in_use == pytest.approx(memory.resident - free, abs=4 * MEGABYTE)


def test_without_statm_the_peak_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_memory, "_statm", lambda: -1)
    assert resident() == writable() == peak_resident()


def test_writable_memory_holds_what_was_never_touched() -> None:
    before, resident_before = writable(), resident()
    untouched = bytes(100 * MEGABYTE)
    assert 99 * MEGABYTE < writable() - before < 102 * MEGABYTE
    assert resident() - resident_before < 10 * MEGABYTE
    del untouched
    assert writable() - before < MEGABYTE


def test_what_is_unused_can_be_used() -> None:
    values = [b"%0100d" % number for number in range(100_000)]
    full = unused()
    del values[::2]
    assert 6 * MEGABYTE < unused() - full < 10 * MEGABYTE
