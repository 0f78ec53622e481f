"""Users: passwords, and changes as a whole."""

from hashlib import sha256

import pytest

from broker.acl.selector import RuleError
from broker.acl.user import NO_SUCH_PASSWORD, NOT_A_HASH, User
from broker.commands import command_table

TABLE = command_table()


def user(*rules: bytes) -> User:
    made = User(b"u")
    for rule in rules:
        made.apply(rule)
    return made


def test_passwords() -> None:
    made = user(b"on", b">one", b">two")
    assert made.accepts(b"one")
    assert made.accepts(b"two")
    assert not made.accepts(b"")
    made.apply(b"<one")
    assert not made.accepts(b"one")
    assert not user(b">one").accepts(b"one")  # off
    assert not user(b"on").accepts(b"")
    assert user(b"on", b"nopass").accepts(b"whatever")
    assert not user(b"on", b"nopass", b">one").accepts(b"whatever")


def test_a_hash_stands_for_its_password() -> None:
    digest = sha256(b"one").hexdigest().encode()
    made = user(b"on", b"#" + digest)
    assert made.accepts(b"one")
    assert not made.accepts(digest)
    assert b"#" + digest in made.describe()
    made.apply(b"!" + digest)
    assert not made.accepts(b"one")


@pytest.mark.parametrize(
    ("rule", "text"), [(b"<no", NO_SUCH_PASSWORD), (b"#ab", NOT_A_HASH), (b"!" + b"0" * 64, NO_SUCH_PASSWORD)]
)
def test_passwords_that_cannot_be(rule: bytes, text: bytes) -> None:
    with pytest.raises(RuleError) as caught:
        user(rule)
    assert caught.value.text == text


def test_all_rights() -> None:
    assert user(b"+@all", b"~*", b"&*").has_all_rights
    assert user(b"(+@all ~* &*)").has_all_rights
    assert not user(b"+@all", b"~*").has_all_rights
    assert not user(b"+@all", b"~*", b"&*", b"reset").has_all_rights


def test_a_copy_is_independent_until_it_is_taken_over() -> None:
    made = user(b"on", b">one", b"+get", b"(+set)")
    before = made.describe()
    changed = made.copy(False)
    for rule in (b"off", b">two", b"+del", b"clearselectors"):
        changed.apply(rule)
    assert made.describe() == before
    made.become(changed)
    assert made.describe() == changed.describe() != before


def test_what_is_printed_makes_an_equal_user() -> None:
    made = user(b"on", b">one", b"~a", b"%R~b*", b"&c", b"+@read", b"-get", b"+config|get", b"(+set ~z)", b"(+del)")
    root, *selectors = made.describe().replace(b")", b"").split(b" (")
    again = user(*root.split(), *[b"(" + selector + b")" for selector in selectors])
    assert again.describe() == made.describe()


def test_requests_that_read_keys_their_arguments_do_not_name() -> None:
    args = [b"sort", b"k", b"by", b"x*"]
    command = TABLE.find(args)
    assert command is not None
    assert user(b"+sort", b"%R~*").permits_reading_all_keys(command, args)
    assert not user(b"+sort", b"~k").permits_reading_all_keys(command, args)
    assert not user(b"+sort", b"~k", b"(~*)").permits_reading_all_keys(command, args)
