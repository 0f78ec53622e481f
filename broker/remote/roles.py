"""`trimaran promote`, `follow` and `replicas`: replication by hand, as REPLICAOF and INFO do it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from broker.process.suggesting import mistake
from broker.remote.connection import Connection, ReplyError
from broker.remote.info import Info, read_info
from broker.remote.places import CONNECTION_USAGE, UsageError, Words, words_of

_URL: Final = """\
  --url      the server: redis://[[user]:password@]host[:port], rediss:// for TLS, or unix:///path;
             redis://127.0.0.1:6379 by default, with the password of the environment variable REDISCLI_AUTH
"""

_SAVE: Final = """\
  --save     also write the new role to the server's configuration file (CONFIG REWRITE)
"""

PROMOTE_USAGE: Final = f"""\
usage: trimaran promote [--url URL] [--save] [--timeout SECONDS] [TLS options]

Make a replica a master (REPLICAOF NO ONE), with the data that it has received.

{_URL}{_SAVE}\
  --timeout  how long the server may take, in seconds (10)
{CONNECTION_USAGE}"""

FOLLOW_USAGE: Final = f"""\
usage: trimaran follow HOST PORT [--url URL] [--save] [--timeout SECONDS] [TLS options]

Make a server the replica of another (REPLICAOF HOST PORT), and wait until it has that one's data. THE DATA THAT
IT HAS NOW IS LOST. Its user and password on the master are the directives masteruser and masterauth.

{_URL}{_SAVE}\
  --timeout  how long to wait for the data, in seconds (3600); the server goes on trying afterwards
{CONNECTION_USAGE}"""

REPLICAS_USAGE: Final = f"""\
usage: trimaran replicas [--url URL] [--timeout SECONDS] [TLS options]

Print a server's role, its replicas, and how far each is behind. Exit status: 0, or 1 if a link is down.

{_URL}\
  --timeout  how long the server may take, in seconds (10)
{CONNECTION_USAGE}"""

POLL_SECONDS: Final = 0.2

_DEFAULT_TIMEOUT: Final = 10.0
_FOLLOW_TIMEOUT: Final = 3600.0


class Failed(Exception):
    """The command did not succeed; the text says why."""


@dataclass(frozen=True)
class _Command:
    name: str
    usage: str
    run: Callable[[Connection, Words], int]
    switches: set[str]
    others: int = 0
    timeout: float = _DEFAULT_TIMEOUT


def promote(arguments: Sequence[str]) -> int:
    """Run `trimaran promote` and return its exit status."""
    return _main(_Command("promote", PROMOTE_USAGE, _promote, {"--save"}), arguments)


def follow(arguments: Sequence[str]) -> int:
    """Run `trimaran follow` and return its exit status."""
    return _main(_Command("follow", FOLLOW_USAGE, _follow, {"--save"}, 2, _FOLLOW_TIMEOUT), arguments)


def replicas(arguments: Sequence[str]) -> int:
    """Run `trimaran replicas` and return its exit status."""
    return _main(_Command("replicas", REPLICAS_USAGE, _replicas, set()), arguments)


def _main(command: _Command, arguments: Sequence[str]) -> int:
    if set(arguments) & {"--help", "-h"}:
        sys.stdout.write(command.usage)
        return 0
    try:
        words = words_of(arguments, {"--url", "--timeout"}, command.switches, command.others)
        if len(words.others) < command.others:
            raise UsageError("HOST and PORT are missing" if not words.others else "PORT is missing")
        place = words.place("--url")
        deadline = time.monotonic() + words.seconds("--timeout", command.timeout)
    except UsageError as problem:
        return mistake(command.name, problem)
    try:
        with Connection(place, deadline) as connection:
            return command.run(connection, words)
    except (Failed, ReplyError) as problem:
        reason = str(problem)
    except TimeoutError:
        reason = "no answer in time"
    except OSError as problem:
        reason = problem.strerror or str(problem)
    sys.stderr.write(f"trimaran {command.name}: {place}: {reason}\n")
    return 1


def _promote(connection: Connection, words: Words) -> int:
    before = read_info(connection)
    if before.is_master:
        print(f"{connection.place} is a master already")
    else:
        connection.ask("REPLICAOF", "NO", "ONE")
        print(f"{connection.place} is a master now; it has followed {before.master} up to byte {before.offset}")
        if not before.link_is_up:
            print("its link was down: what the old master was sent since then is not here")
    _save(connection, words)
    return 0


def _follow(connection: Connection, words: Words) -> int:
    host, port = words.others
    if not (port.isdecimal() and 0 < int(port) < 65536):
        raise Failed(f"{port!r} is no port")
    connection.ask("REPLICAOF", host, port)
    _save(connection, words)
    wait_for_link(connection, f"{host}:{port}")
    print(f"{connection.place} follows {host}:{port}")
    return 0


def _replicas(connection: Connection, words: Words) -> int:
    info = read_info(connection)
    print(f"{connection.place}  {info.product}")
    status = 0
    if info.is_master:
        print(f"role     master, stream {info.fields.get('master_replid', '?')} at byte {info.offset}")
    else:
        status = int(not info.link_is_up)
        print(f"role     replica of {info.master}, link {_link(info)}, at byte {info.offset}")
    for follower in info.followers:
        behind = max(0, info.number("master_repl_offset") - follower.offset)
        print(
            f"replica  {follower.address}  {follower.state}, {behind} bytes behind, acknowledged {follower.lag} s ago"
            if follower.state == "online"
            else f"replica  {follower.address}  {follower.state}"
        )
        status = status or int(follower.state != "online")
    if not info.followers:
        print("replicas none")
    return status


def _link(info: Info) -> str:
    if info.link_is_up:
        return "up"
    if info.number("master_sync_in_progress"):
        return f"down: receiving the data ({progress_of(info)})"
    since = info.number("master_link_down_since_seconds", -1)
    return f"down for {since} s" if since >= 0 else "down, never yet up"


def wait_for_link(connection: Connection, master: str) -> Info:
    """Wait until a replica has its master's data and follows the stream, showing how far it is; returns its INFO.

    Raises Failed if it became the replica of another meanwhile.
    """
    shown = ""
    while True:
        info = _info_unless_loading(connection)
        if info is not None:
            if info.is_master or info.master != master:
                raise Failed(f"it no longer follows {master}")
            if info.link_is_up:
                return info
        text = progress_of(info) if info is not None else "loading the data"
        if text != shown:
            print(f"  {text}", flush=True)
            shown = text
        time.sleep(POLL_SECONDS)


def _info_unless_loading(connection: Connection) -> Info | None:
    try:
        return read_info(connection)
    except ReplyError as refusal:
        if str(refusal).startswith(("LOADING", "MASTERDOWN", "BUSY")):
            return None
        raise


def progress_of(info: Info) -> str:
    """What a replica that does not follow the stream yet is doing."""
    if info.number("loading"):
        return f"loading the data: {info.fields.get('loading_loaded_perc', '?')} %"
    if not info.number("master_sync_in_progress"):
        return "connecting"
    total, read = info.number("master_sync_total_bytes"), info.number("master_sync_read_bytes")
    if total > 0:
        return f"receiving the data: {100 * read // total} % of {total >> 20} MiB"
    return f"receiving the data: {read >> 20} MiB" if read > 0 else "waiting for the master's snapshot"


def _save(connection: Connection, words: Words) -> None:
    if "--save" in words.switches:
        connection.ask("CONFIG", "REWRITE")
