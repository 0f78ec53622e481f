"""redis-cli (Debian's redis-tools, and the newest): arguments, standard input, output formats, mass insertion, each of
its modes; and redis-benchmark with client-side caching."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.conftest import skip_loudly
from tests.oracle import servers


@pytest.fixture
def cli(port: int) -> list[str]:
    found = shutil.which("redis-cli")
    if found is None:
        skip_loudly("redis-cli is not installed (Debian: redis-tools)")
    return [str(found), "-p", str(port)]


@pytest.fixture
def newest(cli: list[str]) -> list[str]:
    """The reference's redis-cli, which has more modes."""
    found = servers.find_reference()[0].with_name("redis-cli")
    if not found.exists():
        skip_loudly("there is no redis-cli beside the reference")
    return [str(found), *cli[1:]]


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Two ends of a terminal: what a program shows there comes at once, not once a pipe's buffer is full."""
    ours, theirs = os.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


def run(command: list[str], standard_input: str | bytes = "") -> str:
    data = standard_input.encode() if isinstance(standard_input, str) else standard_input
    done = subprocess.run(command, input=data, capture_output=True, timeout=60)
    assert done.returncode == 0, done
    return done.stdout.decode()


@pytest.mark.parametrize("resp", [[], ["-3"]], ids=["RESP2", "RESP3"])
def test_commands_as_arguments(cli: list[str], resp: list[str]) -> None:
    cli = [*cli, *resp]
    assert run([*cli, "SET", "k", "a b"]) == "OK\n"
    assert run([*cli, "GET", "k"]) == "a b\n"
    assert run([*cli, "GET", "none"]) == "\n"
    assert run([*cli, "RPUSH", "l", "1", "2"]) == "2\n"
    assert run([*cli, "LRANGE", "l", "0", "-1"]) == "1\n2\n"
    assert run([*cli, "HSET", "h", "f", "v"]) == "1\n"
    assert run([*cli, "HGETALL", "h"]) in ("f\nv\n", "f v\n")
    assert "WRONGTYPE" in run([*cli, "LPUSH", "k", "x"])
    assert run([*cli, "-n", "1", "DBSIZE"]) == "0\n"


def test_commands_from_standard_input(cli: list[str]) -> None:
    assert run(cli, "SET k 1\nINCR k\nMULTI\nINCR k\nGET k\nEXEC\n") == "OK\n2\nOK\nQUEUED\nQUEUED\n3\n3\n"
    assert run([*cli, "-x", "SET", "from-stdin"], "text\n") == "OK\n"
    assert run([*cli, "--csv", "MGET", "k", "from-stdin"]) == '"3","text\\n"\n'
    assert run([*cli, "--json", "MGET", "k", "from-stdin"]) == '["3","text\\n"]\n'


def test_mass_insertion(cli: list[str]) -> None:
    def protocol(*words: str) -> bytes:
        return f"*{len(words)}\r\n".encode() + b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in words)

    commands = b"".join(protocol("SET", f"key:{number}", "value") for number in range(20_000))
    assert "errors: 0, replies: 20000" in run([*cli, "--pipe"], commands)
    assert run([*cli, "DBSIZE"]) == "20000\n"
    assert len(set(run([*cli, "--scan", "--pattern", "key:1*"]).split())) == 11_111


def test_scanning_modes(cli: list[str]) -> None:
    run(cli, "RPUSH l a b c\nSADD s a\nHSET h f v g w\nZADD z 1 a\nXADD x * f v\nSET k text\n")
    for mode in ("--bigkeys", "--memkeys"):
        summary = run([*cli, mode])
        assert "Sampled 6 keys in the keyspace!" in summary
        assert "1 streams with" in summary
    assert "1 lists with 3 items" in run([*cli, "--bigkeys"])


@pytest.mark.parametrize(("option", "rolled_back"), [("--ldb", True), ("--ldb-sync-mode", False)])
def test_debugging_scripts(cli: list[str], tmp_path: Path, option: str, rolled_back: bool) -> None:
    script = tmp_path / "script.lua"
    script.write_text("local key = KEYS[1]\nredis.call('set', key, ARGV[1])\nlocal v = 1\nreturn ARGV\n")
    newest = servers.find_reference()[0].with_name("redis-cli")
    for program in {cli[0], str(newest) if newest.exists() else cli[0]}:
        run(cli, "DEL k")
        command = [program, *cli[1:], option, "--eval", str(script), "k", ",", "a b"]
        shown = run(command, "help\ns\nn\np\np key\nl\nb 4\nt\ne 1+1\nr get k\nm 70\nc\nc\n")
        for text in (
            "[b]reak <line>", "* Stopped at 1, stop reason = step over", "<redis> set k a b", '<reply> "+OK"',
            '<value> key = "k"', "In top level:", "<retval> 2", '<reply> "a b"', "stop reason = break point",
            '1) "a b"',
            "(Lua debugging session ended -- dataset changes rolled back)" if rolled_back
            else "(Lua debugging session ended)",
        ):  # fmt: skip
            assert text in shown
        assert run([*cli, "GET", "k"]) == ("\n" if rolled_back else "a b\n")


