"""What the system says of the process's memory."""

import pytest

from broker.process_memory import human, of_machine, peak_resident, resident


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
