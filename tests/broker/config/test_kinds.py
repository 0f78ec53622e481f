"""The texts of values: what is taken, what is refused and with which words, and what CONFIG GET shows."""

from typing import Any

import pytest

from broker.config.directives import BY_NAME
from broker.config.kinds import INT64_MAX, UINT64_MAX, loose_integer, memory_size, memory_text, strict_integer


def parse(name: str, *words: bytes) -> Any:
    directive = BY_NAME[name]
    return directive.parse(words, directive.default)


def shown(name: str, *words: bytes) -> bytes:
    return BY_NAME[name].text(parse(name, *words))


@pytest.mark.parametrize(
    ("word", "size"),
    [
        (b"0", 0),
        (b"", 0),
        (b"1b", 1),
        (b"1k", 1000),
        (b"1kb", 1024),
        (b"1K", 1000),
        (b"2MB", 2 * 1024**2),
        (b"3m", 3_000_000),
        (b"1g", 10**9),
        (b"1Gb", 1024**3),
        (b"007", 7),
        (b"99999999999999999999999gb", UINT64_MAX),
        (b"18446744073709551615kb", UINT64_MAX),
        (b"-1", None),
        (b"+1", None),
        (b"1.5gb", None),
        (b"1 kb", None),
        (b"1tb", None),
        (b"9" * 128, None),
    ],
)
def test_memory_size(word: bytes, size: int | None) -> None:
    assert memory_size(word) == size


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, b"0"), (1, b"1"), (1024, b"1kb"), (1536, b"1536"), (3 * 1024**2, b"3mb"), (1024**3, b"1gb")],
)
def test_memory_text(size: int, text: bytes) -> None:
    assert memory_text(size) == text


@pytest.mark.parametrize("word", [b"", b"+1", b" 1", b"1 ", b"01", b"-0", b"1_0", b"0x10", b"9" * 30])
def test_strict_integer_refuses(word: bytes) -> None:
    assert strict_integer(word) is None


def test_loose_integer_is_strtoll() -> None:
    assert loose_integer(b" +5") == 5
    assert loose_integer(b"007") == 7
    assert loose_integer(b"") == 0
    assert loose_integer(b"9" * 100_000) == INT64_MAX
    assert loose_integer(b"5 ") is None
    assert loose_integer(b"x") is None


