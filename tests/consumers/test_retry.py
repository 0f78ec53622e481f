"""The delay between attempts."""

import pytest

from consumers.retry import Backoff


def test_the_delay_grows_to_its_longest() -> None:
    backoff = Backoff(initial=1, factor=2, max=10, jitter=False)
    assert [backoff.delay(attempt) for attempt in (1, 2, 3, 4, 5, 6)] == [1, 2, 4, 8, 10, 10]
    assert backoff.delay(10**6) == 10


def test_jitter_takes_up_to_half_off() -> None:
    delays = {Backoff(initial=8, jitter=True).delay(1) for _ in range(200)}
    assert len(delays) > 100 and 4 <= min(delays) < 5 and 7 < max(delays) <= 8


@pytest.mark.parametrize("wrong", [{"initial": -1}, {"max": -1}, {"factor": 0.5}])
def test_impossible_curves_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Backoff(**wrong)  # type: ignore[arg-type]
