"""The notation of arguments: each of its signs, what it takes by convention, and what it refuses."""

from typing import Any

import pytest

import broker.commands  # noqa: F401  (declares all commands)
from broker.table.command import DECLARED, INCOMPLETE, NOT_KEY
from broker.table.syntax import BLOCK, KEY, NO_KEY_SPEC, ONE_OF, TOKEN, Argument, arguments_of, usage

ALL = sorted(DECLARED.values(), key=lambda command: command.name)


def named(name: str, kind: str = "string", **rest: Any) -> Argument:
    return Argument(name, kind, shown=name)._replace(**rest)


def token(name: str, text: str = "") -> Argument:
    return named(name, TOKEN, token=text or name.upper())


COUNT = named("count", "integer")
KEY_0 = named("key", KEY, key_spec=0)
NX, XX = token("nx"), token("xx")
OFFSET_AND_COUNT = (named("offset", "integer"), COUNT)


@pytest.mark.parametrize(
    ("syntax", "arguments"),
    [
        ("", []),
        ("member", [named("member")]),
        ("member field", [named("member"), named("field")]),
        ("  member  ", [named("member")]),
        ("element ...", [named("element", multiple=True)]),
        ("[element ...]", [named("element", multiple=True, optional=True)]),
        ("[element] ...", [named("element", multiple=True, optional=True)]),
        # Types and names by convention, and written out.
        ("count", [COUNT]),
        ("score", [named("score", "double")]),
        ("pattern", [named("pattern", "pattern")]),
        ("unix-time-seconds", [named("unix-time-seconds", "unix-time")]),
        ("start:string", [named("start")]),
        ("min:double", [named("min", "double")]),
        ("ip:port", [named("ip:port")]),
        ("addr=ip:port", [Argument("addr", "string", shown="ip:port")]),
        ("by-pattern=pattern", [Argument("by-pattern", "pattern", shown="pattern")]),
        ("limit=start:string", [Argument("limit", "string", shown="start")]),
        # Tokens.
        ("NX", [NX]),
        ("[NX]", [NX._replace(optional=True)]),
        ("change=CH", [token("change", "CH")]),
        ("=", [token("equal", "=")]),
        ("$", [token("new-id", "$")]),
        ("LIB-NAME", [token("lib-name")]),
        ("COUNT count", [COUNT._replace(token="COUNT")]),
        ("[COUNT count]", [COUNT._replace(token="COUNT", optional=True)]),
        ("BY by-pattern=pattern", [Argument("by-pattern", "pattern", shown="pattern", token="BY")]),
        ("other=COUNT count", [Argument("other", "integer", shown="count", token="COUNT")]),
        ("COUNT count [NX]", [COUNT._replace(token="COUNT"), NX._replace(optional=True)]),
        ("<NX> member", [NX, named("member")]),
        ("ID member ...", [named("member", token="ID", multiple=True)]),
        ("[ID member] ...", [named("member", token="ID", multiple=True, optional=True, repeats_token=True)]),
        # Blocks.
        ("LIMIT offset count", [Argument("limit", BLOCK, token="LIMIT", arguments=OFFSET_AND_COUNT)]),
        ("[LIMIT offset count]", [Argument("limit", BLOCK, token="LIMIT", arguments=OFFSET_AND_COUNT, optional=True)]),
        ("some=LIMIT offset count", [Argument("some", BLOCK, token="LIMIT", arguments=OFFSET_AND_COUNT)]),
        ("LIMIT <offset count>", [Argument("limit", BLOCK, token="LIMIT", arguments=OFFSET_AND_COUNT)]),
        ("<offset count> ...", [Argument("data", BLOCK, arguments=OFFSET_AND_COUNT, multiple=True)]),
        ("page=[offset count]", [Argument("page", BLOCK, arguments=OFFSET_AND_COUNT, optional=True)]),
        (
            "page=[COUNT count [NX]]",
            [
                Argument("page", BLOCK, optional=True)._replace(
                    arguments=(COUNT._replace(token="COUNT"), NX._replace(optional=True))
                )
            ],
        ),
        # Alternatives.
        ("<NX|XX>", [Argument("condition", ONE_OF, arguments=(NX, XX))]),
        ("[NX|XX]", [Argument("condition", ONE_OF, arguments=(NX, XX), optional=True)]),
        ("where=<NX|XX>", [Argument("where", ONE_OF, arguments=(NX, XX))]),
        ("TYPE <NX|XX>", [Argument("type", ONE_OF, token="TYPE", arguments=(NX, XX))]),
        ("kind=TYPE <NX|XX>", [Argument("kind", ONE_OF, token="TYPE", arguments=(NX, XX))]),
        ("ANY where=<NX|XX>", [token("any"), Argument("where", ONE_OF, arguments=(NX, XX))]),
        ("id=<*|member>", [Argument("id", ONE_OF, arguments=(token("auto-id", "*"), named("member")))]),
        (
            "page=<NX|offset count>",
            [Argument("page", ONE_OF, arguments=(NX, Argument("data", BLOCK, arguments=OFFSET_AND_COUNT)))],
        ),
        # Versions.
        ("member@6.2.0", [named("member", since="6.2.0")]),
        ("member!2.8.12", [named("member", deprecated_since="2.8.12")]),
        ("member@1.0.0!2.8.12", [named("member", since="1.0.0", deprecated_since="2.8.12")]),
        ("[COUNT count]@6.2.0", [COUNT._replace(token="COUNT", optional=True, since="6.2.0")]),
        ("[member] ...@6.2.0", [named("member", optional=True, multiple=True, since="6.2.0")]),
        (
            "[NX@2.6.12|XX]@3.0.2",
            [
                Argument("condition", ONE_OF, optional=True, since="3.0.2")._replace(
                    arguments=(NX._replace(since="2.6.12"), XX)
                )
            ],
        ),
        # Key specifications.
        ("source destination", [named("source", KEY, key_spec=0), named("destination", KEY, key_spec=1)]),
        ("key1 key2#0", [named("key1", KEY, key_spec=0), named("key2", KEY, key_spec=0)]),
        (
            "key pattern#1 destination",
            [KEY_0, named("pattern", "pattern", key_spec=1), named("destination", KEY, key_spec=2)],
        ),
        ("other:key", [named("other", KEY, key_spec=0)]),
    ],
)
def test_reading(syntax: str, arguments: list[Argument]) -> None:
    assert arguments_of(syntax) == tuple(arguments)


