"""How a job ended, stored and read."""

from typing import Any

import pytest

from consumers.jobs.outcomes import CANCELLED, JobCancelled, JobFailed, failure, outcome, success
from consumers.jobs.payloads import decoder

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
        stored = failure(error, 3)
    with pytest.raises(JobFailed) as caught:
        outcome(stored, PLAIN)
    assert caught.value.kind == "KeyError" and caught.value.attempts == 3
    assert len(caught.value.message) == 1000 and len(caught.value.traceback) <= 8000


def test_texts_that_are_not_unicode_do_not_hinder_a_failure() -> None:
    with pytest.raises(JobFailed, match=r"^ValueError: \?$"):
        outcome(failure(ValueError("\udcff"), 1), PLAIN)


def test_a_cancellation_and_what_is_no_result() -> None:
    with pytest.raises(JobCancelled):
        outcome(CANCELLED, PLAIN)
    for stored in (b"", b"?", b"{}"):
        with pytest.raises(ValueError, match="the stored value is not a result"):
            outcome(stored, PLAIN)
