"""What one can choose is checked when it is chosen."""

from typing import Any

import pytest

from consumers.options import Options


def test_the_defaults_are_fine() -> None:
    options = Options(streams=("orders",), group="billing")
    assert options.consumer and options.prefetch == 64 and options.concurrency == 16


@pytest.mark.parametrize(
    "wrong",
    [
        {"streams": ()}, {"streams": ("a", "a")}, {"prefetch": 0}, {"concurrency": 0}, {"max_deliver": 0},
        {"ack_wait": 0.01}, {"block": 0}, {"consumer": "(delayed)"},
    ],
)  # fmt: skip
def test_impossible_choices_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Options(**{"streams": ("orders",), "group": "billing"} | wrong)
