"""`trimaran migrate`: from one server to another without a loss, while clients are served.

The target becomes a replica of the source. Once it has the data and follows the stream of writes, writes on the source
are paused, the target receives what is left, and becomes the master; the source becomes its replica, so a client that
still writes there gets an error instead of losing its write. Both may be Redis, Valkey or Trimaran.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from broker.process.suggesting import mistake
from broker.remote.connection import Connection, ReplyError
from broker.remote.info import Info, read_info
from broker.remote.places import CONNECTION_USAGE, Place, UsageError, words_of
from broker.remote.roles import POLL_SECONDS, Failed, wait_for_link

USAGE: Final = f"""\
usage: trimaran migrate --from URL --to URL [--replace] [--leave] [--pause SECONDS] [--timeout SECONDS]
                        [--source HOST:PORT] [--target HOST:PORT] [TLS options]

Move all keys, functions and stream groups from one server to another while clients are served: the target becomes
a replica of the source; then writes are paused, the target receives what is left and becomes the master, and the
source becomes its replica, which refuses writes. Until the switch, the source serves as before, and nothing there is
changed. Both may be Redis 6.2 or later, Valkey, or Trimaran; the URLs' users must be allowed REPLICAOF, CONFIG and
CLIENT PAUSE, and the source's PSYNC, too.

  --from     where the data is: redis://[[user]:password@]host[:port], or rediss:// for TLS
  --to       where it is to be
  --replace  the target's own data may be discarded
  --leave    leave the source as it is after the switch: it takes writes again when the pause is over. THESE WOULD
             BE MISSING ON THE TARGET
  --pause    how long writes may be paused, in seconds (10). If the target has not received everything by then,
             the source goes on, and nothing has been moved
  --timeout  how long the whole may take, in seconds (86399)
  --source, --target
             the addresses under which the two servers reach each other, if they are not those of the URLs
{CONNECTION_USAGE}"""

DEFAULT_PAUSE: Final = 10.0
DEFAULT_TIMEOUT: Final = 86399.0

CLOSE_BYTES: Final = 256 << 10
"""How far behind the target may be when writes are paused: what is left must arrive within the pause."""

PAUSE_RESERVE: Final = 0.2
"""The part of the pause that is left for the switch itself."""

_CREDENTIALS: Final = ("masteruser", "masterauth", "tls-replication")


@dataclass(frozen=True)
class Plan:
    """What was asked for: `source_address` and `target_address` are how the servers reach each other."""

    source: Place
    target: Place
    source_address: tuple[str, int]
    target_address: tuple[str, int]
    pause: float
    replace: bool
    leave: bool


@dataclass(frozen=True)
class Moved:
    """What was moved: keys by database, and the seconds for which writes were paused."""

    keys: dict[str, int]
    paused: float


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    if set(arguments) & {"--help", "-h"}:
        sys.stdout.write(USAGE)
        return 0
    try:
        plan, timeout = _plan(arguments)
    except UsageError as problem:
        return mistake("migrate", problem)
    try:
        moved = move(plan, time.monotonic() + timeout)
    except (Failed, ReplyError) as problem:
        reason = str(problem)
    except TimeoutError:
        reason = "not done in time"
    except OSError as problem:
        reason = problem.strerror or str(problem)
    except KeyboardInterrupt:
        reason = "interrupted"
    else:
        _report(plan, moved)
        return 0
    sys.stderr.write(f"trimaran migrate: {reason}\n")
    return 1


def _plan(arguments: Sequence[str]) -> tuple[Plan, float]:
    options = {"--from", "--to", "--pause", "--timeout", "--source", "--target"}
    words = words_of(arguments, options, {"--replace", "--leave"})
    for option in ("--from", "--to"):
        if option not in words.values:
            raise UsageError(f"{option} is missing")
    source, target = words.place("--from"), words.place("--to")
    plan = Plan(
        source,
        target,
        _address(words.values.get("--source"), source, "--source"),
        _address(words.values.get("--target"), target, "--target"),
        words.seconds("--pause", DEFAULT_PAUSE),
        "--replace" in words.switches,
        "--leave" in words.switches,
    )
    return plan, words.seconds("--timeout", DEFAULT_TIMEOUT)


def _address(text: str | None, place: Place, option: str) -> tuple[str, int]:
    if text is None:
        if place.path:
            raise UsageError(f"{place.url} is no address for another server: {option} HOST:PORT must be given")
        return place.host, place.port
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"{option} must be HOST:PORT, not {text!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def move(plan: Plan, deadline: float) -> Moved:
    """Do it, printing each step. Raises Failed, ReplyError, TimeoutError and OSError; nothing is moved then."""
    with Connection(plan.source, deadline) as source, Connection(plan.target, deadline) as target:
        _check(plan, read_info(source), read_info(target))
        host, port = plan.source_address
        with _following(plan, target):
            print(f"{plan.target} receives the data of {plan.source}", flush=True)
            wait_for_link(target, f"{host}:{port}")
            _catch_up(source, target)
            with _paused(source, plan.pause) as began:
                keys = _receive_the_rest(source, target, began + plan.pause * (1 - PAUSE_RESERVE))
                target.ask("REPLICAOF", "NO", "ONE")
                print(f"{plan.target} is the master now", flush=True)
                if not plan.leave:
                    _turn_round(plan, source)
                return Moved(keys, time.monotonic() - began)


def _check(plan: Plan, source: Info, target: Info) -> None:
    for place, info in ((plan.source, source), (plan.target, target)):
        print(f"{place}: {info.product}, {sum(info.keys.values())} keys")
        if info.number("cluster_enabled"):
            raise Failed(f"{place} is part of a cluster, whose members can't be replicas of a single server")
    if source.fields.get("run_id") == target.fields.get("run_id"):
        raise Failed(f"{plan.source} and {plan.target} are the same server")
    if not source.is_master:
        raise Failed(f"{plan.source} is a replica; move from its master, {source.master}")
    follows = f"{plan.source_address[0]}:{plan.source_address[1]}"
    if not target.is_master and target.master != follows:
        raise Failed(f"{plan.target} is a replica of {target.master}")
    if target.is_master and target.keys and not plan.replace:
        raise Failed(f"{plan.target} has keys of its own, which would be lost; --replace allows that")


@contextmanager
def _following(plan: Plan, target: Connection) -> Iterator[None]:
    """Have the target follow the source; its own settings are restored, and so is its role if the block fails."""
    saved = {name: _directive(target, name) for name in _CREDENTIALS}
    try:
        _set_credentials(target, plan.source)
        target.ask("REPLICAOF", plan.source_address[0], str(plan.source_address[1]))
        yield
    except BaseException:
        with suppress(OSError, ReplyError):
            target.deadline = time.monotonic() + 5
            target.ask("REPLICAOF", "NO", "ONE")
        raise
    finally:
        with suppress(OSError, ReplyError):
            for name, value in saved.items():
                if value is not None:
                    target.ask("CONFIG", "SET", name, value)


def _directive(connection: Connection, name: str) -> bytes | None:
    """A directive's value, None if the server has none of that name."""
    reply = connection.ask("CONFIG", "GET", name)
    value = reply[1] if isinstance(reply, list) and len(reply) == 2 else None
    return value if isinstance(value, bytes) else None


