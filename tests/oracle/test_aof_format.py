"""Append-only files against redis-server: it loads ours and skips our annotations, we read what it writes further.

The reference takes part, and redis-server 7.0 and redis-check-aof where they are installed.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.formats.aof.manifest import Entry, Manifest, parse
from broker.formats.aof.reading import CommandReader
from broker.formats.aof.writing import CommandWriter, sealed
from broker.persistence.files import Disk
from protocol.replies import bulk, bulks
from tests.oracle import servers
from tests.oracle.background import rewrite
from tests.oracle.servers import Server

MANIFEST = "appendonly.aof.manifest"


def path_of_7_0() -> Path:
    try:
        return servers.find_7_0()
    except servers.OracleMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module", params=["reference", "7.0"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of its own with an append-only file."""
    path = servers.find_reference()[0] if request.param == "reference" else path_of_7_0()
    port = servers.free_port()
    options = ["--save", "", "--bind", "127.0.0.1", "--enable-debug-command", "yes", "--appendonly", "yes"]
    started = servers.start(request.param, [str(path), "--port", str(port), *options, "--appendfsync", "always"], port)
    yield started
    started.stop()


def folder_of(server: Server) -> Path:
    assert server.folder is not None
    return server.folder / "appendonlydir"


def manifest_of(server: Server) -> Manifest:
    return parse((folder_of(server) / MANIFEST).read_bytes())


def increment_of(server: Server) -> Path:
    return folder_of(server) / manifest_of(server).increments[-1].name


def annotated() -> bytes:
    """A file with checksum lines and timestamps wherever one may stand, and values that look like such."""
    writer = CommandWriter()
    one = writer.timestamp(1700000000) + writer.encode([(0, [b"SET", b"a", b"\r\n#CRC:00000000\r\n*1\r\n"])])
    two = writer.encode([(0, [b"INCR", b"n"]), (9, [b"RPUSH", b"l", b"#TS:1\r\n", b"#CRC:0"])])
    begun = bulks([b"MULTI"]) + bulks([b"INCR", b"n"])
    first = sealed(b"") + sealed(one) + sealed(two) + sealed(b"") + sealed(writer.encode([(0, [b"INCR", b"n"])]))
    return (
        first
        + sealed(begun)
        + writer.timestamp(1700000001)
        + sealed(
            bulks([b"INCR", b"n"]) + bulks([b"EXEC"]) + writer.encode([(0, [b"INCR", b"n"])]),
            _crc(b"#TS:1700000001\r\n"),
        )
    )


def _crc(data: bytes) -> int:
    return int(sealed(data)[-10:-2], 16)


def load(server: Server, data: bytes) -> None:
    """Put `data` in the place of the increment, and have the server load it."""
    increment = increment_of(server)
    increment.write_bytes(data)
    connection = server.connect()
    assert connection.call("DEBUG", "LOADAOF") == b"+OK\r\n"
    connection.close()


def test_annotations_are_skipped_wherever_they_stand(server: Server) -> None:
    load(server, annotated())
    connection = server.connect()
    assert connection.call("GET", "a") == bulk(b"\r\n#CRC:00000000\r\n*1\r\n")
    assert connection.call("GET", "n") == b"$1\r\n5\r\n"
    connection.call("SELECT", "9")
    assert connection.call("LRANGE", "l", "0", "-1") == bulks([b"#TS:1\r\n", b"#CRC:0"])
    connection.close()


def test_we_read_what_it_has_written_after_ours_and_go_on(server: Server) -> None:
    load(server, annotated())
    connection = server.connect()
    connection.call("SET", "b", "2")
    for command in (["MULTI"], ["INCR", "n"], ["INCR", "n"], ["EXEC"]):
        connection.call(*command)
    connection.close()
    data = increment_of(server).read_bytes()
    assert data.startswith(annotated()) and len(data) > len(annotated())
    commands, reader = _read(increment_of(server))
    assert reader.verified == len(annotated()) and reader.offset == len(data)
    assert commands[-4:] == [[b"MULTI"], [b"INCR", b"n"], [b"INCR", b"n"], [b"EXEC"]]
    load(server, data + sealed(bulks([b"SET", b"c", b"3"]), reader.checksum))
    commands, again = _read(increment_of(server))
    assert commands[-1] == [b"SET", b"c", b"3"]
    assert again.verified == again.offset == increment_of(server).stat().st_size


def _read(path: Path) -> tuple[list[list[bytes]], CommandReader]:
    source = Disk().open_source(str(path))
    reader = CommandReader(source.read, source.size)
    commands = [command for _, command in reader]
    source.close()
    return commands, reader


def test_its_manifest_is_read_and_written_alike(server: Server) -> None:
    connection = server.connect()
    rewrite(connection)
    connection.close()
    data = (folder_of(server) / MANIFEST).read_bytes()
    manifest = parse(data)
    assert manifest.format() == data
    assert manifest.base is not None and manifest.base.sequence >= 2 and not manifest.history
    assert (manifest.increments[-1].start_offset is None) == (server.name == "7.0")


def test_redis_check_aof_takes_our_file_and_our_manifest(tmp_path: Path) -> None:
    program = shutil.which("redis-check-aof")
    if program is None:
        pytest.skip("no redis-check-aof is installed")
    manifest = Manifest(increments=(Entry("a b.1.incr.aof", 1, "i", 0, 12),))
    (tmp_path / "a.manifest").write_bytes(manifest.format())
    (tmp_path / "a b.1.incr.aof").write_bytes(annotated())
    done = subprocess.run([program, str(tmp_path / "a.manifest")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "All AOF files and manifest are valid" in done.stdout
