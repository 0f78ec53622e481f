"""XREADGROUP, XACK and XNACK beside redis-server."""

import pytest

from tests.oracle.harness import AnyCommand, Loose, Masked, requires, same
from tests.oracle.test_stream_info import idle, times

pytestmark = requires("8.10")

SETUP = [*[f"XADD s {n} f v{n}" for n in range(1, 11)], "XGROUP CREATE s g 0"]


def full(key: str) -> Masked:
    return Masked(f"XINFO STREAM {key} FULL COUNT 0", times)


def test_reading_new_entries() -> None:
    same(
        [
            *SETUP,
            "XREADGROUP GROUP g a COUNT 2 STREAMS s >",
            "XREADGROUP GROUP g b COUNT 3 STREAMS s >",
            "XREADGROUP GROUP g a NOACK COUNT 1 STREAMS s >",
            "XINFO GROUPS s",
            "XREADGROUP GROUP g a STREAMS s >",
            "XREADGROUP GROUP g a STREAMS s >",
            "XREADGROUP GROUP g new STREAMS s >",
            "XREADGROUP GROUP g a COUNT 0 STREAMS s >",
            "XADD s 11 f v",
            "XREADGROUP GROUP g a COUNT -5 STREAMS s >",
            "XDEL s 11",
            "XREADGROUP GROUP g a STREAMS s >",
            "XGROUP SETID s g 3",
            "XREADGROUP GROUP g b STREAMS s >",
            full("s"),
        ]
    )


def test_reading_history() -> None:
    same(
        [
            *SETUP,
            "XREADGROUP GROUP g a COUNT 6 STREAMS s >",
            "XREADGROUP GROUP g a STREAMS s 0",
            "XREADGROUP GROUP g a COUNT 2 STREAMS s 2",
            "XREADGROUP GROUP g a COUNT 2 STREAMS s 2-5",
            "XDEL s 3 4",
            "XREADGROUP GROUP g a STREAMS s 0",
            "XREADGROUP GROUP g a STREAMS s 99",
            "XREADGROUP GROUP g b STREAMS s 0",
            "XREADGROUP GROUP g a NOACK STREAMS s 0",
            "XREADGROUP GROUP g a CLAIM 0 STREAMS s 0",
            "XREADGROUP GROUP g a STREAMS s 18446744073709551615-18446744073709551615",
            full("s"),
            "XADD t 1 f v",
            "XGROUP CREATE t g 0",
            "XREADGROUP GROUP g a CLAIM 0 COUNT 1 STREAMS s t 0 >",
            "XREADGROUP GROUP g a COUNT 1 STREAMS t s > 0",
            "XREADGROUP GROUP g a BLOCK 0 STREAMS s 50",
        ]
    )


def test_several_streams_and_limits() -> None:
    script: list[AnyCommand] = [f"XADD {key} {n} f {'v' * (n * 7)}" for key in ("s", "t", "u") for n in range(1, 8)]
    script += [f"XGROUP CREATE {key} g 0" for key in ("s", "t", "u")]
    reset = [f"XGROUP SETID {key} g 3" for key in ("s", "t", "u")]
    for options in ("MAXCOUNT 1", "MAXCOUNT 5", "COUNT 2 MAXCOUNT 5", "MAXSIZE 1", "MAXSIZE 150", "MAXSIZE 300 COUNT 2",
                    "MAXSIZE 500 NOACK", "MAXCOUNT 3 MAXSIZE 99"):  # fmt: skip
        script += [f"XREADGROUP GROUP g a {options} STREAMS s t u > > >", "XINFO GROUPS s", "XINFO GROUPS t"]
        script += [f"XREADGROUP GROUP g a {options} STREAMS s t u 0 > 2", *reset]
    script += [f"XREADGROUP GROUP g a MAXSIZE {size} STREAMS s t u 0 0 0" for size in range(1, 900, 11)]
    script += ["XREADGROUP GROUP g a COUNT 3 MAXCOUNT 2 STREAMS s >", full("s"), full("t"), full("u")]
    same(script)


