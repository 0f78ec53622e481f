"""CONFIG beside the reference: every directive's name, default, and what CONFIG SET says of bad values."""

import os
from pathlib import Path

import pytest

from broker.config import Config, load
from broker.config.directives import BY_NAME, TABLE
from broker.config.kinds import Bool, Choice, Flags, Integer, Memory, MemoryOrPercent, quoted
from broker.config.valkey import SYNONYMS, ValkeyDeclarations
from tests.oracle.harness import Unordered, pair, requires, same
from tests.oracle.wire import parse

# What the two servers were started with, or what only one can have.
OF_THE_INSTANCE = {
    b"port",
    b"dir",
    b"bind",
    b"logfile",
    b"loglevel",
    b"pidfile",
    b"save",
    b"enable-debug-command",
    b"enable-module-command",
}
OF_VALKEY = {name.replace("_", "-") for name in vars(ValkeyDeclarations)} | SYNONYMS.keys()
OWN = {name.encode() for name, directive in TABLE.items() if directive.own}


def directives(reply: bytes) -> dict[bytes, bytes]:
    items = [item.text for item in parse(reply).items]
    return dict(zip(items[::2], items[1::2], strict=True))


@requires("8.10")
def test_every_directive_and_its_default() -> None:
    with pair() as both:
        client = both.client()
        theirs, ours = (
            directives(connection.call("CONFIG", "GET", "*")) for connection in (client.theirs, client.ours)
        )
    assert set(ours) - OWN == set(theirs)
    for name in set(theirs) - OF_THE_INSTANCE:
        assert (name, ours[name]) == (name, theirs[name])


@requires("8.10")
@pytest.mark.parametrize(
    "name", sorted(name for name, directive in BY_NAME.items() if directive.hidden and name not in OF_VALKEY)
)
def test_hidden_directives(name: str) -> None:
    if name in ("repl-compression", "repl-compression-max-latency", "req-res-logfile", "client-default-resp"):
        pytest.skip("only in other builds of redis-server")
    same([["CONFIG", "GET", name]])


BAD_VALUES = [
    "",
    "x",
    "-1",
    "1x",
    "01",
    " 1",
    "+1",
    "99999999999999999999999",
    "9223372036854775808",
    "1gb x",
    "maybe",
    "101%",
]


@requires("8.10")
@pytest.mark.parametrize(
    "name",
    [
        name
        for name, directive in BY_NAME.items()
        if not directive.own
        and name not in OF_VALKEY
        and isinstance(directive, Bool | Integer | Memory | MemoryOrPercent | Choice | Flags)
    ],
)
def test_refused_values(name: str) -> None:
    if BY_NAME[name].hidden or name.startswith("tls-") or name in REFUSED_FOR_OTHER_REASONS:
        pytest.skip("differs by build")
    with pair() as both:
        client = both.client()
        client.do(["CONFIG", "SET", name, "x"])
        for value in BAD_VALUES:
            theirs = client.theirs.call("CONFIG", "SET", name, value)
            if theirs != b"+OK\r\n":
                assert (value, client.ours.call("CONFIG", "SET", name, value)) == (value, theirs)
            else:
                assert (value, client.ours.call("CONFIG", "SET", name, value)) == (value, theirs)
                client.do(["CONFIG", "GET", name])
                client.theirs.call("CONFIG", "SET", name, DEFAULTS[name])
                client.ours.call("CONFIG", "SET", name, DEFAULTS[name])


DEFAULTS = {name: directive.text(directive.default) for name, directive in BY_NAME.items()}

# Refused by the reference because of how it was built, or because of its machine.
REFUSED_FOR_OTHER_REASONS = {
    "activedefrag", "key-memory-histograms", "cluster-slot-stats-enabled", "maxclients", "port", "loglevel",
    "array-slice-size", "array-sparse-kmax", "array-sparse-kmin",
}  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        "CONFIG",
        "CONFIG foo",
        "CONFIG GET",
        "CONFIG GET nonsense",
        "CONFIG GET MaxMemory",
        "CONFIG GET maxmemory MAXMEMORY",
        "CONFIG SET",
        "CONFIG SET maxmemory",
        "CONFIG SET maxmemory 1 foo",
        "CONFIG SET nonsense 1",
        "CONFIG SET maxmemory 1 nonsense 1",
        "CONFIG SET maxmemory 1mb maxmemory 2mb",
        "CONFIG SET slave-priority 1 replica-priority 2",
        "CONFIG SET hz 20 hz x",
        "CONFIG SET hz 20 timeout x",
        "CONFIG SET daemonize yes",
        "CONFIG SET Databases 3",
        "CONFIG SET dir /",
        "CONFIG SET dbfilename x",
        "CONFIG SET save x",
        "CONFIG SET save '1 2 3'",
        "CONFIG SET save '1  2'",
        "CONFIG SET save '0 1'",
        "CONFIG SET client-output-buffer-limit normal",
        "CONFIG SET client-output-buffer-limit 'nobody 1 2 3'",
        "CONFIG SET client-output-buffer-limit 'normal x 2 3'",
        "CONFIG SET notify-keyspace-events q",
        "CONFIG SET oom-score-adj-values '1 2'",
        "CONFIG SET latency-tracking-info-percentiles '101'",
        "CONFIG SET latency-tracking-info-percentiles 'a'",
        "CONFIG SET maxmemory-policy nothing",
        "CONFIG SET shutdown-on-sigterm 'save nosave'",
        "CONFIG SET tls-expected-peer-name ' '",
        'CONFIG SET tls-expected-peer-name "a\\tb"',
        "CONFIG REWRITE",
        "CONFIG REWRITE x",
        "CONFIG RESETSTAT",
        "CONFIG RESETSTAT x",
    ],
)
def test_one_command(command: str) -> None:
    same([command, "CONFIG GET maxmemory", "CONFIG GET hz"], cleanup=["CONFIG SET maxmemory 0 hz 10"])


