"""What all readers share: actions that are known, times, numbers."""

import pytest

from consumers.console.queues.discovery import libraries
from consumers.console.queues.library import Refused, Scope, State, check, iso_time, jobs_text, number_in


@pytest.mark.parametrize("library", libraries(), ids=lambda one: one.name)
def test_actions_are_those_that_are_declared(library) -> None:
    for action in library.actions:
        for state in action.states or (None,):
            one = "id" if action.scope is Scope.JOB else ""
            assert check(library, action.name, state, one) is action
            assert action.states == () or state in library.states
    for bad in (("explode", None, ""), ("delete", None, ""), ("purge", State.RUNNING, ""), ("pause", State.DEAD, "")):
        with pytest.raises(Refused, match="no action"):
            check(library, *bad)


def test_times() -> None:
    assert iso_time("1970-01-01T00:01:00Z") == iso_time(b"1970-01-01T00:01:00.000000Z") == 60.0
    assert iso_time("1970-01-01T01:00:00+01:00") == iso_time("1970-01-01T00:00:00") == 0.0
    assert iso_time("") is iso_time(None) is iso_time("soon") is iso_time(b"\xff") is iso_time(5) is None


def test_numbers() -> None:
    assert number_in(b"5") == number_in("5") == number_in(5) == 5.0
    assert number_in(None) is number_in(b"x") is number_in("nan") is number_in("1e99") is number_in(True) is None
    assert number_in(10**400) is None


def test_sentences() -> None:
    assert jobs_text(1, "deleted") == "1 job was deleted."
    assert jobs_text(0, "deleted") == "0 jobs were deleted."
