"""Parsers generated from declared syntax: what each form of option leaves, repetition, order of errors, drift."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace, UnionType
from typing import Any, get_args, get_origin

import pytest

import broker.commands  # noqa: F401  (declares all commands)
from broker.table.command import DECLARED
from broker.table.parsers import Parser
from protocol.errors import NOT_FLOAT, NOT_INTEGER, SYNTAX, CommandError


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> "Declare":
    return Declare(monkeypatch)


class Declare:
    """Makes the parser of a command with that syntax."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, syntax: str, **facts: Any) -> Parser[Any]:
        self._monkeypatch.setitem(DECLARED, b"tried", SimpleNamespace(syntax=syntax))  # type: ignore[arg-type]
        return Parser("TRIED", **facts)


def parsed(parser: Parser[Any], text: str, *context: object) -> Any:
    """What the options in `text` are, or the error's text."""
    args = text.encode().split()
    try:
        result = parser.parse([b"TRIED", *args], 1, *context)
    except CommandError as error:
        return error.text
    return result[0] if len(result) == 1 else result


def test_flags_and_values(declare: Declare) -> None:
    parser = declare("key [CH] [COUNT count] [MATCH pattern] [AT score] [LIMIT offset count]")
    assert parsed(parser, "") == (False, None, None, None, None, None)
    assert parsed(parser, "LIMIT 1 2 ch at 1.5 Match a* COUNT 9") == (True, 9, b"a*", 1.5, 1, 2)
    assert parsed(parser, "COUNT 1 COUNT 2 CH CH") == (True, 2, None, None, None, None)


@pytest.mark.parametrize(
    "text, error",
    [
        ("FOO", SYNTAX),
        ("COUNT", SYNTAX),
        ("COUNT x FOO", NOT_INTEGER),
        ("FOO COUNT x", SYNTAX),
        ("AT x COUNT x", NOT_FLOAT),
        ("LIMIT 1", SYNTAX),
        ("LIMIT x 1", NOT_INTEGER),
        ("LIMIT 1 x", NOT_INTEGER),
        ("COUNT 9223372036854775808", NOT_INTEGER),
        ("COUNT CH", NOT_INTEGER),
    ],
)
def test_errors_from_left_to_right(declare: Declare, text: str, error: bytes) -> None:
    parser = declare("key [CH] [COUNT count] [AT score] [LIMIT offset count]")
    assert parsed(parser, text) == error


def test_alternatives_exclude_each_other(declare: Declare) -> None:
    parser = declare("key [NX|XX] expiration=[EX seconds|PX milliseconds|KEEPTTL]", values={"PX": bytes})
    assert parsed(parser, "") == (b"", b"", b"")
    assert parsed(parser, "xx ex 5") == (b"XX", b"EX", 5)
    assert parsed(parser, "NX NX PX x PX y") == (b"NX", b"PX", b"y")
    assert parsed(parser, "KEEPTTL") == (b"", b"KEEPTTL", b"")
    for text in ("NX XX", "EX 1 PX 1", "KEEPTTL EX 1", "EX 1 KEEPTTL", "EX"):
        assert parsed(parser, text) == SYNTAX
    assert parsed(parser, "EX 1 EX x") == NOT_INTEGER


def test_the_last_alternative_counts(declare: Declare) -> None:
    parser = declare("key [ASC|DESC]", last=("order",))
    assert parsed(parser, "ASC DESC") == b"DESC"
    parser = declare("key expiry=[EX seconds|PERSIST]", last=("expiry",))
    assert parsed(parser, "EX 1 PERSIST") == (b"PERSIST", b"")
    assert parsed(parser, "PERSIST EX 1") == (b"EX", 1)


def test_alternatives_that_may_stand_together(declare: Declare) -> None:
    parser = declare("key [NX|XX] [CH]", free=("condition",))
    assert parsed(parser, "XX NX") == (True, True, False)


def test_options_before_other_arguments(declare: Declare) -> None:
    parser = declare("key [NX|XX] [CH] [COUNT count] score", leading=True)
    assert parsed(parser, "1 a CH") == (1, b"", False, None)
    assert parsed(parser, "ch NX 1 a CH") == (3, b"NX", True, None)
    assert parsed(parser, "ch") == (2, b"", True, None)
    assert parsed(parser, "CH COUNT") == SYNTAX