def _set_credentials(connection: Connection, master: Place) -> None:
    """Tell a server as whom to log in to its master, and whether encrypted."""
    connection.ask("CONFIG", "SET", "masteruser", master.user)
    connection.ask("CONFIG", "SET", "masterauth", master.password)
    if master.tls is not None or _directive(connection, "tls-replication") == b"yes":
        connection.ask("CONFIG", "SET", "tls-replication", "yes" if master.tls is not None else "no")


def _catch_up(source: Connection, target: Connection) -> None:
    """Wait until the target is close behind."""
    while True:
        behind = read_info(source).offset - _offset(target)
        if behind <= CLOSE_BYTES:
            return
        print(f"  {behind >> 10} KiB behind", flush=True)
        time.sleep(POLL_SECONDS)


def _offset(target: Connection) -> int:
    info = read_info(target)
    if not info.link_is_up:
        raise Failed(f"{target.place} has lost its link to the source")
    return info.offset


@contextmanager
def _paused(source: Connection, seconds: float) -> Iterator[float]:
    """Pause writes while the block runs; yields the time when that began. After a --leave they stay paused."""
    began = time.monotonic()
    source.ask("CLIENT", "PAUSE", str(int(seconds * 1000)), "WRITE")
    print("writes are paused", flush=True)
    try:
        yield began
    except BaseException:
        with suppress(OSError, ReplyError):
            source.deadline = time.monotonic() + 5
            source.ask("CLIENT", "UNPAUSE")
            print("writes go on", flush=True)
        raise


def _receive_the_rest(source: Connection, target: Connection, until: float) -> dict[str, int]:
    """Wait until the target has all that was written before the pause; returns the number of its keys.

    `until` is the latest time for the switch, well before the pause ends.
    """
    everything = read_info(source)
    while _offset(target) < everything.offset:
        if time.monotonic() > until:
            raise Failed("the target has not received everything within the pause; nothing was moved")
        time.sleep(0.005)
    keys = read_info(target).keys
    if keys != everything.keys:
        # A master counts keys that are due, but not yet removed, and so does a replica, each in its own way.
        print(f"  keys by database: {everything.keys} on the source, {keys} on the target (keys that are due differ)")
    if time.monotonic() > until:
        raise Failed("the target was too slow for the pause; nothing was moved")
    return keys


def _turn_round(plan: Plan, source: Connection) -> None:
    """Make the source a replica of the target, which refuses writes, and end the pause."""
    host, port = plan.target_address
    try:
        _set_credentials(source, plan.target)
        source.ask("REPLICAOF", host, str(port))
        source.ask("CLIENT", "UNPAUSE")
    except (ReplyError, OSError) as problem:
        print(
            f"warning: {plan.source} could not be made a replica of {plan.target} ({problem}): it will take writes"
            " again, which would be missing there. Stop it.",
            flush=True,
        )
    else:
        print(f"{plan.source} is its replica, and refuses writes", flush=True)


def _report(plan: Plan, moved: Moved) -> None:
    total = sum(moved.keys.values())
    print(f"moved {total} keys in {len(moved.keys)} databases; writes were paused for {moved.paused:.2f} s")
    print(f"clients must now use {plan.target.url} instead of {plan.source.url}")
    if plan.leave:
        print(f"{plan.source} takes writes again when the pause is over; they will be missing on {plan.target}")
    else:
        print("until they do, their writes get READONLY; what they read is current while the link is up")
    print("to keep the roles after a restart, run CONFIG REWRITE on both, or edit their configuration files")