def test_watching(cli: list[str]) -> None:
    with subprocess.Popen([*cli, "monitor"], stdout=subprocess.PIPE, text=True) as monitor:
        assert monitor.stdout is not None
        try:
            assert monitor.stdout.readline() == "OK\n"
            run([*cli, "SET", "k", 'a "b"'])
            lines = [monitor.stdout.readline()]
            while '"SET"' not in lines[-1]:
                lines.append(monitor.stdout.readline())
            assert lines[-1].endswith('] "SET" "k" "a \\"b\\""\n')
        finally:
            monitor.kill()
    run([*cli, "CONFIG", "SET", "slowlog-log-slower-than", "0"])
    run([*cli, "GET", "k"])
    run([*cli, "CONFIG", "SET", "slowlog-log-slower-than", "10000"])
    assert '"GET"\n      2) "k"' in run([*cli, "--no-raw", "SLOWLOG", "GET", "2"])
    assert "CONFIG SET latency-monitor-threshold" in run([*cli, "LATENCY", "DOCTOR"])
    assert "get" in run([*cli, "LATENCY", "HISTOGRAM", "get"])


@pytest.mark.parametrize(
    "mode", [["--latency"], ["--latency-history", "-i", "1"], ["--latency-dist", "-i", "1"], ["--stat", "-i", "1"]]
)
def test_modes_that_never_end(cli: list[str], mode: list[str]) -> None:
    with (
        terminal() as (ours, theirs),
        subprocess.Popen([*cli, *mode], stdout=theirs, stdin=subprocess.DEVNULL) as shown,
    ):
        try:
            text = b""
            while len(text) < 200:
                text += os.read(ours, 1024)
            assert shown.poll() is None and b"ERR" not in text
        finally:
            shown.kill()


def test_what_a_replica_receives(cli: list[str]) -> None:
    run([*cli, "CONFIG", "SET", "repl-diskless-sync-delay", "0"])
    with terminal() as (ours, theirs), subprocess.Popen([*cli, "--replica"], stdout=theirs, stderr=theirs) as replica:
        try:
            text = b""
            while b"Logging commands" not in text:
                text += os.read(ours, 1024)
            run([*cli, "SET", "k", "v"])
            while b'"SET","k","v"' not in text:
                text += os.read(ours, 1024)
            assert replica.poll() is None
        finally:
            replica.kill()
            run([*cli, "CONFIG", "SET", "repl-diskless-sync-delay", "5"])


def test_which_keys_are_hot(cli: list[str], newest: list[str]) -> None:
    run(cli, "SET cold 1\nSET hot 1\n")
    refused = subprocess.run([*cli, "--hotkeys"], capture_output=True, timeout=60)
    assert b"ERR An LFU maxmemory policy is not selected" in refused.stdout + refused.stderr
    run([*cli, "CONFIG", "SET", "maxmemory-policy", "allkeys-lfu"])
    try:
        run(cli, "GET hot\n" * 300)
        for program in (cli, newest):
            found = re.findall(r'hot key found with counter: (\d+)\tkeyname: "(\w+)"', run([*program, "--hotkeys"]))
            assert found[0][1] == "hot" and int(found[0][0]) > 5
    finally:
        run([*cli, "CONFIG", "SET", "maxmemory-policy", "noeviction"])


def test_statistics_of_keys(newest: list[str]) -> None:
    run(newest, "RPUSH l a b c\nSET k text\nXADD x * f v\n")
    shown = run([*newest, "--keystats"])
    assert "Total key length is 3B" in shown and "list                 1" in shown


def test_a_cluster_is_refused(cli: list[str]) -> None:
    for mode in ("info", "check"):
        done = subprocess.run([cli[0], "--cluster", mode, f"127.0.0.1:{cli[2]}"], capture_output=True, timeout=60)
        assert done.returncode == 1 and b"is not configured as a cluster node" in done.stdout + done.stderr
    # With -c it follows redirections, if there are any.
    assert run([*cli, "-c", "SET", "k", "v"]) == "OK\n"


@pytest.mark.parametrize("resp", [[], ["-3"]], ids=["RESP2", "RESP3"])
def test_a_benchmark_with_client_side_caching(cli: list[str], resp: list[str]) -> None:
    found = shutil.which("redis-benchmark")
    if found is None:
        skip_loudly("redis-benchmark is not installed (Debian: redis-tools)")
    options = ["--enable-tracking", "-n", "5000", "-c", "20", "-P", "4", "-t", "set,get,lpush", "--csv"]
    done = run([str(found), "-p", cli[2], *resp, *options])
    assert [line.split(",")[0] for line in done.splitlines()[1:]] == ['"SET"', '"GET"', '"LPUSH"']


def test_the_machines_own_latency(cli: list[str]) -> None:
    assert "Worst run took" in run([*cli, "--intrinsic-latency", "1"])
