"""redis-cli (Debian's redis-tools): arguments, standard input, output formats, mass insertion, scanning modes."""

import os
import shutil
import subprocess
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
    ours, theirs = os.openpty()
    with subprocess.Popen([*cli, *mode], stdout=theirs, stdin=subprocess.DEVNULL) as watching:
        try:
            shown = b""
            while len(shown) < 200:
                shown += os.read(ours, 1024)
            assert watching.poll() is None and b"ERR" not in shown
        finally:
            watching.kill()
    os.close(ours)
    os.close(theirs)


def test_the_machines_own_latency(cli: list[str]) -> None:
    assert "Worst run took" in run([*cli, "--intrinsic-latency", "1"])
