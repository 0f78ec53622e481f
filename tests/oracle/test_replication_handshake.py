"""REPLCONF, SYNC and PSYNC as far as clients use them that only want the RDB file, and what redis-cli makes of it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.oracle import servers
from tests.oracle.harness import Raw, requires, same

pytestmark = requires("8.10")


@pytest.mark.parametrize(
    "command",
    [
        "REPLCONF",
        "REPLCONF rdb-only 1",
        "REPLCONF RDB-ONLY 0 capa eof",
        "REPLCONF rdb-only",
        "REPLCONF rdb-only yes",
        "REPLCONF rdb-only 2",
        "REPLCONF rdb-only -1",
        "REPLCONF rdb-filter-only functions",
        'REPLCONF rdb-filter-only ""',
        "REPLCONF rdb-filter-only keys",
        'REPLCONF rdb-filter-only "functions keys"',
        ["REPLCONF", "rdb-filter-only", '"'],
        "REPLCONF capa",
        "REPLCONF capa eof capa psync2 capa whatever",
        "REPLCONF listening-port 6379",
        "REPLCONF listening-port x",
        "REPLCONF ip-address 127.0.0.1",
        ["REPLCONF", "ip-address", "a" * 256],
        "REPLCONF rdb-channel 1",
        "REPLCONF rdb-channel x",
        "REPLCONF rdb-no-compress 2",
        "REPLCONF rdb-no-checksum 1",
        "REPLCONF compression x",
        "REPLCONF compression 1",
        "REPLCONF main-ch-client-id x",
        "REPLCONF main-ch-client-id 123456",
        "REPLCONF nonsense 1",
        "REPLCONF nonsense 1 capa",
        "SYNC now",
        "PSYNC",
        "PSYNC ?",
        "PSYNC ? x",
        "PSYNC ? -1 FAILOVER",
    ],
)
def test_replies(command: str | list[str]) -> None:
    same([command, "PING"])


def test_no_reply_to_positions() -> None:
    same([Raw(b"REPLCONF ACK 5\r\nREPLCONF GETACK *\r\nPING\r\n"), "PING"])


def test_a_filter_needs_the_mark() -> None:
    same(["REPLCONF rdb-only 1 rdb-filter-only functions", "SYNC", "PSYNC ? -1"])


def test_not_in_transactions_and_scripts() -> None:
    same(
        [
            "MULTI",
            "SYNC",
            "PSYNC ? -1",
            "REPLCONF capa eof",
            "EXEC",
            ["EVAL", "return redis.call('sync')", 0],
            ["EVAL", "return redis.call('replconf', 'capa', 'eof')", 0],
        ]
    )


def _download(server: servers.Server, *options: str) -> bytes:
    client = str(servers.find_reference()[0].with_name("redis-cli"))
    port = str(server.address[1])
    return subprocess.run([client, "-p", port, *options], capture_output=True, check=True, timeout=60).stdout


@pytest.mark.skipif(not servers.find_reference()[0].with_name("redis-cli").exists(), reason="no redis-cli")
def test_the_reference_loads_what_its_client_has_fetched(tmp_path: Path) -> None:
    ours = servers.broker()
    connection = ours.connect()
    for words in (
        ["FLUSHALL"],
        ["FUNCTION", "FLUSH"],
        ["FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 7 end)"],
        ["DEBUG", "POPULATE", "20000"],
        ["RPUSH", "list", "a", "b"],
        ["SELECT", "3"],
        ["SET", "there", "value"],
    ):
        assert not connection.call(*words).startswith(b"-")
    (tmp_path / "functions").mkdir()
    _download(ours, "--rdb", str(tmp_path / "dump.rdb"))
    _download(ours, "--functions-rdb", str(tmp_path / "functions" / "dump.rdb"))
    with_mark = _download(ours, "--rdb", "-")
    assert with_mark.startswith(b"REDIS00") and len(with_mark) == (tmp_path / "dump.rdb").stat().st_size + 40
    for name in ("FLUSHALL", "FUNCTION FLUSH"):
        connection.call(*name.split())
    connection.close()
    port = servers.free_port()
    common = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes"]
    server = servers.start("loader", [str(servers.find_reference()[0]), *common], port)
    try:
        loader = server.connect()
        assert server.folder is not None
        for source, size in ((tmp_path, b":20001\r\n"), (tmp_path / "functions", b":0\r\n")):
            shutil.copy(source / "dump.rdb", server.folder / "dump.rdb")
            assert loader.call("FUNCTION", "FLUSH") == b"+OK\r\n"
            assert loader.call("DEBUG", "RELOAD", "NOSAVE") == b"+OK\r\n", server.log()
            assert loader.call("DBSIZE") == size
            assert loader.call("FCALL", "f", "0") == b":7\r\n"
        loader.close()
    finally:
        server.stop()