def test_claiming_while_reading() -> None:
    same(
        [
            *SETUP,
            "XREADGROUP GROUP g a COUNT 6 STREAMS s >",
            "XREADGROUP GROUP g b CLAIM 100000 COUNT 1 STREAMS s >",
            "XREADGROUP GROUP g b CLAIM 100000 COUNT 1 STREAMS s >",
            "XCLAIM s g a 0 1 2 3 IDLE 5000 JUSTID",
            "XCLAIM s g a 0 4 IDLE 9000 JUSTID",
            "XDEL s 2",
            Loose("XREADGROUP GROUP g b CLAIM 1000 COUNT 2 STREAMS s >", 100),
            Loose("XREADGROUP GROUP g b CLAIM 1000 COUNT 9 STREAMS s >", 100),
            "XREADGROUP GROUP g b CLAIM 1000 COUNT 9 STREAMS s >",
            Loose("XREADGROUP GROUP g c CLAIM 0 COUNT 3 STREAMS s >", 100),
            Loose("XREADGROUP GROUP g c CLAIM 0 NOACK STREAMS s >", 100),
            Loose("XREADGROUP GROUP g c CLAIM 0 MAXSIZE 100 STREAMS s >", 100),
            Loose("XREADGROUP GROUP g c CLAIM 0 MAXCOUNT 4 STREAMS s >", 100),
            full("s"),
            "XADD s 11 f v",
            "XADD s 12 f v",
            Loose("XREADGROUP GROUP g c CLAIM 0 MAXCOUNT 9 STREAMS s >", 100),
            Loose("XREADGROUP GROUP g c CLAIM 0 STREAMS s s > >", 100),
            full("s"),
        ]
    )


def test_releasing() -> None:
    same(
        [
            *SETUP,
            "XREADGROUP GROUP g a COUNT 6 STREAMS s >",
            "XNACK s g FAIL IDS 2 3 1",
            "XNACK s g SILENT IDS 3 2 2 99",
            "XNACK s g fatal IDS 1 5",
            "XPENDING s g",
            Loose("XPENDING s g - + 20", 100),
            Loose("XPENDING s g IDLE 99999 - + 20", 100),
            Loose("XPENDING s g IDLE 99999 - + 20 a", 100),
            full("s"),
            "XNACK s g FAIL IDS 1 8",
            "XNACK s g FAIL IDS 1 8 FORCE",
            "XNACK s g FATAL FORCE IDS 1 9 RETRYCOUNT 7",
            "XNACK s g SILENT FORCE IDS 2 10 77",
            "XNACK s g FATAL FORCE IDS 1 7",
            "XNACK s g FAIL RETRYCOUNT 3 IDS 1 3",
            full("s"),
            Masked("XREADGROUP GROUP g b CLAIM 99999 COUNT 2 STREAMS s >", idle),
            Masked("XREADGROUP GROUP g b CLAIM 99999 COUNT 4 STREAMS s >", idle),
            "XCLAIM s g c 99999 9 10 JUSTID",
            "XAUTOCLAIM s g c 99999 0",
            full("s"),
            "XNACK s g FAIL IDS 2 1 2",
            "XACK s g 1",
            "XDEL s 2 3",
            "XNACK s g FAIL IDS 1 3",
            Masked("XREADGROUP GROUP g b CLAIM 0 STREAMS s >", idle),
            "XCLAIM s g c 0 2 3",
            "XGROUP DELCONSUMER s g b",
            full("s"),
        ]
    )


def test_errors_of_releasing() -> None:
    same(
        [
            "XNACK s g FAIL IDS 1 1",
            *SETUP,
            "XNACK s h FAIL IDS 1 1",
            "XNACK s g FOO IDS 1 1",
            "XNACK s g FAIL IDS 0 1",
            "XNACK s g FAIL IDS x 1",
            "XNACK s g FAIL IDS 2147483648 1",
            "XNACK s g FAIL IDS 2 1",
            "XNACK s g FAIL IDS 1 x",
            "XNACK s g FAIL IDS 1 1 FOO",
            "XNACK s g FAIL IDS 1 1 RETRYCOUNT",
            "XNACK s g FAIL IDS 1 1 RETRYCOUNT x",
            "XNACK s g FAIL IDS 1 1 RETRYCOUNT -1",
            "XNACK s g FAIL FORCE RETRYCOUNT 3",
            "XNACK s g FAIL FORCE FORCE IDS",
            "XNACK s g FAIL IDS 1 1 IDS 1 2",
            "XNACK s g FAIL IDS 1",
            "SET k v",
            "XNACK k g FAIL IDS 1 1",
        ]
    )


