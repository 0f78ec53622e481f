"""INFO beside the reference: its sections and fields in order, and the values that both must have."""

import pytest

from tests.oracle import servers
from tests.oracle.harness import pair, requires
from tests.oracle.wire import Connection, parse

pytestmark = requires("8.10")

OURS_ALONE = {"trimaran_version", "python_version", "trimaran_build", "trimaran_rdb_keys_skipped"} | {
    f"trimaran_collections{unit}" for unit in ("", "_usec", "_max_usec")
}
# These list what there is rather than naming fixed fields.
LISTS = ("Modules", "Commandstats", "Errorstats", "Latencystats", "Keyspace", "Keysizes")

Section = dict[str, str]


def sections(connection: Connection, *names: str) -> dict[str, Section]:
    found: dict[str, Section] = {}
    for line in parse(connection.call("INFO", *names)).text.decode().split("\r\n"):
        if line.startswith("# "):
            section = found[line[2:]] = {}
        elif line:
            name, _, value = line.partition(":")
            section[name] = value
    return found


def both(*names: str) -> list[dict[str, Section]]:
    told = []
    for server in (servers.reference(), servers.broker()):
        connection = server.connect()
        told.append(sections(connection, *names))
        connection.close()
    return told


@pytest.mark.parametrize("names", [(), ("all",), ("everything",), ("default",), ("keysizes", "threads"), ("nothing",)])
def test_the_sections_are_the_same_in_the_same_order(names: tuple[str, ...]) -> None:
    theirs, ours = both(*names)
    assert list(ours) == list(theirs)


def test_the_fields_are_the_same_in_the_same_order() -> None:
    theirs, ours = both("everything")
    for title in theirs:
        if title not in LISTS:
            assert [name for name in ours[title] if name not in OURS_ALONE] == list(theirs[title]), title


def test_a_new_server_has_the_same_values() -> None:
    """What has not happened reads the same on both, in type and value."""
    told = []
    for server in (servers.reference(), servers.broker()):
        connection = server.connect()
        for command in ("FLUSHALL", "CONFIG RESETSTAT", "SLOWLOG RESET"):
            connection.call(*command.split())
        told.append(sections(connection, "everything"))
        connection.close()
    differing = {
        name
        for title in ("Clients", "Persistence", "Stats", "Cluster")
        for name, value in told[0][title].items()
        if told[1][title][name] != value
    }
    assert differing <= DEPEND_ON_THE_SERVER
    for title, section in told[0].items():
        for name, value in section.items():
            assert kind(told[1][title].get(name, value)) == kind(value), name


DEPEND_ON_THE_SERVER = {
    "active_clients", "rdb_last_save_time", "total_net_input_bytes", "total_net_output_bytes",
    "instantaneous_ops_per_sec", "instantaneous_input_kbps", "instantaneous_output_kbps", "eventloop_cycles",
    "eventloop_duration_sum", "eventloop_duration_cmd_sum", "instantaneous_eventloop_cycles_per_sec",
    "instantaneous_eventloop_duration_usec", "eventloop_cycles_with_clients_processing", "latest_fork_usec",
    "client_recent_max_input_buffer", "client_recent_max_output_buffer", "current_cow_peak", "rdb_last_cow_size",
    "aof_last_cow_size", "rdb_last_load_keys_loaded", "rdb_last_bgsave_time_sec", "aof_last_rewrite_time_sec",
    "rdb_changes_since_last_save", "connected_clients", "lazyfreed_objects",
    "expire_cycle_cpu_milliseconds", "migrate_cached_sockets",
    # CONFIG RESETSTAT leaves these.
    "acl_access_denied_auth", "acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel",
}  # fmt: skip


def kind(value: str) -> str:
    """Whether a value is a number, and with how many decimals."""
    whole, point, decimals = value.rstrip("%").partition(".")
    if whole.lstrip("-").isdecimal() and (decimals.isdecimal() or not point):
        return f"number.{len(decimals)}{value[-1] if value.endswith('%') else ''}"
    return "text"


COUNTED = (
    "total_commands_processed", "keyspace_hits", "keyspace_misses", "expired_keys", "expired_subkeys",
    "total_error_replies", "total_client_processing_events", "avg_pipeline_length_sum",
    "avg_pipeline_length_cnt", "avg_pipeline_length", "total_reads_processed", "unexpected_error_replies",
)  # fmt: skip

PIPELINES = (
    (b"SET a 1\r\nGET a\r\nGET missing\r\n", 3),
    (b"NOSUCH\r\nGET\r\nINCRBY a x\r\n", 3),
    (b"MULTI\r\nINCR a\r\nGET a\r\nEXEC\r\n", 4),
    (b"MULTI\r\nNOSUCH\r\nEXEC\r\n", 3),
    (b"EVAL \"for i = 1, 5 do redis.call('GET', 'a') end\" 0\r\n", 1),
    (b"BLPOP l 0.001\r\n", 1),
    (b"LPUSH l 1\r\nBLPOP l 0\r\n", 2),
    (b"PING\r\n" * 16, 16),
)


def test_the_counters_count_alike() -> None:
    told = []
    for server in (servers.reference(), servers.broker()):
        watching, client = server.connect(), server.connect()
        client.call("FLUSHALL")
        watching.call("CONFIG", "RESETSTAT")
        counts = []
        for data, replies in PIPELINES:
            client.send(data)
            for _ in range(replies):
                client.receive()
            section = sections(watching, "stats")["Stats"]
            counts.append({name: section[name] for name in COUNTED})
        told.append(counts)
        watching.close()
        client.close()
    for (data, _), theirs, ours in zip(PIPELINES, *told, strict=True):
        assert (data, ours) == (data, theirs)


