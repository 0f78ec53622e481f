"""Users and permissions: ACL and its subcommands, AUTH, and who may do what, where and when."""

import re

import pytest

from broker.commands import command_table
from broker.table.command import CATEGORIES
from tests.oracle.acl import GONE, left_as_found, log, users
from tests.oracle.harness import pair, requires, same
from tests.oracle.wire import parse

pytestmark = [requires("8.10"), pytest.mark.usefixtures("left_as_found")]
__all__ = ["left_as_found"]


RULES = [
    "",
    "on off",
    "ON",
    "nopass",
    "nopass >a",
    ">a nopass",
    ">a >a >b",
    ">a <a",
    ">a resetpass",
    "<a",
    "#abc",
    "!abc",
    "#" + "a" * 64,
    "#" + "A" * 64,
    "#" + "a" * 64 + " !" + "a" * 64,
    ">",
    "skip-sanitize-payload",
    "skip-sanitize-payload reset",
    "~a ~b ~a",
    "~",
    "~*",
    "ALLKEYS",
    "~a ~*",
    "~* ~a",
    "~a resetkeys",
    "%R~a",
    "%W~a",
    "%RW~a",
    "%wr~a",
    "%R~a %W~a",
    "%R~* %W~*",
    "%R~* ~a",
    "%~a",
    "%",
    "%R",
    "%X~a",
    "%RR~a",
    "&a &b &a",
    "&",
    "&*",
    "&a allchannels",
    "allchannels &a",
    "&a resetchannels",
    "+get +GET -get",
    "+@all -get +get",
    "+@all +get",
    "-@all +get",
    "allcommands nocommands",
    "+config|get",
    "+config|get +config",
    "+config +config|get -config|set",
    "-config|get",
    "+config|get|x",
    "+config|nothing",
    "+config|",
    "+select|0",
    "+select|0 +select|1 +SELECT|0",
    "+select|0 +select",
    "+select|0 -select",
    "+select|0 -select|0",
    "+select|0 +@all",
    "+select|0 -@slow",
    "+select|",
    "+select|0|1",
    "+nothing",
    "+",
    "-",
    "+@read -@write +@read",
    "+@array",
    "+@nothing",
    "+@",
    "+@Read",
    "+@admin -config +config|get -@admin",
    "(+get ~a)",
    "(+get ~a) (+set %R~b &c) clearselectors",
    "( +get ~a )",
    "(+get ~a) (+set %R~b &c)",
    "(+get",
    "+get)",
    "()",
    "(on)",
    "(>x)",
    "(reset)",
    "((+get))",
    "(~a)(~b)",
    "(~a (~b +get)",
    "(+get) reset",
    "nothing",
    "reset",
    "on >a ~a &a +get (+set) reset",
]
ODD_RULES = [
    ["~a b"],
    ["~a\0b"],
    ["&a\nb"],
    [""],
    ["+get", ""],
    ["+get\0x"],
    ["on\0x"],
    ["no\nthing"],
    [">a b"],
    [">a\0b"],
    ["(~a b)"],
    ['(~"a" "+get")'],
    ['("~a)'],
    ['("~a\\x20b")'],
    ["( ~a  +get   )"],
    ["(", ")"],
    ["( ", " )"],
    ["(", ""],
    ["(", "~a", "+get", ")", "off"],
    ["(~a", "b"],
]


@pytest.mark.parametrize("rules", [*(rules.split() for rules in RULES), *ODD_RULES], ids=repr)
def test_rules_and_how_they_are_printed(rules: list[str]) -> None:
    same([["ACL", "SETUSER", "u", *rules], "ACL GETUSER u", "ACL LIST", "ACL USERS"], cleanup=GONE)


def test_changing_a_user_is_all_or_nothing() -> None:
    same(
        ["ACL SETUSER u on >a +get", "ACL SETUSER u off nothing", "ACL SETUSER u ~k +nothing", "ACL LIST"], cleanup=GONE
    )


def test_selectors_are_added_and_kept() -> None:
    script = ["ACL SETUSER u (+get)", "ACL SETUSER u (+set)", "ACL SETUSER u +del", "ACL GETUSER u"]
    same([*script, "ACL SETUSER u clearselectors", "ACL LIST"], cleanup=GONE)


def test_names() -> None:
    script = [["ACL", "SETUSER", name] for name in ("a b", "a\0b", "a\tb", "", "\xff")]
    same([*script, "ACL USERS", ["ACL", "DELUSER", "", "\xff"], "ACL USERS"], cleanup=GONE)