def test_acknowledging() -> None:
    same(
        [
            "XACK s g 1",
            "XACK s g x",
            *SETUP,
            "XREADGROUP GROUP g a COUNT 6 STREAMS s >",
            "XACK s h 1",
            "XACK s h x",
            "XACK s g 1 2 2 9 77",
            "XACK s g x",
            "XACK s g 3 x",
            "XACK s g -",
            "XACK s g",
            "SET k v",
            "XACK k g 1",
            "XACK k g x",
            full("s"),
        ]
    )


def test_errors_of_reading() -> None:
    same(
        [
            *SETUP,
            "XREADGROUP GROUP g a STREAMS t >",
            "XREADGROUP GROUP h a STREAMS s >",
            "XREADGROUP GROUP h a STREAMS s x",
            "XREADGROUP GROUP g a STREAMS s x",
            "XREADGROUP GROUP g a STREAMS s $",
            "XREADGROUP GROUP g a STREAMS s +",
            "XREADGROUP GROUP g a STREAMS s -",
            "XREADGROUP GROUP g a STREAMS s t >",
            "XREADGROUP GROUP g a COUNT 1 NOACK STREAMS",
            "XREADGROUP GROUP g a COUNT x STREAMS s >",
            "XREADGROUP GROUP g a BLOCK x STREAMS s >",
            "XREADGROUP GROUP g a BLOCK -1 STREAMS s >",
            "XREADGROUP GROUP g a CLAIM x STREAMS s >",
            "XREADGROUP GROUP g a CLAIM -1 STREAMS s >",
            "XREADGROUP GROUP g a FOO STREAMS s >",
            "XREADGROUP COUNT 1 NOACK NOACK STREAMS s >",
            "XREADGROUP COUNT 1 NOACK BLOCK 1 s >",
            "XREADGROUP GROUP g STREAMS s >",
            "XREADGROUP GROUP g a STREAMS s",
            "SET k v",
            "XREADGROUP GROUP g a STREAMS k >",
            "XREADGROUP GROUP g a STREAMS s k > >",
            "XREADGROUP GROUP g a STREAMS k s > x",
            'XREADGROUP GROUP "g\\x00h" a STREAMS "t\\x00u" >',
            'XREADGROUP GROUP "g\\r\\nh" a STREAMS t >',
            "MULTI",
            "XREADGROUP GROUP g a BLOCK 0 COUNT 3 STREAMS s >",
            "XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
            "XREADGROUP GROUP g a BLOCK 0 STREAMS s >",
            "EXEC",
        ]
    )


@pytest.mark.parametrize(
    "command",
    [
        "XACK s g 1",
        "XREADGROUP GROUP g a STREAMS s >",
        "XGROUP CREATE s h 0",
        "XGROUP SETID s g 0",
        "XGROUP DESTROY s g",
        "XGROUP CREATECONSUMER s g b",
        "XGROUP DELCONSUMER s g a",
        "XADD s 99 f v",
        "XDEL s 1",
        "XDEL s 88",
        "XTRIM s MAXLEN 5",
        "XTRIM s MAXLEN 50",
        "XSETID s 100",
        "XCLAIM s g b 0 1 JUSTID",
        "XAUTOCLAIM s g b 0 0 JUSTID",
        "XNACK s g FAIL IDS 1 1",
        "XACKDEL s g IDS 1 1",
        "XDELEX s IDS 1 1",
        "XCFGSET s IDMP-DURATION 9",
        "XGROUP CREATE t g 0 MKSTREAM",
        "XIDMPRECORD s p i 5",
    ],
)
def test_which_commands_break_a_watch(command: str) -> None:
    read = "XREADGROUP GROUP g a COUNT 2 STREAMS s >"
    same([*SETUP, read, "WATCH s t", command, "MULTI", "PING", "EXEC"], resp=(3,))
