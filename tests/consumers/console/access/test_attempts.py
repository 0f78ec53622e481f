"""How often a wrong password may be tried."""

from consumers.console.access.attempts import ADDRESSES, ALLOWED, SECONDS, Attempts


def test_an_address_has_to_wait() -> None:
    now = 1000.0
    attempts = Attempts(lambda: now)
    for _ in range(ALLOWED):
        assert attempts.wait("192.0.2.1") == 0
        attempts.failed("192.0.2.1")
    assert attempts.wait("192.0.2.1") == SECONDS
    assert attempts.wait("192.0.2.2") == 0
    now += SECONDS
    assert attempts.wait("192.0.2.1") == 0
    attempts.failed("192.0.2.1")
    assert attempts.wait("192.0.2.1") == 0


def test_a_success_is_a_new_start() -> None:
    attempts = Attempts(lambda: 1000.0)
    for _ in range(ALLOWED):
        attempts.failed("a")
    attempts.succeeded("a")
    assert attempts.wait("a") == 0


def test_a_network_of_ipv6_is_one_address() -> None:
    attempts = Attempts(lambda: 1000.0)
    for number in range(ALLOWED):
        attempts.failed(f"2001:db8::{number}")
    assert attempts.wait("2001:db8::ffff") > 0
    assert attempts.wait("2001:db8:1::1") == 0


def test_what_is_remembered_is_limited() -> None:
    attempts = Attempts(lambda: 1000.0)
    for number in range(ADDRESSES + 10):
        attempts.failed(str(number))
    assert len(attempts._failures) == ADDRESSES