@pytest.mark.parametrize(
    ("name", "words", "error"),
    [
        ("appendonly", [b"maybe"], "argument must be 'yes' or 'no'"),
        ("port", [b"70000"], "argument must be between 0 and 65535 inclusive"),
        ("port", [b"6379x"], "argument couldn't be parsed into an integer"),
        ("maxclients", [b"-1"], "argument must be between 1 and 4294967295 inclusive"),
        ("maxmemory", [b"-1"], "argument must be a memory value"),
        ("proto-max-bulk-len", [b"1"], "argument must be between 1048576 and 9223372036854775807 inclusive"),
        (
            "proto-max-bulk-len",
            [b"18446744073709551615"],
            "argument must be between 1048576 and 9223372036854775807 inclusive",
        ),
        ("maxmemory-clients", [b"101%"], "percentage argument must be less or equal to 100"),
        ("maxmemory-clients", [b"%"], "argument must be a memory or percent value"),
        ("unixsocketperm", [b"8"], "argument couldn't be parsed as an octal number"),
        ("unixsocketperm", [b"1000"], "argument must be between 0 and 777 inclusive"),
        ("appendfsync", [b"x"], "argument(s) must be one of the following: everysec, always, no"),
        (
            "shutdown-on-sigterm",
            [],
            "argument(s) must be one of the following: default, save, nosave, now, force",
        ),
        (
            "shutdown-on-sigterm",
            [b"save", b"nosave"],
            "shutdown options SAVE and NOSAVE can't be used simultaneously",
        ),
        ("dbfilename", [b"a/b"], "dbfilename can't be a path, just a filename"),
        ("appendfilename", [b""], "appendfilename can't be empty"),
        ("appenddirname", [b"a/b"], "appenddirname can't be a path, just a dirname"),
        ("save", [b"1"], "Invalid save parameters"),
        ("save", [b"0", b"1"], "Invalid save parameters"),
        ("save", [b"1", b"-1"], "Invalid save parameters"),
        (
            "client-output-buffer-limit",
            [b"normal"],
            "Wrong number of arguments in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            [b"master", b"0", b"0", b"0"],
            "Invalid client class specified in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            [b"normal", b"0", b"x", b"0"],
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
        ),
        ("notify-keyspace-events", [b"q"], "Invalid event class character. Use 'Ag$lshzxeKEtmdnocaSTIV'."),
        ("oom-score-adj-values", [b"1", b"2"], "wrong number of arguments"),
        (
            "oom-score-adj-values",
            [b"1", b"2", b"2001"],
            "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
        ),
        ("latency-tracking-info-percentiles", [b"x"], "Invalid latency-tracking-info-percentiles parameters"),
        (
            "latency-tracking-info-percentiles",
            [b"101"],
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
        ),
        ("bind", [b"a"] * 17, "Too many bind addresses specified."),
        ("replicaof", [b"host"], "wrong number of arguments"),
        ("replicaof", [b"host", b"65536"], "Invalid master port"),
        ("dir", [b"/no/such/folder"], "No such file or directory"),
        ("dir", [b"/dev/null"], "Not a directory"),
    ],
)
def test_refusals(name: str, words: list[bytes], error: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(name, *words)
    assert str(caught.value) == error


def test_a_long_list_of_choices_is_cut_as_redis_cuts_it() -> None:
    with pytest.raises(ValueError) as caught:
        parse("maxmemory-policy", b"x")
    assert len(str(caught.value)) <= 255


@pytest.mark.parametrize(
    ("name", "words", "text"),
    [
        ("appendonly", [b"YES"], b"yes"),
        ("maxmemory-clients", [b"5%"], b"5%"),
        ("maxmemory-clients", [b"1kb"], b"1024"),
        ("unixsocketperm", [b"0700"], b"700"),
        ("appendfsync", [b"ALWAYS"], b"always"),
        ("oom-score-adj", [b"relative"], b"yes"),
        ("shutdown-on-sigterm", [b"force", b"SAVE", b"default"], b"save force"),
        ("shutdown-on-sigterm", [b"default"], b"default"),
        ("cluster-slot-stats-enabled", [b"mem", b"cpu", b"net"], b"yes"),
        ("save", [b"3600", b"1", b"60", b"100"], b"3600 1 60 100"),
        ("save", [b""], b""),
        ("notify-keyspace-events", [b"KEA"], b"AKE"),
        ("notify-keyspace-events", [b"xKzE"], b"zxKE"),
        ("notify-keyspace-events", [b"Ano"], b"A"),
        ("notify-keyspace-events", [b"ng"], b"gn"),
        ("notify-keyspace-events", [b""], b""),
        ("latency-tracking-info-percentiles", [b"50", b"99.90", b"1e1"], b"50 99.9 10"),
        ("oom-score-adj-values", [b"1", b" +2", b"3"], b"1 2 3"),
        ("bind", [b"127.0.0.1", b"-::1"], b"127.0.0.1 -::1"),
        ("bind", [b""], b""),
        ("replicaof", [b"host", b"6379"], b"host 6379"),
        ("replicaof", [b"NO", b"one"], b""),
        ("hz", [b"100000"], b"500"),
        ("hz", [b"0"], b"1"),
        ("requirepass", [b"\xff\x00"], b"\xff\x00"),
        ("logfile", [b"/var/log/\xff"], b"/var/log/\xff"),
    ],
)
def test_texts(name: str, words: list[bytes], text: bytes) -> None:
    assert shown(name, *words) == text
