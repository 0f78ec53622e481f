"""Writes of every family, the same in each run, in several databases, transactions and scripts."""

import random

from tests.oracle.wire import Connection

FIELDS = ("f1", "f2", "f3")


def commands(seed: int, count: int, *, newer: bool = False) -> list[list[str | int]]:
    """So many commands; with `newer`, also what Redis 7.0 has no words for."""
    choose = random.Random(seed)
    made: list[list[str | int]] = []
    for number in range(count):
        key = f"k{choose.randrange(20)}"
        text = "v" * choose.randrange(1, 60) + str(number)
        made.append(choose.choice(_kinds(key, text, number, newer)))
    return made


def _kinds(key: str, text: str, number: int, newer: bool) -> list[list[str | int]]:
    kinds: list[list[str | int]] = [
        ["SET", f"s{key}", text],
        ["SET", f"s{key}", text, "EX", 1000 + number],
        ["APPEND", f"s{key}", text],
        ["INCRBY", f"n{key}", number],
        ["INCRBYFLOAT", f"f{key}", "0.1"],
        ["RPUSH", f"l{key}", text, "x"],
        ["LPOP", f"l{key}"],
        ["LMOVE", f"l{key}", "lother", "LEFT", "RIGHT"],
        ["SADD", f"t{key}", text, number],
        ["SPOP", f"t{key}"],
        ["HSET", f"h{key}", FIELDS[number % 3], text],
        ["HINCRBYFLOAT", f"h{key}n", "f", "1.5"],
        ["ZADD", f"z{key}", number, text],
        ["ZPOPMIN", f"z{key}"],
        ["ZRANGESTORE", "zother", f"z{key}", 0, -1],
        ["XADD", f"x{key}", "MAXLEN", "~", 100, "*", "a", text],
        ["XADD", f"x{key}", "*", "b", text],
        ["PFADD", f"p{key}", text],
        ["PEXPIRE", f"s{key}", 100_000],
        ["PEXPIRE", f"h{key}", 1],
        ["DEL", f"s{key}"],
        ["COPY", f"l{key}", "copied", "REPLACE"],
        [
            "EVAL",
            "redis.call('set', KEYS[1], ARGV[1]) return redis.call('incr', KEYS[2])",
            2,
            f"s{key}",
            "scripts",
            text,
        ],
        ["PUBLISH", "news", text],
        ["SELECT", number % 3],
        ["GETEX", f"s{key}", "PERSIST"],
        ["SETBIT", f"b{key}", number % 1000, 1],
        ["GEOADD", f"g{key}", "13.361389", "38.115556", text],
    ]
    if newer:
        kinds += [
            ["HPEXPIRE", f"h{key}", 1_000_000, "FIELDS", 1, "f1"],
            ["HSETEX", f"h{key}", "EX", 1000, "FIELDS", 1, "f2", text],
        ]
    return kinds


def write(client: Connection, seed: int, count: int, *, newer: bool = False) -> None:
    """Send them, every tenth run of ten as a transaction."""
    made = commands(seed, count, newer=newer)
    for at in range(0, count, 10):
        run = made[at : at + 10]
        in_transaction = at % 100 == 0
        if in_transaction:
            client.call("MULTI")
        for words in run:
            client.call(*words)
        if in_transaction:
            client.call("EXEC")
    client.call("SELECT", 0)
