"""`trimaran due`: on servers that keep delayed entries but don't add them, add those that are due.

A broker with `stream-extensions` needs none of this. A Redis or Valkey that loaded its files, or was its replica, has
the entries in sorted sets (broker.values.streams.delayed_entry), and this script moves what is due from there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

from broker.policies.companion_keys import companion_key, stream_beside
from broker.process.suggesting import mistake
from broker.remote.connection import Connection, ReplyError, printable
from broker.remote.places import CONNECTION_USAGE, UsageError, words_of

USAGE: Final = f"""\
usage: trimaran due [STREAM ...] [--url URL] [--every SECONDS] [--timeout SECONDS] [TLS options]

Add delayed entries (XADD with DELAY or AT) that are due to their streams, on a Redis or Valkey that has taken over
from a broker. Run it often, or let it run with --every. Brokers with stream-extensions do this by themselves.

  STREAM     a stream's key in database 0; all streams of all databases by default
  --url      the server, which must be a master: redis://[[user]:password@]host[:port], rediss:// for TLS, or
             unix:///path; redis://127.0.0.1:6379 by default, with the password of the environment variable
             REDISCLI_AUTH
  --every    do it again after so many seconds, until interrupted
  --timeout  how long the server may take each time, in seconds (10)
{CONNECTION_USAGE}"""

PREFIX: Final = b"~delayed:{"

AT_ONCE: Final = 100
"""Entries that are added before other clients get their turn."""

SCRIPT: Final = b"""\
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
  local readable, fields, options = pcall(cmsgpack.unpack, string.sub(member, 9))
  if readable and type(fields) == 'table' then
    local words = {KEYS[2]}
    for _, option in ipairs(options or {}) do words[#words + 1] = option end
    words[#words + 1] = '*'
    for _, field in ipairs(fields) do words[#words + 1] = field end
    redis.call('XADD', unpack(words))
    redis.call('ZREM', KEYS[1], member)
  else
    redis.call('ZADD', KEYS[1], 'inf', member)
  end
end
return #due
"""
"""Its keys are the set and the stream; returns how many members were due."""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    if set(arguments) & {"--help", "-h"}:
        sys.stdout.write(USAGE)
        return 0
    try:
        words = words_of(arguments, {"--url", "--every", "--timeout"}, set(), sys.maxsize)
        place = words.place("--url")
        every = words.seconds("--every", 0.0)
        timeout = words.seconds("--timeout", 10.0)
    except UsageError as problem:
        return mistake("due", problem)
    streams = [name.encode() for name in words.others]
    try:
        with Connection(place, time.monotonic() + timeout) as connection:
            while True:
                added = add_due(connection, streams)
                if added or not every:
                    print(f"{added} due entries were added", flush=True)
                if not every:
                    return 0
                time.sleep(every)
                connection.deadline = time.monotonic() + timeout
    except KeyboardInterrupt:
        return 0
    except ReplyError as problem:
        reason = str(problem)
    except TimeoutError:
        reason = "no answer in time"
    except OSError as problem:
        reason = problem.strerror or str(problem)
    sys.stderr.write(f"trimaran due: {place}: {reason}\n")
    return 1


def add_due(connection: Connection, streams: Sequence[bytes] = ()) -> int:
    """Add what is due to these streams, by default to all of all databases; returns the number. Raises ReplyError."""
    if streams:
        return sum(_add(connection, companion_key(PREFIX, stream), stream) for stream in streams)
    added = 0
    for database in list(_databases(connection)):
        connection.ask("SELECT", database)
        # Collected first: a scan of what changes meanwhile may return keys twice.
        for key in dict.fromkeys(_sets(connection)):
            stream = stream_beside(PREFIX, key)
            if stream is not None:
                added += _add(connection, key, stream)
    return added


def _add(connection: Connection, key: bytes, stream: bytes) -> int:
    added = 0
    while True:
        try:
            count = connection.ask("EVAL", SCRIPT, "2", key, stream, str(AT_ONCE))
        except ReplyError as problem:
            raise ReplyError(f"{printable(stream)}: {problem}") from None
        if not isinstance(count, int):
            raise ConnectionError("the answer is not what was asked for")
        added += count
        if count < AT_ONCE:
            return added


def _databases(connection: Connection) -> Iterator[str]:
    """The numbers of the databases that have keys."""
    for line in connection.text("INFO", "keyspace").splitlines():
        if line.startswith("db"):
            yield line[2:].partition(":")[0]


def _sets(connection: Connection) -> Iterator[bytes]:
    """The keys of all sets of delayed entries in the selected database."""
    cursor = b"0"
    while True:
        reply = connection.ask("SCAN", cursor, "MATCH", PREFIX + b"*", "COUNT", "1000", "TYPE", "zset")
        if not (isinstance(reply, list) and len(reply) == 2 and isinstance(reply[1], list)):
            raise ConnectionError("the answer is not what was asked for")
        yield from (key for key in reply[1] if isinstance(key, bytes))
        cursor = reply[0] if isinstance(reply[0], bytes) else b"0"
        if cursor == b"0":
            return
