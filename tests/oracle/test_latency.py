"""LATENCY, INFO latencystats and commandstats beside redis-server: shapes, counts and errors, never times."""

import re

import pytest

from tests.oracle.harness import AnyCommand, Masked, Shape, Unordered, pair, requires, same
from tests.oracle.wire import Node, parse

pytestmark = requires("8.10")

WATCHED = ["CONFIG SET latency-monitor-threshold 1", "LATENCY RESET"]
USUAL = [
    "CONFIG SET latency-monitor-threshold 0 latency-tracking yes latency-tracking-info-percentiles '50 99 99.9'",
    "LATENCY RESET", "CONFIG RESETSTAT",
]  # fmt: skip


def _numbers(reply: bytes) -> bytes:
    return re.sub(rb":\d+", b":#", reply)


def test_spikes() -> None:
    script: list[AnyCommand] = [
        Masked("LATENCY RESET", _numbers), *WATCHED[:1], "DEBUG SLEEP 0.005",
        Masked("LATENCY LATEST", _of_command), Masked("LATENCY HISTORY command", _numbers),
        "LATENCY HISTORY nosuch", "LATENCY HISTORY Command", "LATENCY GRAPH nosuch", Shape("LATENCY GRAPH command"),
        Shape("LATENCY DOCTOR"), Masked("LATENCY GRAPH command", lambda reply: re.sub(rb"\d+ ms|=\d+", b"#", reply)),
        "LATENCY RESET command nosuch", "LATENCY HISTORY command",
    ]  # fmt: skip
    same(script, cleanup=USUAL)


def _of_command(reply: bytes) -> bytes:
    """LATEST without numbers, and without what else the machine made slow."""
    return repr([_shape(item) for item in parse(reply).items if item.items[0].text == b"command"]).encode()


def _shape(node: Node) -> object:
    return node.kind, [item.kind for item in node.items]


def test_while_nothing_is_recorded() -> None:
    same([*WATCHED[1:], "DEBUG SLEEP 0.003", "LATENCY LATEST", Shape("LATENCY DOCTOR")], cleanup=USUAL)


def test_arguments() -> None:
    same(
        [
            "LATENCY", "LATENCY NOSUCH", "LATENCY LATEST x", "LATENCY HISTORY", "LATENCY HISTORY a b", "LATENCY GRAPH",
            "LATENCY GRAPH a b", "LATENCY DOCTOR x", "LATENCY HELP x", "LATENCY HISTOGRAM nosuch",
            "LATENCY HISTOGRAM a|b|c nosuch", "CONFIG SET latency-monitor-threshold -1",
            "CONFIG SET latency-tracking maybe", "CONFIG SET latency-tracking-info-percentiles 101",
            "CONFIG SET latency-tracking-info-percentiles x", Unordered("CONFIG GET latency*", pairs=True),
            "CONFIG SET latency-tracking-info-percentiles '0 12.5 100'", "CONFIG GET latency-tracking-info-percentiles",
            "CONFIG SET latency-tracking-info-percentiles ''", "CONFIG GET latency-tracking-info-percentiles",
        ],
        cleanup=USUAL,
    )  # fmt: skip


def _histogram(reply: bytes) -> bytes:
    """HISTOGRAM with the commands in order, and without its levels."""
    found = parse(reply)
    pairs = zip(found.items[::2], found.items[1::2], strict=True)
    return repr((found.kind, sorted((name.text, _counts(of)) for name, of in pairs))).encode()


def _counts(node: Node) -> object:
    calls, count, usec, levels = node.items
    assert levels.items[-1].text == count.text, "the last level has all calls"
    return node.kind, calls.text, count.text, usec.text, levels.kind, {item.kind for item in levels.items}


COMMANDS = [
    "SET a x", "GET a", "GET a", "get b", "GET", "LPOP a", "MULTI", "GET a", "EXEC", "BLPOP nokey 0.01", "CLIENT ID",
    ["EVAL", "return redis.call('GET', 'a')", 0], "CONFIG GET maxclients",
]  # fmt: skip


def test_histograms() -> None:
    of_all = [Masked(command, _histogram) for command in (
        "LATENCY HISTOGRAM", "LATENCY HISTOGRAM get nosuch SET", "LATENCY HISTOGRAM config client|id",
        "LATENCY HISTOGRAM lpop blpop eval exec multi", "LATENCY HISTOGRAM client|nosuch client",
    )]  # fmt: skip
    counted = [Masked(command, lambda reply: re.sub(rb":\d+", b"", reply)) for command in COMMANDS if "ID" in command]
    calls = [counted[0] if command == "CLIENT ID" else command for command in COMMANDS]
    same(["CONFIG RESETSTAT", *calls, *of_all], cleanup=USUAL)


def test_histograms_without_tracking() -> None:
    same(
        [
            "CONFIG RESETSTAT", "GET a", "CONFIG SET latency-tracking no", "GET a",
            Masked("LATENCY HISTOGRAM", _histogram), "INFO latencystats", "CONFIG SET latency-tracking yes",
            Masked("INFO latencystats", _percentiles),
        ],
        cleanup=USUAL,
    )  # fmt: skip


@pytest.mark.parametrize("percentiles", ["50 99 99.9", "0 100", "", "33.3333 66.123456789 1e1"])
def test_percentiles(percentiles: str) -> None:
    calls = ["SET a x", "GET a", "CONFIG GET maxclients", "BLPOP nokey 0.01", "LPOP a"]
    same(
        [
            f"CONFIG SET latency-tracking-info-percentiles '{percentiles}'", "CONFIG RESETSTAT", *calls,
            Masked("INFO latencystats", _percentiles),
        ],
        cleanup=USUAL,
    )  # fmt: skip


def _percentiles(reply: bytes) -> bytes:
    lines = sorted(parse(reply).text.split(b"\r\n"))
    return b"\n".join(re.sub(rb"=\d+\.\d{3}\b", b"=#", line) for line in lines)


def test_commandstats() -> None:
    def mask(reply: bytes) -> bytes:
        lines = sorted(parse(reply).text.split(b"\r\n"))
        return b"\n".join(re.sub(rb"(usec|per_call)=[\d.]+|,slowlog_\w+=[\d.]+", rb"\1", line) for line in lines)

    with pair() as both:
        client = both.client()
        client.do("CONFIG RESETSTAT")
        for command in COMMANDS:
            client.do(Masked(command, lambda reply: re.sub(rb"^:\d+", b"", reply)))
        client.do(Masked("INFO commandstats", mask))
