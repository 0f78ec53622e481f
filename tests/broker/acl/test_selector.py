"""Rules, and the texts they print; that both are Redis's is shown in tests/oracle/test_acl.py."""

import pytest

from broker.acl.selector import READ, READ_WRITE, UNKNOWN, WRITE, RuleError, Selector, has_spaces, parse_selector
from broker.commands import command_table

TABLE = command_table()


def selector(*rules: bytes) -> Selector:
    made = Selector()
    for rule in rules:
        made.apply(rule)
    return made


def allows(made: Selector, name: bytes) -> bool:
    return any(bool(made.allowed[command.id]) for command in TABLE if command.name == name)


def test_a_new_selector_permits_nothing() -> None:
    made = Selector()
    assert not any(made.allowed)
    assert made.describe() == b"resetchannels -@all"
    assert Selector(all_channels=True).describe() == b"&* -@all"


def test_a_container_includes_its_subcommands() -> None:
    made = selector(b"+config", b"-config|set")
    assert allows(made, b"config|get")
    assert not allows(made, b"config|set")
    assert made.describe_commands() == b"-@all +config -config|set"


def test_everything_but_one_command() -> None:
    made = selector(b"+@all", b"~*", b"&*")
    assert made.permits_all()
    made.apply(b"-get")
    assert not made.permits_all()
    assert made.future
    made.apply(b"+get")
    assert not made.all_commands  # as in Redis: only +@all says so again
    assert allows(made, b"get")


def test_first_arguments_are_forgotten_with_their_command() -> None:
    made = selector(b"+select|0", b"+select|1")
    (select,) = (command for command in TABLE if command.name == b"select")
    assert made.first_arguments == {select.id: [b"0", b"1"]}
    made.apply(b"-select")
    assert made.first_arguments == {}


def test_key_patterns() -> None:
    made = selector(b"%R~a*", b"%W~b?c", b"~c")
    assert [(each.prefix, each.permissions) for each in made.keys.values()] == [
        (b"a", READ),
        (None, WRITE),
        (None, READ_WRITE),
    ]
    made.apply(b"%W~a*")
    assert made.describe_keys() == b"~a* %W~b?c ~c"
    assert not made.permits_all_keys(READ)
    made.apply(b"%R~*")
    assert made.permits_all_keys(READ)
    assert not made.permits_all_keys(READ_WRITE)


def test_a_copy_is_independent() -> None:
    made = selector(b"+select|0", b"~a", b"&c")
    twin = made.copy()
    twin.apply(b"+select|1")
    twin.apply(b"+get")
    twin.apply(b"~b")
    twin.apply(b"&d")
    assert made.describe() == b"~a resetchannels &c -@all +select|0"
    assert twin.describe() == b"~a ~b resetchannels &c &d -@all +select|0 +select|1 +get"
    assert not allows(made, b"get")


@pytest.mark.parametrize("rule", [b"+nothing", b"-nothing", b"+@nothing", b"+config|nothing"])
def test_an_unknown_command_changes_nothing(rule: bytes) -> None:
    made = selector(b"+get")
    with pytest.raises(RuleError) as caught:
        made.apply(rule)
    assert caught.value.text == UNKNOWN
    assert made.describe_commands() == b"-@all +get"


def test_a_selector_in_parentheses() -> None:
    assert parse_selector(b'(~a "+get")', False).describe() == b"~a resetchannels -@all +get"
    assert parse_selector(b"()", True).describe() == b"&* -@all"


def test_spaces() -> None:
    assert has_spaces(b"a b")
    assert has_spaces(b"a\0")
    assert not has_spaces(b"ab")
