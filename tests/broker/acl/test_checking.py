"""Verdicts on requests; that they are Redis's is shown in tests/oracle/test_acl_generated.py."""

import pytest

from broker.acl.checking import CHANNEL_DENIED, COMMAND_DENIED, KEY_DENIED, PERMITTED, channel_permitted, verdict
from broker.acl.selector import Selector
from broker.commands import command_table

TABLE = command_table()


def selectors(*texts: str) -> list[Selector]:
    made = []
    for text in texts:
        selector = Selector()
        for rule in text.encode().split():
            selector.apply(rule)
        made.append(selector)
    return made


def check(request: str, *texts: str) -> int:
    args = request.encode().split()
    command = TABLE.find(args)
    assert command is not None
    return verdict(selectors(*texts), command, args)


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("GET a", PERMITTED),
        ("GET b", KEY_DENIED + 1),
        ("DEL a", COMMAND_DENIED),
        ("MGET a a b", KEY_DENIED + 3),
        ("SET a 1", KEY_DENIED + 1),
        ("SET w 1", PERMITTED),
        ("SET w 1 GET", KEY_DENIED + 1),
        ("SET w 1 EX 5", PERMITTED),
        ("EXISTS a w", PERMITTED),
        ("PUBLISH c m", PERMITTED),
        ("PUBLISH d c", CHANNEL_DENIED + 1),
        ("SUBSCRIBE c d", CHANNEL_DENIED + 2),
        ("PSUBSCRIBE c", PERMITTED),
        ("PSUBSCRIBE c*", CHANNEL_DENIED + 1),
        ("SELECT 0", PERMITTED),
        ("SELECT 1", COMMAND_DENIED),
        ("SELECT A", PERMITTED),
        ("AUTH x", PERMITTED),
    ],
)
def test_one_selector(request_text: str, expected: int) -> None:
    rules = "%R~a %W~w &c +get +mget +set +exists +publish +subscribe +psubscribe +select|0 +select|a"
    assert check(request_text, rules) == expected


def test_the_best_selector_counts_and_otherwise_the_most_telling_reason() -> None:
    both = ("+get ~a", "+mget ~b")
    assert check("GET a", *both) == PERMITTED
    assert check("MGET b b", *both) == PERMITTED
    assert check("MGET b a", *both) == KEY_DENIED + 2
    assert check("GET b", *both) == KEY_DENIED + 1
    assert check("SET b 1", *both) == COMMAND_DENIED


def test_a_lone_star_does_not_match_the_empty_key() -> None:
    (selector,) = selectors("%R~* +get")
    command = TABLE.find([b"get", b""])
    assert command is not None
    assert verdict([selector], command, [b"get", b""]) == KEY_DENIED + 1
    assert verdict([selector], command, [b"get", b"a"]) == PERMITTED


def test_channels() -> None:
    (selector,) = selectors("&a* &b")
    assert channel_permitted(selector, b"ab", False)
    assert not channel_permitted(selector, b"ab", True)
    assert channel_permitted(selector, b"a*", True)
    assert not channel_permitted(selector, b"c", False)
