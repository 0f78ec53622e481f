"""The lines of the table: what each sends, and the data that it needs beforehand."""

from collections.abc import Callable
from dataclasses import dataclass

import scripts
from loads import CLIENTS, Load, Sample, by_benchmark, hand_off, publish, replay
from servers import Server, encode

FIRST_ID = 1_000_000_000
BATCH = 10
GROUPS = 10


def _nothing(server: Server, requests: int) -> None:
    pass


@dataclass(frozen=True)
class Workload:
    """A line of the table."""

    name: str
    load: Load
    prepare: Callable[[Server, int], None] = _nothing
    rates: tuple[int, int] = (60_000, 400_000)
    """Requests a second to be expected without pipelining and with it. They set a run's requests, which are the same
    on each machine: what some lines cost depends on how much has been stored."""

    def requests(self, seconds: float, pipeline: int) -> int:
        """How many make a run of about that length."""
        return max(int(seconds * self.rates[pipeline > 1]) // pipeline, 10) * pipeline

    def measure(self, server: Server, requests: int, pipeline: int) -> Sample:
        server.call("FLUSHALL")
        self.prepare(server, requests)
        server.settle()
        return self.load(server, requests, pipeline)


def by_script(
    name: str, script: str, *arguments: str, rates: tuple[int, int], prepare: Callable[[Server, int], None] = _nothing
) -> Workload:
    """A line of EVALSHA."""

    def load_script(server: Server, requests: int) -> None:
        server.call("SCRIPT", "LOAD", script)
        prepare(server, requests)

    load = by_benchmark("-r", "10000", "EVALSHA", scripts.sha(script), *arguments)
    return Workload(name, load, load_script, rates)


def _fill_list(server: Server, requests: int) -> None:
    server.fill(encode("RPUSH", "mylist", *["xxx"] * 1000) * (requests // 1000 + 2))


def _fill_keys(server: Server, requests: int) -> None:
    server.fill(b"".join(encode("SET", f"key:{n:012}", "xxx") for n in range(100_000)))


def _fill_hashes(server: Server, requests: int) -> None:
    """A thousand hashes of five fields."""
    fields = [word for n in range(5) for word in (f"field:{n}", f"value:{n}")]
    server.fill(b"".join(encode("HSET", f"user:{n:012}", *fields) for n in range(1000)))


def _fill_set(server: Server, requests: int) -> None:
    server.fill(b"".join(encode("SADD", "set", *range(n, n + 1000)) for n in range(0, requests * 2, 1000)))


def _fill_sorted_set(server: Server, requests: int) -> None:
    """A thousand members to read, and for each request one to pop."""
    for key, count in (("board", 1000), ("queue", requests * 2)):
        server.fill(
            b"".join(
                encode("ZADD", key, *(word for m in range(n, n + 1000) for word in (m, f"member:{m}")))
                for n in range(0, count, 1000)
            )
        )


def _fill_bits(server: Server, requests: int) -> None:
    """4 KiB of bits, and a hash of one field."""
    server.fill(encode("SETRANGE", "bits", 0, b"\x5a" * 4096) + encode("HSET", "hash", "field:000000000000", "xxx"))


def _fill_stream(server: Server, requests: int) -> None:
    ids = range(FIRST_ID, FIRST_ID + requests // GROUPS // 2 * BATCH + BATCH)
    server.fill(b"".join(encode("XADD", "jobs", f"{n}-1", "job", n) for n in ids))
    server.fill(b"".join(encode("XGROUP", "CREATE", "jobs", f"group{n}", "0") for n in range(GROUPS)))


def consume(server: Server, requests: int, pipeline: int) -> Sample:
    """Consumers each read 10 entries (XREADGROUP) and acknowledge them (XACK), in turns."""
    rounds = max(requests // GROUPS // 2, 1)
    entry = b"*2\r\n" + encode(f"{FIRST_ID}-1")[4:] + encode("job", FIRST_ID)
    delivered = len(b"*1\r\n*2\r\n$4\r\njobs\r\n*10\r\n") + BATCH * len(entry)
    steps_by_group = []
    for group in range(GROUPS):
        read = encode("XREADGROUP", "GROUP", f"group{group}", "c", "COUNT", BATCH, "STREAMS", "jobs", ">")
        steps = []
        for at in range(FIRST_ID, FIRST_ID + rounds * BATCH, BATCH):
            acknowledge = encode("XACK", "jobs", f"group{group}", *(f"{n}-1" for n in range(at, at + BATCH)))
            steps += [(read, delivered), (acknowledge, len(b":10\r\n"))]
        steps_by_group.append(steps)
    return replay(server, steps_by_group, pipeline)


def transact(server: Server, requests: int, pipeline: int) -> Sample:
    """Transactions of three commands, each sent whole and counted as one request."""
    steps_by_client = []
    reply = len(b"+OK\r\n" + b"+QUEUED\r\n" * 3 + b"*3\r\n+OK\r\n:1\r\n:1\r\n")
    for client in range(CLIENTS):
        commands = (
            ("MULTI",),
            ("SET", f"key:{client}", "xxx"),
            ("EXPIRE", f"key:{client}", 1000),
            ("SADD", f"set:{client}", "xxx"),
            ("EXEC",),
        )
        steps_by_client.append(
            [(b"".join(encode(*command) for command in commands), reply)] * max(requests // CLIENTS, 1)
        )
    return replay(server, steps_by_client, pipeline)


_KEY = "key:__rand_int__"
_LINES = (
    Workload("PING", by_benchmark("-t", "ping_mbulk")),
    Workload("SET", by_benchmark("-t", "set", "-r", "100000")),
    Workload("SET-EX", by_benchmark("-r", "100000", "SET", _KEY, "xxx", "EX", "1000")),
    # locks: some are free, some are held
    Workload("SET-PX-NX", by_benchmark("-r", "500000", "SET", "lock:__rand_int__", "token", "PX", "600000", "NX")),
    Workload("GET", by_benchmark("-t", "get", "-r", "100000"), _fill_keys),
    Workload("INCR", by_benchmark("-t", "incr", "-r", "100000")),
    Workload("EXPIRE", by_benchmark("-r", "100000", "EXPIRE", _KEY, "1000"), _fill_keys),
    Workload("SCAN", by_benchmark("-r", "100000", "SCAN", "__rand_int__"), _fill_keys, (18_000, 120_000)),
    Workload("LPUSH", by_benchmark("-t", "lpush")),
    Workload("RPOP", by_benchmark("-t", "rpop"), _fill_list),
    Workload("LPOP", by_benchmark("-t", "lpop"), _fill_list),
    Workload("LRANGE-100", by_benchmark("LRANGE", "mylist", "0", "99"), _fill_list, (30_000, 80_000)),
    Workload("BLPOP-handoff", hand_off, rates=(18_000, 120_000)),
    Workload("XADD", by_benchmark("XADD", "stream", "*", "field", "value"), rates=(42_000, 280_000)),
    Workload(
        "XADD-MAXLEN~",
        by_benchmark("XADD", "stream", "MAXLEN", "~", "1000", "*", "field", "value"),
        rates=(42_000, 280_000),
    ),
    Workload("XREADGROUP+XACK", consume, _fill_stream, (18_000, 120_000)),
    Workload("PUBLISH-to-50", publish(50, CLIENTS), rates=(15_000, 40_000)),
    Workload("PUBLISH-to-1000", publish(1_000, CLIENTS), rates=(1_500, 5_000)),
    Workload("HSET", by_benchmark("-r", "10000", "HSET", "hash", "field:__rand_int__", "xxx")),
    Workload("HGET", by_benchmark("HGET", "hash", "field:000000000000"), _fill_bits),
    Workload("HGETALL-5", by_benchmark("-r", "1000", "HGETALL", "user:__rand_int__"), _fill_hashes, (50_000, 250_000)),
    Workload("SADD", by_benchmark("-r", "100000", "SADD", "set", "member:__rand_int__")),
    Workload("SPOP", by_benchmark("SPOP", "set"), _fill_set),
    Workload(
        "ZADD",
        by_benchmark("-r", "10000", "ZADD", "board", "__rand_int__", "member:__rand_int__"),
        rates=(42_000, 280_000),
    ),
    Workload(
        "ZINCRBY", by_benchmark("-r", "1000", "ZINCRBY", "board", "1", "member:__rand_int__"), rates=(42_000, 280_000)
    ),
    Workload("ZRANGE-10", by_benchmark("ZRANGE", "board", "100", "109"), _fill_sorted_set, (30_000, 200_000)),
    Workload("ZPOPMIN", by_benchmark("ZPOPMIN", "queue"), _fill_sorted_set, (30_000, 200_000)),
    Workload("PFADD", by_benchmark("-r", "100000", "PFADD", "visitors", "user:__rand_int__")),
    Workload("SETBIT", by_benchmark("SETBIT", "bits", "123456", "1")),
    Workload("BITCOUNT-4K", by_benchmark("BITCOUNT", "bits"), _fill_bits),
    Workload("MULTI-EXEC-3", transact, rates=(20_000, 50_000)),
    by_script("EVALSHA", scripts.TRIVIAL, "0", rates=(42_000, 280_000)),
    by_script("EVALSHA-1", scripts.ONE_CALL, "1", _KEY, rates=(40_000, 150_000), prepare=_fill_keys),
    by_script("EVALSHA-5", scripts.RATE_LIMITER, "1", _KEY, "60000", "100", rates=(12_000, 80_000)),
    by_script("EVALSHA-100", scripts.LOOP, "1", "hash", "xxx", rates=(1_800, 12_000)),
    by_script("EVALSHA-cjson", scripts.JSON, "0", scripts.DOCUMENT, rates=(20_000, 30_000)),
)
WORKLOADS = {line.name: line for line in _LINES}