def test_once(declare: Declare) -> None:
    parser = declare(
        "key [REV] ab=[A|B] [COUNT count]", once={"REV": b"ERR rev", "ab": b"ERR ab", "COUNT": b"ERR count"}
    )
    assert parsed(parser, "REV A COUNT 1") == (True, b"A", 1)
    assert parsed(parser, "REV REV") == b"ERR rev"
    assert parsed(parser, "A A") == b"ERR ab"
    assert parsed(parser, "COUNT 1 COUNT 2") == b"ERR count"
    assert parsed(parser, "COUNT 1 COUNT") == SYNTAX


def test_together(declare: Declare) -> None:
    apart = declare("key [REPLACE] [IDLE seconds] [FREQ frequency]", together={"eviction": ("IDLE", "FREQ")})
    assert parsed(apart, "") == (False, b"", b"")
    assert parsed(apart, "FREQ 5 REPLACE") == (True, b"FREQ", b"5")
    assert parsed(apart, "IDLE 1 FREQ 5") == SYNTAX
    last = declare("key [IDLE ms] [TIME ms]", together={"time": ("IDLE", "TIME")}, last=("time",))
    assert parsed(last, "TIME 1 IDLE 2") == (b"IDLE", 2)


def test_converters(declare: Declare) -> None:
    def small(text: bytes) -> int:
        if len(text) > 1:
            raise CommandError(b"ERR long")
        return int(text)

    def sum_of(a: bytes, b: bytes) -> int:
        return int(a) + int(b)

    def within(text: bytes, most: int) -> int:
        return min(int(text), most)

    parser = declare(
        "key [COUNT count] [LIMIT offset count] [BLOCK ms] from=[MEMBER member|POSITION x y]",
        values={"COUNT": small, "LIMIT": sum_of, "BLOCK": within, "POSITION": sum_of},
        context=("BLOCK",),
        defaults={"COUNT": 7},
    )
    assert parsed(parser, "", 9) == (7, None, None, b"", b"")
    assert parsed(parser, "LIMIT 3 4 COUNT 5 BLOCK 99 POSITION 1 2", 9) == (5, 7, 9, b"POSITION", 3)
    assert parsed(parser, "member 1", 9) == (7, None, None, b"MEMBER", b"1")
    assert parsed(parser, "COUNT 55 FOO", 9) == b"ERR long"


def test_values_of_several_tokens(declare: Declare) -> None:
    parser = declare("key [GET pattern] ... [AGGREGATE <SUM|MIN>] [WEIGHTS weight:double ...]", context=("WEIGHTS",))
    assert parsed(parser, "", 2) == ([], None, None)
    assert parsed(parser, "get a GET b aggregate min weights 1 2", 2) == ([b"a", b"b"], b"MIN", [b"1", b"2"])
    assert parser.parse([], 0, 0)[0] is not parser.parse([], 0, 0)[0]
    for text in ("AGGREGATE MAX", "WEIGHTS 1", "AGGREGATE", "GET"):
        assert parsed(parser, text, 2) == SYNTAX
    every = declare("key [BY pattern] [GET pattern]", collect=("BY",))
    assert parsed(every, "BY a BY b GET c GET d") == ([b"a", b"b"], b"d")
    numbers = declare("key [WEIGHTS weight ...]", context=("WEIGHTS",), values={"WEIGHTS": float})
    assert parsed(numbers, "WEIGHTS 1 2.5", 2) == [1.0, 2.5]


def test_a_list_with_its_length(declare: Declare) -> None:
    def counted(text: bytes, there: int) -> int:
        if int(text) > there:
            raise CommandError(b"ERR too few")
        return int(text)

    parser = declare("key [FORCE] IDS numids id ...", required=("ids",), values={"IDS": counted})
    assert parsed(parser, "IDS 2 a b FORCE") == (True, [b"a", b"b"])
    assert parsed(parser, "FORCE") == (True, None)
    assert parsed(parser, "IDS 3 a b") == b"ERR too few"
    assert parsed(parser, "IDS") == SYNTAX


