"""Random users and random requests: what is printed, what DRYRUN says, and what really happens are Redis's."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.commands import command_table
from broker.table.command import CATEGORIES
from tests.oracle.acl import left_as_found
from tests.oracle.harness import Masked, examples, pair, requires
from tests.oracle.test_command_table import OURS_ALONE
from tests.oracle.test_effects import CASES
from tests.oracle.wire import encode

pytestmark = [requires("8.10"), pytest.mark.usefixtures("left_as_found")]
__all__ = ["left_as_found"]

NAMES = sorted({command.name.decode() for command in command_table()} - OURS_ALONE)
KEYS = ["a", "ab", "b", "key:1", "key:22", "[x]", ""]
CHANNELS = ["a", "ab", "news.1", "news.*", ""]
KEY_PATTERNS = ["*", "a", "a*", "a?", "[ab]", "key:*", "key:?", "*:1", "\\[x\\]", "**", "[^a]*", ""]
CHANNEL_PATTERNS = ["*", "a", "a*", "news.*", "news.?", "?", ""]

key_rules = st.builds(
    "".join,
    st.tuples(st.sampled_from(["~", "%R~", "%W~", "%RW~", "%wr~"]), st.sampled_from(KEY_PATTERNS)),
)
channel_rules = st.builds("&{}".format, st.sampled_from(CHANNEL_PATTERNS))
REQUESTS = [
    "GET {k}", "SET {k} 1", "SET {k} 1 GET", "SET {k} 1 NX EX 5", "SET {k} 1 IFEQ 2", "MGET {k} {k}",
    "MSET {k} 1 {k} 2", "DEL {k} {k}", "EXISTS {k}", "TYPE {k}", "OBJECT ENCODING {k}", "MEMORY USAGE {k}",
    "COPY {k} {k}", "RENAME {k} {k}", "LPUSH {k} 1", "LMOVE {k} {k} LEFT LEFT", "LMPOP 2 {k} {k} LEFT",
    "BLMPOP 0.01 1 {k} LEFT", "BLPOP {k} {k} 0.01", "SUNIONSTORE {k} {k} {k}", "SINTERCARD 2 {k} {k}",
    "SINTERCARD 9 {k} {k}", "ZUNIONSTORE {k} 2 {k} {k}", "ZUNION 1 {k}", "ZADD {k} 1 m", "ZMPOP 1 {k} MIN",
    "ZRANGESTORE {k} {k} 0 1", "SORT {k}", "SORT {k} STORE {k}", "SORT {k} BY w*", "SORT {k} BY w GET #",
    "SORT_RO {k} GET x*", "XADD {k} 1-1 f v", "XREAD COUNT 1 STREAMS {k} {k} 0 0",
    "XREADGROUP GROUP g c STREAMS {k} >", "XGROUP CREATE {k} g 0", "XINFO STREAM {k}", "GEOADD {k} 1 1 m",
    "GEORADIUS {k} 1 1 1 km STORE {k}", "GEOSEARCHSTORE {k} {k} FROMMEMBER m BYBOX 1 1 km", "BITFIELD {k} GET u8 0",
    "BITFIELD {k} SET u8 0 1", "BITFIELD_RO {k} GET u8 0", "BITOP AND {k} {k} {k}", "PFCOUNT {k}",
    "PFMERGE {k} {k}", "LCS {k} {k}", "EXPIRE {k} 100", "TTL {k}", "PERSIST {k}", "DUMP {k}", "TOUCH {k}",
    "UNLINK {k}", "GETDEL {k}", "GETEX {k} PERSIST", "APPEND {k} x", "STRLEN {k}", "SETRANGE {k} 0 x", "INCR {k}",
    "HSET {k} f v", "HGETALL {k}", "HGETDEL {k} FIELDS 1 f", "HEXPIRE {k} 100 FIELDS 1 f", "MSETEX 1 {k} 1",
    "DELEX {k}", "DELEX {k} IFEQ 1", "EVAL 'return 1' 1 {k}", "EVAL 'return 1' 0", "EVAL_RO 'return 1' 2 {k} {k}",
    "EVAL 'return 1' 5 {k}", "FCALL nothing 1 {k}", "WATCH {k} {k}", "UNWATCH", "PUBLISH {c} m", "SPUBLISH {c} m",
    "KEYS nothing", "SCAN 0 COUNT 1", "SELECT 0", "SELECT 1", "CONFIG GET hz", "CONFIG GET nothing",
    "CLIENT GETNAME", "CLIENT ID x", "PING", "ECHO x", "ACL WHOAMI", "ACL USERS", "COMMAND COUNT x", "DBSIZE x",
    "FLUSHDB x", "SWAPDB 0 0", "RANDOMKEY x", "PUBSUB NUMPAT",
]  # fmt: skip
SUBSCRIBING = ["SUBSCRIBE {c} {c}", "PSUBSCRIBE {c}", "SSUBSCRIBE {c}", "UNSUBSCRIBE {c}", "PUNSUBSCRIBE {c}"]
USED = sorted({request.split()[0].lower() for request in (*REQUESTS, *SUBSCRIBING)})
first_arguments = st.sampled_from(["select|0", "select|1", "get|a", "config|get", "client|id", "object|encoding"])
command_rules = st.one_of(
    st.builds("{}{}".format, st.sampled_from("+-"), st.sampled_from(USED)),
    st.builds("{}{}".format, st.sampled_from("+-"), st.sampled_from(NAMES)),
    st.builds("+{}".format, first_arguments),
    st.builds("{}@{}".format, st.sampled_from("+-"), st.sampled_from(["all", "all", *CATEGORIES])),
)
simple_rules = st.lists(
    st.one_of(
        key_rules,
        channel_rules,
        command_rules,
        command_rules,
        st.sampled_from(["allkeys", "resetkeys", "allchannels", "resetchannels"]),
    ),
    max_size=8,
)
selectors = st.builds("({})".format, simple_rules.map(" ".join))
everything = st.sampled_from(["+@all", "+@read", "+@write", "+@all -@dangerous", "+@fast +@slow"]).map(str.split)


@st.composite
def users(draw: st.DrawFn) -> list[str]:
    """Rules, most of which permit something."""
    rules = [*draw(simple_rules)]
    if draw(st.booleans()):
        rules[:0] = draw(everything)
    rules += draw(st.lists(selectors, max_size=2))
    return rules


def request(template: str, draw: st.DrawFn) -> list[str]:
    """The words of a request, with random keys and channels."""
    words = []
    for word in split(template):
        if word == "{k}":
            words.append(draw(st.sampled_from(KEYS)))
        elif word == "{c}":
            words.append(draw(st.sampled_from(CHANNELS)))
        else:
            words.append(word)
    return words


def split(template: str) -> list[str]:
    return [word.strip("'") for word in template.replace("'return 1'", "return_1").split()]


requests = st.composite(lambda draw: request(draw(st.sampled_from(REQUESTS)), draw))
subscribing = st.composite(lambda draw: request(draw(st.sampled_from(SUBSCRIBING)), draw))


@examples(40)
@given(st.lists(users(), min_size=1, max_size=3))
def test_printed_users(changes: list[list[str]]) -> None:
    """Several ACL SETUSERs of one user, one rule each, so that a refused rule does not hide the others."""
    with pair() as both:
        client = both.client(resp=3)
        client.do("ACL SETUSER u reset")
        for rules in changes:
            for rule in rules:
                client.do(["ACL", "SETUSER", "u", rule])
            client.do("ACL GETUSER u")
        client.do("ACL LIST")


@examples(40)
@given(users(), st.lists(st.one_of(requests(), subscribing()), min_size=10, max_size=30))
def test_verdicts(rules: list[str], asked: list[list[str]]) -> None:
    with pair() as both:
        client = both.client()
        client.do("ACL SETUSER u reset")
        for rule in rules:
            client.do(["ACL", "SETUSER", "u", rule])
        for words in asked:
            client.do(["ACL", "DRYRUN", "u", *words])


def denied(reply: bytes) -> bytes:
    """Whether it was denied, and how; what permitted commands answer is other tests' business."""
    return reply if reply.startswith((b"-NOPERM", b"-ERR ACL", b"-ERR BY", b"-ERR GET")) else b"permitted"