@pytest.mark.parametrize(
    ("name", "values", "default"),
    [
        ("maxmemory", ["100mb", "1k", "1kb", "0"], "0"),
        ("maxmemory-clients", ["5%", "100%", "0%", "1gb"], "0"),
        ("notify-keyspace-events", ["KEA", "Ex", "g$KExe", "AKEm", "nocKE", "Ano", "KEg$lshzxetda", ""], ""),
        (
            "client-output-buffer-limit",
            ["normal 1mb 1k 5", "replica 1gb 0 0 pubsub 0 0 0"],
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        ),
        ("oom-score-adj-values", ["1 2 3", "-2000 0 2000"], "0 200 800"),
        ("latency-tracking-info-percentiles", ["50 99.9", "0.001 100", "1e1", ""], "50 99 99.9"),
        ("shutdown-on-sigterm", ["save now", "FORCE nosave", "default"], "default"),
        ("maxmemory-policy", ["ALLKEYS-LRU", "volatile-ttl"], "noeviction"),
        ("hz", ["0", "100000", "77"], "10"),
        ("slave-read-only", ["no", "YES"], "yes"),
        ("oom-score-adj", ["no"], "no"),
        ("appendfsync", ["always", "No"], "everysec"),
    ],
)
def test_values_as_they_are_shown(name: str, values: list[str], default: str) -> None:
    script: list[list[str]] = []
    for value in values:
        script += [["CONFIG", "SET", name, value], ["CONFIG", "GET", name]]
    same(script, cleanup=[["CONFIG", "SET", name, default]])


@pytest.mark.usefixtures("quiet_servers")
def test_save_points_as_they_are_shown() -> None:
    values = ["60 1", "60 1 30 2", "3600 1 300 100 60 10000", ""]
    same([command for value in values for command in (["CONFIG", "SET", "save", value], "CONFIG GET save")])


@requires("8.10")
def test_patterns() -> None:
    same(
        [
            Unordered(["CONFIG", "GET", pattern], pairs=True)
            for pattern in ("*max-*-entries", "SLAVE*", "[ab]*fsync*", "h?")
        ]
    )


@requires("7.0")
def test_a_file_with_every_directive_of_the_reference(tmp_path: Path) -> None:
    """The reference writes its defaults and its sample file's lines; they start this broker, too."""
    with pair() as both:
        shown = directives(both.client().theirs.call("CONFIG", "GET", "*"))
    lines = []
    for name, value in shown.items():
        directive = BY_NAME[name.decode()]
        if directive.name in ("replicaof", "dir", "logfile", "pidfile"):
            continue
        lines.append(name + b" " + (value if directive.several and value else quoted(value)))
    file = tmp_path / "redis.conf"
    file.write_bytes(b"\n".join(lines))
    load(Config(), [os.fsencode(file)])


@requires("8.10")
@pytest.mark.parametrize("value", ["{title} {port}", "{bad}", "", "{title", "}x{{title}}", "{}", " "])
def test_titles(value: str) -> None:
    same(
        [
            ["CONFIG", "SET", "proc-title-template", value],
            ["CONFIG", "GET", "proc-title-template"],
            ["CONFIG", "SET", "proc-title-template", "{title} {listen-addr} {server-mode}"],
        ]
    )


@requires("8.10")
def test_what_a_process_is_to_its_system() -> None:
    same(
        [
            ["CONFIG", "SET", "watchdog-period", "1"],
            ["CONFIG", "GET", "watchdog-period"],
            ["CONFIG", "SET", "watchdog-period", "0"],
            ["CONFIG", "SET", "oom-score-adj", "yes"],
            ["CONFIG", "SET", "oom-score-adj-values", "10 100 50"],
            ["CONFIG", "GET", "oom-score-adj-values"],
            ["CONFIG", "SET", "oom-score-adj-values", "10 100"],
            ["CONFIG", "SET", "oom-score-adj-values", "10 100 5000"],
            ["CONFIG", "SET", "oom-score-adj", "no"],
            ["CONFIG", "SET", "oom-score-adj-values", "0 200 800"],
            ["CONFIG", "SET", "crash-log-enabled", "no"],
            ["CONFIG", "SET", "crash-log-enabled", "yes"],
            ["CONFIG", "SET", "hide-user-data-from-log", "yes"],
            ["CONFIG", "SET", "hide-user-data-from-log", "no"],
        ]
    )
