"""INFO errorstats beside redis-server: which errors are counted, by which code, and for which command."""

import re

import pytest

from broker.process.stats import MAX_ERROR_KINDS
from tests.oracle.harness import AnyCommand, Each, Masked, pair, requires, same
from tests.oracle.wire import Connection, parse

pytestmark = requires("8.10")

_ANSWERS = "return {err=ARGV[1]}"


def _total(reply: bytes) -> bytes:
    """INFO stats reduced to the number of errors."""
    found = re.search(rb"total_error_replies:\d+", parse(reply).text)
    return found[0] if found else reply


def _of(command: str) -> AnyCommand:
    """INFO commandstats reduced to the failures of one command."""
    pattern = rb"cmdstat_%b:.*(rejected_calls=\d+,failed_calls=\d+)" % command.encode()
    return Masked("INFO commandstats", lambda reply: b"".join(re.findall(pattern, reply)))


@pytest.mark.parametrize(
    "text",
    [
        "A" * 29 + " x", "A" * 30 + " x", "A" * 31 + " x", "A" * 100_000, "A" * 100_000 + " x", "nocode", "-DASH x",
        "", " text", "A\nB x", "A\r\nB x", "AB\r\n", "C:#x y", "A=B,c x", "A\tB x", "A\0B x", b"\xff\xc3 x",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "source", [_ANSWERS, "return redis.error_reply(ARGV[1])", "error({err=ARGV[1]})", "error(ARGV[1])"]
)
def test_codes_that_scripts_make_up(source: str, text: str | bytes) -> None:
    same(["CONFIG RESETSTAT", ["EVAL", source, 0, text], "INFO errorstats", Masked("INFO stats", _total)], resp=(3,))


@pytest.mark.parametrize("count", [MAX_ERROR_KINDS - 1, MAX_ERROR_KINDS, MAX_ERROR_KINDS + 1, 2 * MAX_ERROR_KINDS])
def test_too_many_codes(count: int) -> None:
    made_up = [["EVAL", _ANSWERS, 0, f"E{number} x"] for number in range(count)]
    again = [["EVAL", _ANSWERS, 0, f"{code} x"] for code in ("E0", "NEW", "E5", "ERRORSTATS_DISABLED")]
    same(
        [
            "CONFIG RESETSTAT",
            *made_up,
            "INFO errorstats",
            *again,
            "INFO errorstats",
            Masked("INFO stats", _total),
            "CONFIG RESETSTAT",
            *again,
            "INFO errorstats",
        ],
        resp=(3,),
        cleanup=["CONFIG RESETSTAT"],
    )


@pytest.mark.parametrize("waiting", ["BLPOP k 0", "XREAD BLOCK 0 STREAMS k $", "BLMOVE k d LEFT LEFT 0", "WAIT 1 0"])
@pytest.mark.parametrize("reason", ["ERROR", "TIMEOUT"])
def test_an_unblocked_client(waiting: str, reason: str) -> None:
    with pair() as both:
        client, other = both.client(), both.client()
        theirs, ours = client.ids
        other.do("CONFIG RESETSTAT")
        client.send(waiting)
        both.settle()
        other.do(Each(f"CLIENT UNBLOCK {theirs} {reason}", f"CLIENT UNBLOCK {ours} {reason}"))
        client.receive()
        other.do("INFO errorstats")
        other.do(_of(waiting.split()[0].lower()))
        other.do(Masked("INFO stats", _total))


@pytest.mark.parametrize(
    "commands",
    [
        ["XGROUP DESTROY s g"],
        ["DEL s"],
        ["UNLINK s"],
        ["SET s x"],
        ["RENAME s other"],
        ["FLUSHALL"],
        ["SWAPDB 0 1"],
        ["MULTI", "DEL s", "LPUSH s x", "EXEC"],
        ["PEXPIRE s -1"],
        ["EVAL \"redis.call('DEL', 's') redis.call('SET', 's', 'x')\" 1 s"],
    ],
)
def test_a_group_that_goes_under_a_waiting_consumer(commands: list[str]) -> None:
    with pair() as both:
        consumer, other = both.client(), both.client()
        other.do("XGROUP CREATE s g $ MKSTREAM")
        other.do("CONFIG RESETSTAT")
        consumer.send("XREADGROUP GROUP g c BLOCK 0 STREAMS s >")
        both.settle()
        for command in commands:
            other.do(command)
        consumer.receive()
        other.do("INFO errorstats")
        other.do(_of("xreadgroup"))
        other.do(Masked("INFO stats", _total))


@pytest.mark.parametrize("waiting", ["BRPOPLPUSH k d 0", "BLMOVE k d LEFT LEFT 0"])
def test_a_destination_of_the_wrong_type(waiting: str) -> None:
    with pair() as both:
        client, other = both.client(), both.client()
        other.do("SET d x")
        other.do("CONFIG RESETSTAT")
        client.send(waiting)
        both.settle()
        other.do("LPUSH k a")
        client.receive()
        other.do("INFO errorstats")
        other.do(_of(waiting.split()[0].lower()))


def _statistics(connection: Connection) -> list[bytes]:
    """The counts of errors and of calls, without times."""
    lines = parse(connection.call("INFO", "errorstats", "commandstats")).text.split(b"\r\n")
    counted = (line for line in lines if line.startswith((b"errorstat_", b"cmdstat_")) and b"_info:" not in line)
    return sorted(re.sub(rb"usec=\d+,usec_per_call=[\d.]+,", b"", line) for line in counted)


WAITS = {
    "unblocked": ("BLPOP nolist 0", None),
    "group destroyed": ("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "XGROUP DESTROY s g"),
    "stream deleted": ("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "DEL s"),
    "another type": ("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "SET s x"),
}


@pytest.mark.parametrize("case", WAITS)
def test_errors_that_end_waits(case: str) -> None:
    wait, ending = WAITS[case]
    with pair(cleanup=["CONFIG RESETSTAT"]) as both:
        waiting, control = both.client(), both.client()
        control.do("XGROUP CREATE s g $ MKSTREAM")
        theirs, ours = waiting.ids
        control.do("CONFIG RESETSTAT")
        waiting.send(wait)
        both.settle()
        if ending is None:
            control.do(Each(f"CLIENT UNBLOCK {theirs} ERROR", f"CLIENT UNBLOCK {ours} ERROR"))
        else:
            control.do(ending)
        waiting.receive()
        counted = [
            [line for line in _statistics(connection) if b"ping:" not in line]
            for connection in (control.theirs, control.ours)
        ]
        assert counted[1] == counted[0]


def test_scripts_that_fail() -> None:
    sources = (
        "return redis.call('INCR', 'a', 1)", "return redis.error_reply('MY err')", "error('x')", "not lua",
        "return redis.pcall('GET')", "return redis.call('SET', 'a', 'b') + {}",
    )  # fmt: skip
    with pair(cleanup=["CONFIG RESETSTAT"]) as both:
        client = both.client()
        client.do("CONFIG RESETSTAT")
        for source in sources:
            client.do(["EVAL", source, 0])
        client.do("EVALSHA " + "f" * 40 + " 0")
        client.do("FCALL nothing 0")
        client.do("EVAL_RO \"return redis.call('SET', 'a', 'b')\" 0")
        theirs, ours = (_statistics(connection) for connection in (client.theirs, client.ours))
        assert ours == theirs