PACKED = (
    "RPUSH l 1 2 3", f"RPUSH nodes {'x' * 100} {' y' * 300}", f"RPUSH plain {'z' * 9000}", "HSET h f v", "SET s v",
    "SADD numbers 1 2", "SADD texts a b", "ZADD z 1 a", "XADD x 1-1 f v",
    f"HSET large {' '.join(map(str, range(2000)))}",
)  # fmt: skip


def test_payloads_that_are_examined_are_counted() -> None:
    connections = [server.connect() for server in (servers.reference(), servers.broker())]
    reference = connections[0]
    reference.call("FLUSHALL")
    reference.call("CONFIG", "SET", "sanitize-dump-payload", "yes")
    for command in PACKED:
        reference.call(*command.split())
        payload = parse(reference.call("DUMP", command.split()[1])).text
        counts = []
        for connection in connections:
            connection.call("CONFIG", "RESETSTAT")
            assert connection.call("RESTORE", "copy", "0", payload, "REPLACE") == b"+OK\r\n"
            counts.append(sections(connection, "stats")["Stats"]["dump_payload_sanitizations"])
        assert (command, counts[1]) == (command, counts[0])
    reference.call("CONFIG", "SET", "sanitize-dump-payload", "no")
    for connection in connections:
        connection.close()


def test_sizes_and_deadlines_of_keys() -> None:
    script = (
        ["SET", "empty", ""], ["SET", "number", "12345"], ["SETRANGE", "long", "70000", "x"], ["SETBIT", "bits", 9, 1],
        ["SETRANGE", "mega", 1048575, "x"], ["RPUSH", "l", "1", "2", "3"], ["SADD", "s", *range(5)],
        ["SADD", "s2", *"abcdefgh"], ["ZADD", "z", "1", "a", "2", "b"], ["HSET", "h", "f", "v"],
        ["HSET", "h2", "f", "v", "g", "w"], ["HEXPIRE", "h2", "100", "FIELDS", "1", "f"],
        ["XADD", "x", "1-1", "f", "v"],
        ["PFADD", "hll", "a"], ["APPEND", "empty", ""], ["SELECT", "3"], ["SET", "other", "v"],
        ["HSET", "h3", "f", "v"], ["HEXPIRE", "h3", "100", "FIELDS", "1", "f"], ["DEL", "h3"],
    )  # fmt: skip
    told = []
    for server in (servers.reference(), servers.broker()):
        connection = server.connect()
        connection.call("FLUSHALL")
        for command in script:
            assert not connection.call(*command).startswith(b"-"), command
        told.append(sections(connection, "keyspace", "keysizes"))
        connection.call("FLUSHALL")
        connection.close()
    assert told[1] == told[0]
    assert told[0]["Keyspace"]["db0"].endswith("subexpiry=1")


def test_how_much_memory_keys_take() -> None:
    """Redis measures it only if told so at the start; here CONFIG SET is enough."""
    script = (
        ["RPUSH", "l", *range(200)], ["RPUSH", "l2", "a"], ["SADD", "s", *"abc"], ["SADD", "s2", *range(300)],
        ["SADD", "table", *(f"m{number}" for number in range(300))], ["ZADD", "z", "1", "a"],
        ["ZADD", "skiplist", *(word for number in range(300) for word in (number, f"m{number}"))],
        ["HSET", "h", "f", "v"], ["HSET", "h2", *range(300)], ["SET", "k", "v"], ["XADD", "x", "1-1", "f", "v"],
        ["RPUSH", "quicklist", *("x" * 60 for _ in range(300))], ["SELECT", "3"], ["RPUSH", "l", "b" * 3000],
    )  # fmt: skip
    path, port = servers.find_reference()[0], servers.free_port()
    command = [str(path), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--key-memory-histograms", "yes"]
    measuring, broker = servers.start("measuring", command, port), servers.broker()
    told = []
    try:
        for server in (measuring, broker):
            connection = server.connect()
            connection.call("FLUSHALL")
            connection.call("CONFIG", "SET", "key-memory-histograms", "yes")
            for words in script:
                assert not connection.call(*words).startswith(b"-"), words
            told.append(list(sections(connection, "keysizes")["Keysizes"].items()))
            connection.call("CONFIG", "SET", "key-memory-histograms", "no")
            assert "db0_distrib_lists_sizes" not in sections(connection, "keysizes")["Keysizes"]
            connection.call("FLUSHALL")
            connection.close()
    finally:
        measuring.stop()
    assert told[1] == told[0]
    assert "db0_distrib_hashes_sizes" in dict(told[0])


def test_clients_that_wait_watch_and_subscribe() -> None:
    names = (
        "connected_clients", "blocked_clients", "pubsub_clients", "watching_clients", "total_watched_keys",
        "clients_in_timeout_table", "total_blocking_keys", "total_blocking_keys_on_nokey", "tracking_clients",
    )  # fmt: skip
    with pair() as p:
        blocked, timed, watching, subscribed = (p.client() for _ in range(4))
        blocked.send("BLPOP nokey other 0")
        timed.send("XREADGROUP GROUP g c BLOCK 100000 STREAMS nostream >")
        timed.receive()
        timed.send("BRPOP nokey 1000")
        watching.do("WATCH a b")
        subscribed.do("SUBSCRIBE channel")
        p.settle()
        theirs, ours = both("clients")
        assert [ours["Clients"][name] for name in names] == [theirs["Clients"][name] for name in names]
