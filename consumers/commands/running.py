"""What all commands share: the server's URL, signals, exit statuses, and output whose reader may go away.

Exit statuses: 0 done; 1 the server or the connection to it failed, with one line on standard error; 2 a mistake in the
arguments; 128 + n ended by signal n, including SIGPIPE if the output's reader has gone.
"""

from __future__ import annotations

import argparse
import functools
import logging
import math
import os
import signal
import stat
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeAlias

import anyio
from coredis.exceptions import AuthenticationError, RedisError

from consumers.addresses import client_from_url, default_url
from consumers.connecting import Client, login_error, root_reason
from consumers.encryption import tls_context
from consumers.errors import ConsumerError

FAILED = 1

Command: TypeAlias = Callable[[Client, argparse.Namespace, "Output"], Awaitable[int]]


class CommandError(Exception):
    """The command can't go on; the text says why, in one line."""


class Parser(argparse.ArgumentParser):
    """Parses the arguments of `trimaran NAME`; a mistake in them is told in one line, and ends the process."""

    def __init__(self, name: str, description: str, **settings: Any) -> None:
        super().__init__(
            prog=f"trimaran {name}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **settings,
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def argument_parser(
    name: str, description: str, *, json: str = "print one JSON object per line", **settings: Any
) -> argparse.ArgumentParser:
    """Return a parser for `trimaran NAME`, with the options that every command has; `json` says what --json does."""
    parser = Parser(name, description, **settings)
    parser.add_argument("--json", action="store_true", help=json)
    # a group of its own, so that the command's own options come first
    server = parser.add_argument_group("server")
    server.add_argument(
        "--url",
        default=default_url(),
        help="redis://[user:password@]host:port/db, unix:///path, redis+sentinel://host:port,host:port/name/db or "
        "redis+cluster://host:port,host:port; rediss instead of redis: TLS "
        "(default: $REDIS_URL or redis://127.0.0.1:6379)",
    )
    server.add_argument("--tls", action="store_true", help="encrypt the connection, as rediss:// does")
    server.add_argument("--cacert", metavar="FILE", help="certificates to trust, a file or a folder (the system's)")
    server.add_argument("--cert", metavar="FILE", help="the certificate to present to the server")
    server.add_argument("--key", metavar="FILE", help="its key, if the certificate's file does not contain it")
    server.add_argument("--insecure", action="store_true", help="trust any server, whatever its certificate")
    return parser


def client_of(options: argparse.Namespace) -> Client:
    """Return a client, not yet entered, of the server that the options name. Raises ValueError, in one line."""
    url: str = options.url
    scheme, separator, rest = url.partition("://")
    transport, plus, kind = scheme.lower().partition("+")
    if options.tls and transport == "redis":
        transport = "rediss"
        url = f"rediss{plus}{kind}{separator}{rest}"
    given = [name for name in ("tls", "cacert", "cert", "key", "insecure") if getattr(options, name)]
    if not given or (given == ["tls"] and transport == "rediss"):
        return client_from_url(url)
    if transport != "rediss":
        raise ValueError(f"--{given[0]}: only for rediss://, or redis:// with --tls")
    return client_from_url(url, tls_context(options.cacert, options.cert, options.key, verified=not options.insecure))


def positive(text: str) -> int:
    """Parse an argument that is a number above zero."""
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return number


def seconds(least: float) -> Callable[[str], float]:
    """Return what parses an argument that is a number of seconds, from `least` to a day."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= 86400:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from {least:g} to 86400")
        return number

    return parse


def run(command: Command, options: argparse.Namespace, name: str) -> int:
    """Run a command with a client of `options.url`, report errors, and return the exit status."""
    logging.basicConfig(format=f"trimaran {name}: %(message)s")
    # coredis logs a traceback for every connection that fails in its handshake; the consumers report it in one line
    logging.getLogger("coredis").setLevel(logging.CRITICAL)
    try:
        client = client_of(options)
    except ValueError as error:
        return _tell(name, str(error), 2)
    try:
        # nothing here is anyone else's code, so either loop would do
        return anyio.run(_run, command, client, options, backend="trio")
    except* BrokenPipeError:
        status = 128 + signal.SIGPIPE
    except* KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except* UnicodeEncodeError:
        status = _tell(name, "a name that is no valid UTF-8 can't be sent", 2)
    except* (RedisError, ConsumerError, CommandError, OSError) as group:
        status = _tell(name, reason_of(group), FAILED)
    return status


def _tell(name: str, text: str, status: int) -> int:
    sys.stderr.write(f"trimaran {name}: {text}\n")
    return status


def reason_of(error: BaseException) -> str:
    """Return why a command has failed, in one line: the first actual error's text, and its root cause's."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, AuthenticationError):
        error = login_error(error)
    text, cause = str(error), root_reason(error)
    return f"{text}: {cause}" if text and cause not in text else text or cause


async def _run(command: Command, client: Client, options: argparse.Namespace) -> int:
    status = 0
    output = Output(sys.stdout.fileno())
    async with anyio.create_task_group() as tasks:

        async def ended(wait: Callable[[], Awaitable[int]]) -> None:
            nonlocal status
            status = 128 + await wait()
            tasks.cancel_scope.cancel()

        if threading.current_thread() is threading.main_thread():
            tasks.start_soon(ended, _signal)
        tasks.start_soon(ended, functools.partial(_reader_gone, output.descriptor))
        async with client:
            status = await command(client, options, output)
        tasks.cancel_scope.cancel()
    return status


async def _signal() -> int:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            return number
    raise AssertionError("signals do not end")


async def _reader_gone(descriptor: int) -> int:
    """Wait until the output's reader has gone (`| head`), which otherwise only the next write would discover."""
    kind = os.fstat(descriptor).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
        await anyio.sleep_forever()
    await anyio.wait_readable(descriptor)
    return signal.SIGPIPE


class Output:
    """Writes lines to standard output without blocking the program while the reader is slow.

    A write that waits for its reader is abandoned when the program is stopped. So nothing is kept in Python's own
    buffer, whose lock such a write would hold forever.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @property
    def is_terminal(self) -> bool:
        return os.isatty(self.descriptor)

    async def line(self, text: str) -> None:
        """Write a line. Raises BrokenPipeError."""
        await anyio.to_thread.run_sync(
            _write_all, self.descriptor, f"{text}\n".encode("utf-8", "backslashreplace"), abandon_on_cancel=True
        )


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def printable(data: bytes | str) -> str:
    """Data as one line of text. Control characters and bytes that are not UTF-8 become escapes, to protect the tty."""
    text = data if isinstance(data, str) else data.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
