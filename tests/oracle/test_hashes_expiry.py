"""Deadlines of fields against redis-server: every option, error, type and missing key; expiry on time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.harness import AnyCommand, Loose, Unordered, agree, examples, pair, requires, same

pytestmark = requires("8.0")

_FILL = "HSET h a 1 b 2 c 3"
_FAR = "4102444800"


@pytest.mark.parametrize("condition", ["", "NX", "xx", "GT", "LT"])
@pytest.mark.parametrize(
    ("command", "near", "far"),
    [
        ("HEXPIRE", "1000", "2000"),
        ("HPEXPIRE", "1000000", "2000000"),
        ("HEXPIREAT", _FAR, "4102444900"),
        ("HPEXPIREAT", _FAR + "000", "4102444900000"),
    ],
)
def test_conditions(command: str, near: str, far: str, condition: str) -> None:
    same(
        [
            _FILL,
            f"{command} h {near} {condition} FIELDS 2 a zz",
            f"{command} h {near} FIELDS 1 b",
            f"{command} h {far} {condition} FIELDS 3 a b c",
            f"{command} h {near} {condition} FIELDS 3 a b c",
            f"{command} h {near} FIELDS 2 a b {condition}",
            Loose("HTTL h FIELDS 4 a b c zz"),
            Loose("HPTTL h FIELDS 4 a b c zz", 2000),
            Loose("HEXPIRETIME h FIELDS 3 a b c"),
            Loose("HPEXPIRETIME h FIELDS 3 a b c", 2000),
            f"{command} none {near} {condition} FIELDS 2 a b",
            f"{command} h 0 {condition} FIELDS 3 a b b",
            Unordered("HGETALL h", pairs=True),
            f"{command} h 0 FIELDS 2 b c",
            "EXISTS h",
        ],
        state=True,
    )


@pytest.mark.parametrize("command", ["HEXPIRE", "HPEXPIRE", "HEXPIREAT", "HPEXPIREAT"])
def test_errors_of_expire(command: str) -> None:
    same(
        [
            _FILL,
            *(
                f"{command} h {arguments}"
                for arguments in (
                    "-1 FIELDS 1 a",
                    "x FIELDS 1 a",
                    "1.5 FIELDS 1 a",
                    "70368744177664 FIELDS 1 a",
                    "70368744178 FIELDS 1 a",
                    "9223372036854775807 FIELDS 1 a",
                    "9223372036854775808 FIELDS 1 a",
                    "100 FIELDS 0 a",
                    "100 FIELDS -1 a",
                    "100 FIELDS x a",
                    "100 FIELDS 2 a",
                    "100 FIELDS 1 a b",
                    "100 FIELDS 1 a FIELDS 1 b",
                    "100 FIELDS 2147483648 a",
                    "100 NX XX FIELDS 1 a",
                    "100 NX NX FIELDS 1 a",
                    "100 GT LT FIELDS 1 a",
                    "100 BAD FIELDS 1 a",
                    "100 NX FIELDS 1",
                    "100 NX XX GT",
                    "100 FIELDS 1 a BAD",
                    "100 FIELDS",
                    "100",
                )
            ),
            [command, "h", "100", b"B\x00AD\r\n", "FIELDS", "1", "a"],
            f"{command} none x FIELDS 1 a",
            "SET s x",
            f"{command} s 100 FIELDS 1 a",
            f"{command} s x BAD",
            f"{command} s x FIELDS 1 a",
            "HTTL h FIELDS 3 a b c",
        ],
        state=True,
    )


@pytest.mark.parametrize("command", ["HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME", "HPERSIST", "HGETDEL"])
def test_errors_of_field_lists(command: str) -> None:
    same(
        [
            _FILL,
            f"{command} h FIELDS 2 b zz",
            f"{command} none FIELDS 2 a b",
            f"{command} h fields 1 zz",
            f"{command} h FIELDS 1 a b",
            f"{command} h FIELDS 3 a b",
            f"{command} h FIELDS 0 a",
            f"{command} h FIELDS -1 a",
            f"{command} h FIELDS x a",
            f"{command} h BAD 1 a",
            f"{command} h 1 FIELDS a",
            f"{command} h FIELDS 1",
            f"{command} h",
            f"{command} none BAD 1 a",
            "SET s x",
            f"{command} s FIELDS 1 a",
            f"{command} s BAD 1 a",
        ],
        state=True,
    )


def test_persist() -> None:
    same(
        [
            _FILL,
            "HEXPIRE h 1000 FIELDS 2 a b",
            "OBJECT ENCODING h",
            "HPERSIST h FIELDS 4 a a c zz",
            "HTTL h FIELDS 2 a c",
            "HSET h b 5",
            "HTTL h FIELDS 1 b",
            "OBJECT ENCODING h",
            "HEXPIRE h 1000 FIELDS 1 a",
            "HINCRBY h a 1",
            "HINCRBYFLOAT h a 1",
            Loose("HTTL h FIELDS 1 a"),
            "HSETNX h a 1",
            Loose("HTTL h FIELDS 1 a"),
            "HDEL h a",
            "HSET h a 1",
            "HTTL h FIELDS 1 a",
        ],
        state=True,
    )


_TIMES = ["", "EX 1000", "px 1000000", f"EXAT {_FAR}", f"PXAT {_FAR}000", "EX 0", "PXAT 1"]


@pytest.mark.parametrize("time_option", [*_TIMES, "PERSIST"])
def test_read_and_expire(time_option: str) -> None:
    same(
        [
            _FILL,
            "HEXPIRE h 500 FIELDS 1 b",
            f"HGETEX h {time_option} FIELDS 3 a zz a",
            Loose("HTTL h FIELDS 3 a b c"),
            f"HGETEX h FIELDS 2 b c {time_option}",
            Loose("HTTL h FIELDS 3 a b c"),
            Unordered("HGETALL h", pairs=True),
            f"HGETEX none {time_option} FIELDS 2 a b",
            "SET s x",
            f"HGETEX s {time_option} FIELDS 1 a",
        ],
        state=True,
    )


@pytest.mark.parametrize("condition", ["", "FXX", "fnx"])
@pytest.mark.parametrize("time_option", [*_TIMES, "KEEPTTL"])
def test_set_and_expire(time_option: str, condition: str) -> None:
    same(
        [
            _FILL,
            "HEXPIRE h 500 FIELDS 2 a b",
            f"HSETEX h {condition} {time_option} FIELDS 2 a 5 c 6",
            Loose("HTTL h FIELDS 3 a b c"),
            f"HSETEX h {time_option} FIELDS 2 x 7 y 8 {condition}",
            Loose("HTTL h FIELDS 5 a b c x y"),
            f"HSETEX h FIELDS 3 a 9 n 1 n 2 {time_option} {condition}",
            Unordered("HGETALL h", pairs=True),
            f"HSETEX new {condition} {time_option} FIELDS 1 a 1",
            "HGETALL new",
            "SET s x",
            f"HSETEX s {condition} {time_option} FIELDS 1 a 1",
        ],
        state=True,
    )


@pytest.mark.parametrize("command", ["HGETEX", "HSETEX"])
def test_errors_of_reading_and_setting(command: str) -> None:
    fields = "FIELDS 1 a" if command == "HGETEX" else "FIELDS 1 a 1"
    same(
        [
            _FILL,
            *(
                f"{command} h {arguments}"
                for arguments in (
                    f"EX 1 PX 1 {fields}",
                    f"PERSIST EX 1 {fields}",
                    f"EX 1 PERSIST {fields}",
                    f"PERSIST PERSIST {fields}",
                    f"KEEPTTL EX 1 {fields}",
                    f"EX 1 KEEPTTL {fields}",
                    f"KEEPTTL KEEPTTL {fields}",
                    f"FXX FNX {fields}",
                    f"FNX FNX {fields}",
                    f"{fields} EX",
                    f"{fields} EX x",
                    f"{fields} PX -1",
                    f"{fields} EX 70368744178",
                    f"{fields} PXAT 70368744177664",
                    f"EX {fields}",
                    f"BAD {fields}",
                    f"{fields} BAD",
                    f"{fields} {fields}",
                    "FIELDS 0 a 1",
                    "FIELDS x a 1",
                    "FIELDS 5 a 1",
                    "EX 100 FIELDS",
                    "EX 100 FIELDS 1",
                    "EX 100 PERSIST",
                    "EX 100 BAD BAD",
                    "EX 100 EX 100",
                    "FIELDS 1 a",
                    "FIELDS 1",
                    "",
                )
            ),
            [command, "h", b"B\x00AD", *fields.split()],
            "SET s x",
            f"{command} s BAD {fields}",
            f"{command} s {fields}",
            "HTTL h FIELDS 3 a b c",
        ],
        state=True,
    )


def test_read_and_delete() -> None:
    same(
        [
            _FILL,
            "HGETDEL h FIELDS 3 a zz a",
            "HGETALL h",
            "HGETDEL h FIELDS 2 b c",
            "EXISTS h",
            "HGETDEL h FIELDS 1 a",
        ],
        state=True,
    )


def test_events() -> None:
    with pair(cleanup=['CONFIG SET notify-keyspace-events ""']) as p:
        listener, client = p.client(resp=3), p.client()
        client.do("CONFIG SET notify-keyspace-events KEAn")
        listener.do("PSUBSCRIBE __key*")
        for command in (
            "HSET h a 1 b 2 c 3 d 4",
            "HEXPIRE h 1000 FIELDS 2 a zz",
            "HEXPIRE h 1000 FIELDS 1 zz",
            "HEXPIRE h 1000 XX FIELDS 1 b",
            "HPERSIST h FIELDS 2 a b",
            "HPERSIST h FIELDS 2 a b",
            "HEXPIRE h 0 FIELDS 1 a",
            "HGETEX h EX 100 FIELDS 2 b zz",
            "HGETEX h FIELDS 2 b zz",
            "HGETEX h PERSIST FIELDS 2 b c",
            "HGETEX h EX 0 FIELDS 1 b",
            "HSETEX h EX 100 FIELDS 1 x 1",
            "HSETEX h FIELDS 1 x 1",
            "HSETEX h EXAT 1 FIELDS 1 x 1",
            "HSETEX h FNX FIELDS 1 c 1",
            "HSETEX new EXAT 1 FIELDS 1 x 1",
            "HGETDEL h FIELDS 2 c zz",
            "HGETDEL h FIELDS 1 zz",
            "HGETDEL h FIELDS 1 d",
            "HSET h a 1",
            "HPEXPIREAT h 1 FIELDS 1 a",
            "HSET h a 1",
            "HGETEX h PXAT 1 FIELDS 1 a",
        ):
            client.do(command)
            listener.drain()


def test_fields_expire_on_time() -> None:
    with pair(cleanup=['CONFIG SET notify-keyspace-events ""']) as p:
        listener, client = p.client(resp=3), p.client()
        client.do("CONFIG SET notify-keyspace-events Eh")
        client.do("HSET h a 1 b 2 c 3")
        listener.do("SUBSCRIBE __keyevent@0__:hexpired")
        # One at a time: redis-server, which looks ten times a second, would send one event for both.
        for field in ("a", "b", "c"):
            client.do(f"HPEXPIRE h 10 FIELDS 1 {field}")
            listener.receive()
            client.do("HGETALL h")
        client.do("EXISTS h")


def test_fields_expire_after_their_hash_has_moved() -> None:
    with pair() as p:
        client = p.client()
        for command in (
            "HSET h a 1 b 2",
            "HPEXPIRE h 30 FIELDS 1 a",
            "COPY h copied",
            "COPY h other DB 1",
            "RENAME h renamed",
            "HSET h a 1",
        ):
            client.do(command)
        time.sleep(0.05)
        for command in ("HGETALL h", "HGETALL copied", "HGETALL renamed", "SELECT 1", "HGETALL other"):
            client.do(command)


_keys = st.sampled_from(["h", "g"])
_fields = st.sampled_from(["a", "b", "c"])
_times = st.sampled_from(["0", "1000", "2000", "-1", "x"])
_conditions = st.sampled_from([(), ("NX",), ("XX",), ("GT",), ("LT",)])
_options = st.sampled_from(
    [(), ("EX", "1000"), ("EX", "0"), ("PXAT", "1"), ("KEEPTTL",), ("PERSIST",), ("FNX",), ("FXX",)]
)
_commands: st.SearchStrategy[AnyCommand] = st.one_of(
    st.tuples(st.just("HSET"), _keys, _fields, st.just("1")),
    st.builds(lambda k, t, c, f: ("HEXPIRE", k, t, *c, "FIELDS", "1", f), _keys, _times, _conditions, _fields),
    st.builds(lambda k, f, g: ("HEXPIRE", k, "1000", "FIELDS", "2", f, g), _keys, _fields, _fields),
    st.builds(lambda k, o, f: ("HGETEX", k, *o, "FIELDS", "1", f), _keys, _options, _fields),
    st.builds(lambda k, o, f: ("HSETEX", k, *o, "FIELDS", "1", f, "v"), _keys, _options, _fields),
    st.tuples(st.sampled_from(["HPERSIST", "HGETDEL"]), _keys, st.just("FIELDS"), st.just("1"), _fields),
    st.tuples(st.sampled_from(["HDEL", "HGET", "HEXISTS", "HSTRLEN"]), _keys, _fields),
    st.tuples(st.just("HLEN"), _keys),
    st.tuples(st.just("HINCRBY"), _keys, _fields, st.just("1")),
)


@examples(50)
@given(st.lists(_commands, max_size=25))
def test_generated(script: list[AnyCommand]) -> None:
    agree(script)
