"""How a job ended, stored and read."""

from typing import Any

import pytest

from consumers.jobs.outcomes import (
    JobCancelled,
    JobExpired,
    JobFailed,
    cancelled,
    ended,
    error_of,
    expired,
    failure,
    outcome,
    success,
)
from consumers.jobs.payloads import decoder, encode
from consumers.jobs.states import Progress

PLAIN = decoder(Any)


def test_a_result_comes_back() -> None:
    assert outcome(success({"a": (1, None)}), PLAIN) == {"a": [1, None]}
    assert outcome(success(None), decoder(None)) is None
    with pytest.raises(TypeError):
        success(object())


def test_a_failure_says_what_was_raised_and_where() -> None:
    try:
        raise KeyError("x" * 5000)
    except KeyError as error:
        stored = failure(error, ("job", 3, 1.0, 2.0, "w", None))
    with pytest.raises(JobFailed) as caught:
        outcome(stored, PLAIN)
    assert caught.value.kind == "KeyError" and caught.value.attempts == 3
    assert len(caught.value.message) == 1000 and len(caught.value.traceback) <= 8000


def test_texts_that_are_not_unicode_do_not_hinder_a_failure() -> None:
    with pytest.raises(JobFailed, match=r"^ValueError: \?$"):
        outcome(failure(ValueError("\udcff")), PLAIN)


def test_a_cancellation_and_what_is_no_result() -> None:
    with pytest.raises(JobCancelled):
        outcome(cancelled(), PLAIN)
    with pytest.raises(JobExpired):
        outcome(expired(), PLAIN)
    for stored in (b"", b"?", b"{}"):
        with pytest.raises(ValueError, match="the stored value is not a result"):
            outcome(stored, PLAIN)


def test_an_outcome_tells_how_the_job_ended() -> None:
    stamp = ("resize", 2, 100.5, 101.25, "worker 1", Progress(3, 4, "nearly", 101.0))
    for stored in (success(b"result", stamp), failure(ValueError("no"), stamp), cancelled(stamp), expired(stamp)):
        _, one = ended(stored)
        assert (one.job, one.attempts, one.begun, one.ended, one.worker, one.progress) == stamp
    _, one = ended(failure(ValueError("no"), stamp))
    assert str(error_of(one)) == "ValueError: no" and error_of(one).attempts == 2


def test_outcomes_of_earlier_workers_are_read() -> None:
    assert outcome(b"+\x05", PLAIN) == 5
    with pytest.raises(JobCancelled):
        outcome(b"x", PLAIN)
    failed = encode({"kind": "KeyError", "message": "a", "attempts": 2, "traceback": ""})
    with pytest.raises(JobFailed, match=r"^KeyError: a$"):
        outcome(b"-" + failed, PLAIN)
