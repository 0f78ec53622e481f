"""`trimaran health`: whether a broker answers, for a container's health check or a start-up script."""

import sys
import time
from collections.abc import Sequence
from typing import Final

from broker.process.suggesting import mistake
from broker.remote.connection import Connection, ReplyError, printable
from broker.remote.places import CONNECTION_USAGE, Place, UsageError, words_of

USAGE: Final = f"""\
usage: trimaran health [--url URL] [--timeout SECONDS] [--cacert FILE] [--cert FILE --key FILE] [--insecure]

Ask a broker for a PING, and print one line. Exit status: 0 if it serves clients (or is busy with a script),
1 if it does not, 2 if the arguments are wrong.

  --url      redis://[[user]:password@]host[:port], rediss:// for TLS, or unix:///path; redis://127.0.0.1:6379
             by default. Without a password in it, that of the environment variable REDISCLI_AUTH is used.
  --timeout  how long the answer may take, in seconds (3)
{CONNECTION_USAGE}"""

DEFAULT_TIMEOUT: Final = 3.0


class Unhealthy(Exception):
    """The broker does not serve; the text says why."""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    if set(arguments) & {"--help", "-h"}:
        sys.stdout.write(USAGE)
        return 0
    try:
        words = words_of(arguments, {"--url", "--timeout"}, set())
        print(check(words.place("--url"), words.seconds("--timeout", DEFAULT_TIMEOUT)))
    except UsageError as problem:
        return mistake("health", problem)
    except Unhealthy as problem:
        print(f"unhealthy: {problem}")
        return 1
    return 0


def check(place: Place, timeout: float) -> str:
    """Ask the broker, and return one line about it. Raises Unhealthy."""
    try:
        connection = Connection(place, time.monotonic() + timeout)
    except ReplyError as refusal:
        raise Unhealthy(f"{place} refuses the password: {refusal}") from None
    except OSError as problem:
        raise _unreachable(place, timeout, problem) from None
    with connection:
        try:
            reply = connection.ask("PING")
        except ReplyError as refusal:
            if str(refusal).startswith("BUSY "):
                return f"healthy: {place} is busy running a script"
            raise Unhealthy(f"{place} answered {refusal}") from None
        except OSError as problem:
            raise _unreachable(place, timeout, problem) from None
    if reply == b"PONG":
        return f"healthy: {place} answers"
    shown = printable(reply) if isinstance(reply, bytes) else repr(reply)
    raise Unhealthy(f"{place} answered {shown}")


def _unreachable(place: Place, timeout: float, problem: OSError) -> Unhealthy:
    if isinstance(problem, TimeoutError):
        return Unhealthy(f"{place} did not answer within {timeout:g} seconds")
    return Unhealthy(f"{place} can't be reached: {problem.strerror or problem}")
