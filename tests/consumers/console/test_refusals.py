"""Forms that were refused."""

import pytest
from coredis.exceptions import AuthenticationError, AuthorizationError, ConnectionError, ResponseError

from consumers.console.entered import Unreadable
from consumers.console.refusals import NOTHING_REFUSED, Refusal


def test_what_was_typed_is_kept_in_its_own_form() -> None:
    refusal = Refusal.of("trim", ResponseError("no integer"), {"threshold": "many\r\nlines"})
    assert (refusal.why("trim"), refusal.why("policy"), refusal.status) == ("no integer", "", 400)
    assert refusal.value("trim", "threshold", "5") == "many\nlines"
    assert refusal.value("trim", "other", "5") == "5"
    assert refusal.value("policy", "threshold", "5") == "5"


def test_who_may_not_is_told_so() -> None:
    assert Refusal.of("trim", AuthorizationError("no permissions"), {}).status == 403
    assert Refusal.of("trim", Unreadable("no digits"), {}).status == 400


@pytest.mark.parametrize("error", [AuthenticationError("no such user"), ConnectionError("gone")])
def test_what_is_about_the_connection_is_raised_again(error: Exception) -> None:
    with pytest.raises(type(error)):
        Refusal.of("trim", error, {})


def test_a_page_without_a_refusal() -> None:
    assert NOTHING_REFUSED.status == 200 and NOTHING_REFUSED.why("trim") == ""
    assert NOTHING_REFUSED.value("trim", "threshold", "5") == "5"