@pytest.mark.parametrize(
    "syntax",
    ["[", "]", "[member", "[member>", "<>", "[]", "[member|]", "|", "member|field", "...", "name=", "@1.0.0", "#1",
     "name=[", "<LEFT|RIGHT>", "[<LEFT|RIGHT> member]", "member ... ...", "!", "member#x"],
)  # fmt: skip
def test_refused(syntax: str) -> None:
    with pytest.raises(ValueError, match="syntax "):
        arguments_of(syntax)


@pytest.mark.parametrize(
    ("syntax", "line"),
    [
        ("", ""),
        ("key element ...", "key element [element ...]"),
        ("[channel ...]", "[channel [channel ...]]"),
        ("key <field value> ...", "key field value [field value ...]"),
        ("key [COUNT count]@6.2.0", "key [COUNT count]"),
        ("[GET get-pattern=pattern#1] ...", "[GET pattern [GET pattern ...]]"),
        ("[ID client-id ...]", "[ID client-id [client-id ...]]"),
        ("[NX|XX]", "[NX | XX]"),
        ("where=<LEFT|RIGHT>", "<LEFT | RIGHT>"),
        ("[AGGREGATE <SUM|MIN>]", "[AGGREGATE <SUM | MIN>]"),
        ("[LIMIT offset count]", "[LIMIT offset count]"),
        ("STREAMS key ... id ...", "STREAMS key [key ...] id [id ...]"),
        ("full=[FULL [COUNT count]]", "[FULL [COUNT count]]"),
        ("id-selector=<*|id>", "<* | id>"),
    ],
)
def test_usage(syntax: str, line: str) -> None:
    assert usage(arguments_of(syntax)) == line


def test_declarations_agree_with_the_arity() -> None:
    """The least arguments that the syntax allows are those that the arity asks for.

    XGROUP CREATE and its like count the container's name too. Options that may not all be missing are declared as
    optional, as in Redis, so that there may be fewer; one argument may be the whole of an older form.
    """
    for command in ALL:
        if command.name == b"hotkeys|start":
            continue  # Redis's arity is that of the name alone, and the command complains of what is missing
        if command.name == b"backup":
            continue  # Redis counts the subcommand's name
        arguments = arguments_of(command.syntax)
        least = sum(map(_least, arguments)) + 1 + (b"|" in command.name)
        if command.arity > 0:
            assert least == command.arity, command.name
            assert not any(argument.optional or argument.multiple for argument in arguments), command.name
        else:
            assert least <= -command.arity, command.name


def _least(argument: Argument) -> int:
    if argument.optional:
        return 0
    if argument.type == TOKEN:
        return 1
    inner = [_least(each) for each in argument.arguments]
    own = (min(inner) if argument.type == ONE_OF else sum(inner)) if inner else 1
    return own + bool(argument.token)


def test_every_key_specification_has_an_argument() -> None:
    for command in ALL:
        specs = {
            index
            for index, spec in enumerate(command.key_specs)
            if not {NOT_KEY, INCOMPLETE}.intersection(spec.flags) and not spec.unknown
        }
        found = set(_key_specs(arguments_of(command.syntax)))
        assert specs <= found, command.name
        assert found <= set(range(len(command.key_specs))), command.name


def _key_specs(arguments: tuple[Argument, ...]) -> list[int]:
    own = [argument.key_spec for argument in arguments if argument.key_spec != NO_KEY_SPEC]
    return own + [spec for argument in arguments for spec in _key_specs(argument.arguments)]