@examples(40)
@given(users(), st.lists(requests(), min_size=10, max_size=30))
def test_real_requests(rules: list[str], asked: list[list[str]]) -> None:
    with pair() as both:
        admin, client = both.client(), both.client(resp=3)
        admin.do("FLUSHALL")
        admin.do("ACL SETUSER u reset on nopass")
        for rule in rules:
            admin.do(["ACL", "SETUSER", "u", rule])
        client.do("AUTH u x")
        for words in asked:
            client.do(Masked(words, denied))
        client.do(Masked("MULTI", denied))
        for words in asked[:10]:
            client.do(Masked(words, denied))
        client.do(Masked("DISCARD", denied))
        for words in asked[10:]:
            script = "return redis.pcall(unpack(ARGV))"
            client.do(Masked(["EVAL", script, "0", *words], denied))
        admin.do("FLUSHALL")


def invocations() -> list[list[bytes]]:
    """What the tests of effects execute, with all options; and each command with few and odd arguments."""
    found = [case.words() for cases in CASES.values() for case in cases]
    for command in command_table():
        words = command.name.split(b"|")
        if command.name.decode() not in OURS_ALONE:
            least = max(0, abs(command.arity) - len(words))
            for extra in range(3 if command.arity < 0 else 1):
                for first in (b"k", b"1", b"0"):
                    found.append([*words, *([first, b"k", b"1", b"k", b"k", b"k"][: least + extra])])
    return [words for words in found if words[0].lower() not in {name.encode() for name in OURS_ALONE}]


@pytest.mark.parametrize(
    "rules",
    [
        "~* &* +@all", "~k &k +@all", "%R~* +@all", "%W~* +@all", "%R~k %W~x +@all", "%R~x %W~k +@all", "+@all",
        "~* &* +@read", "~* &* +@all -@write", "~* &* +@all -@slow -@dangerous", "~* -@all", "~x +@all (%R~k +@read)",
        "(%W~k +@write) (%R~k +@read) (+@all -@keyspace)",
    ],
)  # fmt: skip
def test_verdicts_on_every_command(rules: str) -> None:
    with pair() as both:
        client = both.client()
        client.do(["ACL", "SETUSER", "u", "reset", *re.findall(r"\(.*?\)|\S+", rules)])
        every = invocations()
        told = []
        for connection in (client.theirs, client.ours):
            connection.send(b"".join(encode(["ACL", "DRYRUN", "u", *words]) for words in every))
            told.append([connection.receive() for _ in every])
        theirs, ours = told
        assert [row for row in zip(every, theirs, ours, strict=True) if row[1] != row[2]] == []
        assert len(every) > 1500