def test_blocks_whose_parts_are_options(declare: Declare) -> None:
    parser = declare("key by=<BYRADIUS radius unit=<M|KM>> count-block=[<COUNT count> [ANY]]", required=("by",),
                     values={"BYRADIUS": lambda radius, unit: (radius, unit)})  # fmt: skip
    assert parsed(parser, "ANY COUNT 3 BYRADIUS 5 km") == ((b"5", b"km"), 3, True)
    filters = declare("filter=<old=ip|new=<[ID id:integer]|[SKIPME <YES|NO>]> ...>", required=("filter",))
    assert parsed(filters, "skipme yes ID 5") == (5, b"YES")
    nested = declare("[protover [AUTH username password] [SETNAME name]]")
    assert parsed(nested, "SETNAME x AUTH a b") == (b"a", b"b", b"x")


def test_errors_of_ones_own(declare: Declare) -> None:
    parser = declare("key [COUNT count]", error=lambda args, at: CommandError(b"ERR no " + args[at]))
    assert parsed(parser, "COUNT 1 foo") == b"ERR no foo"
    assert parsed(parser, "COUNT") == b"ERR no COUNT"
    text = declare("key [COUNT count]", error=b"ERR it's none")
    assert parsed(text, "x") == b"ERR it's none"
    refusing = declare("key [COUNT count]", refused={"NOACK": b"ERR noack", "GROUP group consumer": b"ERR group"})
    assert parsed(refusing, "noack") == b"ERR noack"
    assert parsed(refusing, "GROUP a b") == b"ERR group"
    assert parsed(refusing, "GROUP a") == SYNTAX


def test_options_that_are_not_documented(declare: Declare) -> None:
    parser = declare("key [STOREDIST]", also="[WITHDIST]")
    assert parsed(parser, "WITHDIST") == (False, True)


def test_several_values_need_a_converter_among_alternatives(declare: Declare) -> None:
    parser = declare("key from=[MEMBER member|POSITION x y]")
    with pytest.raises(ValueError, match="TRIED: POSITION has several values and no converter"):
        parser.parse  # noqa: B018


def test_any_tokens_and_names(declare: Declare) -> None:
    parser = declare("key [FROM from:integer] [IDMP-DURATION and:integer] [END end] [ARGS args]")
    assert parsed(parser, "from 1 idmp-duration 2 end x args y") == (1, 2, b"x", b"y")


@pytest.mark.parametrize(
    "facts",
    [
        {"values": {"FOO": bytes}},
        {"defaults": {"FOO": 1}},
        {"once": {"FOO": b""}},
        {"last": ("foo",)},
        {"free": ("foo",)},
        {"required": ("foo",)},
        {"context": ("FOO",)},
        {"collect": ("FOO",)},
        {"together": {"x": ("COUNT", "FOO")}},
    ],
)
def test_a_name_that_the_syntax_lacks(declare: Declare, facts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"TRIED has no .*(foo|FOO)"):
        declare("key [COUNT count]", **facts).parse  # noqa: B018


def test_the_source_is_there_to_be_read(declare: Declare) -> None:
    assert "def parse(args, at, context=None):" in declare("key [COUNT count]").source


def _parsers() -> Iterator[tuple[str, Parser[Any]]]:
    for name, module in sorted(sys.modules.items()):
        if name.startswith("broker.commands."):
            for attribute, value in vars(module).items():
                if isinstance(value, Parser):
                    yield f"{name}.{attribute}", value


@pytest.mark.parametrize("parser", [pytest.param(parser, id=name) for name, parser in _parsers()])
def test_every_declared_parser_compiles_and_returns_what_it_is_typed_as(parser: Parser[Any]) -> None:
    returned = parser.source.rpartition("return ")[2].rstrip(",\n").split(", ")
    assert parser.parse
    if not hasattr(parser, "__orig_class__"):
        pytest.skip("its module is compiled, which leaves no trace of the types; the pure run looks at them")
    types = get_args(get_args(parser.__orig_class__)[0])
    assert len(types) == len(returned)
    if not parser.required:
        # Compiled code relies on the types, also where no option is given.
        for value, expected in zip(parser.parse([b"name", b"key"], 2), types, strict=True):
            assert _is_a(value, expected), f"{value!r} is no {expected}"


def _is_a(value: object, expected: Any) -> bool:
    if isinstance(expected, UnionType):
        return any(_is_a(value, one) for one in get_args(expected))
    kind = get_origin(expected) or expected
    return type(value) is kind or (isinstance(value, kind) and not isinstance(value, bool))