@pytest.mark.parametrize(
    "command",
    [
        "ACL",
        "ACL NOTHING",
        "ACL WHOAMI",
        "ACL WHOAMI x",
        "ACL USERS x",
        "ACL CAT nothing",
        "ACL CAT read x",
        "ACL GETUSER nobody",
        "ACL DELUSER",
        "ACL DELUSER nobody",
        "ACL DELUSER nobody default",
        "ACL SETUSER",
        "ACL GENPASS 0",
        "ACL GENPASS -1",
        "ACL GENPASS 4097",
        "ACL GENPASS x",
        "ACL GENPASS 1 2",
        "ACL LOG",
        "ACL LOG -1",
        "ACL LOG 0",
        "ACL LOG x",
        "ACL LOG 1 2",
        "ACL LOG RESET x",
        "ACL LOG reset",
        "ACL LOAD",
        "ACL SAVE",
        "ACL DRYRUN default",
        "ACL DRYRUN nobody GET k",
        "ACL DRYRUN default NOTHING",
        "ACL DRYRUN default GET",
        "ACL DRYRUN default CONFIG",
        "ACL DRYRUN default CONFIG NOTHING",
        "ACL DRYRUN default CONFIG GET x",
        "ACL CAT",
    ],
)
def test_arguments(command: str) -> None:
    same([command])


def test_generated_passwords() -> None:
    with pair() as both:
        client = both.client()
        for bits in ("", " 1", " 4", " 5", " 256", " 4093", " 4096"):
            lengths = [len(each.call("ACL", "GENPASS", *bits.split())) for each in (client.theirs, client.ours)]
            assert lengths[0] == lengths[1]


@pytest.mark.parametrize("category", CATEGORIES)
def test_commands_of_a_category(category: str) -> None:
    with pair() as both:
        client = both.client()
        theirs, ours = (
            {item.text for item in parse(connection.call("ACL", "CAT", category)).items}
            for connection in (client.theirs, client.ours)
        )
        known = {item.text for item in parse(client.theirs.call("COMMAND", "LIST")).items}
    assert ours & known == theirs & {command.name for command in command_table()}


@pytest.mark.parametrize("resp", [2, 3])
def test_what_is_denied_and_what_the_log_says(resp: int) -> None:
    with pair() as both:
        admin, client = users(both, "~k* &c* +get +set +mget +publish +select|0 +client|id +exists", resp=resp)
        for command in (
            "GET x", "GET k", "MGET k1 k2 x", "MGET x k", "DEL k", "SET k 1", "SELECT 0", "SELECT 1", "Select 0",
            "CLIENT ID x", "CLIENT LIST", "EXISTS k x", "PUBLISH d x", "PUBLISH c x", "NOTHING", "GET",
            "GET x", "CONFIG", "CONFIG NOTHING", "SUBSCRIBE c", "ACL WHOAMI", "PING",
        ):  # fmt: skip
            client.do(command)
        admin.do(log())
        admin.do(log(2))


def test_the_log_merges_and_is_limited() -> None:
    with pair() as both:
        admin, client = users(both, "+get")
        for key in (*range(12), 0, 11, 0, 5, 5):
            client.do(f"GET k{key}")
        admin.do(log(100))
        admin.do("CONFIG SET acllog-max-len 3")
        admin.do(log(100))
        client.do("GET other")
        admin.do(log(100))
        admin.do("CONFIG SET acllog-max-len 0")
        admin.do(log(100))
        client.do("GET more")
        admin.do(log(100))


def test_counts_of_what_was_denied() -> None:
    def counts(reply: bytes) -> dict[bytes, int]:
        return {name: int(number) for name, number in re.findall(rb"(acl_access_denied_\w+):(\d+)", reply)}

    with pair() as both:
        admin, client = users(both, "+get +publish")
        servers = (admin.theirs, admin.ours)
        before = [counts(server.call("INFO", "stats")) for server in servers]
        for command in ("GET k", "GET k", "SET k 1", "PUBLISH c 1", "AUTH u x", "AUTH nobody x", "AUTH nobody x"):
            client.do(command)
        after = [counts(server.call("INFO", "stats")) for server in servers]
        grown = [{name: late[name] - early[name] for name in late} for early, late in zip(before, after, strict=True)]
    assert grown[0] == grown[1]
    assert sorted(grown[1].values()) == [0, 1, 1, 2, 3]
