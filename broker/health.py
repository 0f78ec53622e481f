"""`trimaran health`: whether a broker answers, for a container's health check or a start-up script.

It needs nothing but a socket, so it works with any server that speaks RESP, and ends when its time is up.
"""

import os
import socket
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

USAGE: Final = """\
usage: trimaran health [--url URL] [--timeout SECONDS] [--cacert FILE] [--cert FILE --key FILE] [--insecure]

asks a broker for a PING and prints one line. Exit status: 0 if it serves clients (or is busy with a script),
1 if it does not, 2 if the arguments are wrong.

  --url      redis://[[user]:password@]host[:port], rediss:// for TLS, or unix:///path; redis://127.0.0.1:6379
             by default. Without a password in it, that of the environment variable REDISCLI_AUTH is used.
  --timeout  how long the answer may take, in seconds (3)
  --cacert   with rediss://, the certificates to trust, in place of the system's
  --cert, --key
             the certificate to show, and its key
  --insecure trust any certificate
"""

DEFAULT_URL: Final = "redis://127.0.0.1:6379"
DEFAULT_TIMEOUT: Final = 3.0
_DEFAULT_PORT: Final = 6379
_REPLY_MAX: Final = 4096


class Unhealthy(Exception):
    """The broker does not serve; the text says why."""


class UsageError(Exception):
    """The arguments are wrong; the text says how."""


@dataclass
class Options:
    """Where to ask, as whom, and for how long."""

    url: str = DEFAULT_URL
    timeout: float = DEFAULT_TIMEOUT
    password: str = ""
    cacert: str = ""
    cert: str = ""
    key: str = ""
    insecure: bool = False


def main(words: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    if set(words) & {"--help", "-h"}:
        sys.stdout.write(USAGE)
        return 0
    try:
        options = _options(words)
        options.password = os.environ.get("REDISCLI_AUTH", "")
        text = check(options)
    except UsageError as problem:
        sys.stderr.write(f"trimaran health: {problem}\n\n{USAGE}")
        return 2
    except Unhealthy as problem:
        print(f"unhealthy: {problem}")
        return 1
    print(text)
    return 0


def check(options: Options) -> str:
    """Ask the broker, and return one line about it. Raises Unhealthy, or UsageError for a URL that is none."""
    deadline = time.monotonic() + options.timeout
    place = _parsed(options.url)
    password = unquote(place.password) if place.password is not None else options.password
    name = _shown(place)
    try:
        with _connected(place, options, deadline) as connection:
            if password:
                user = [unquote(place.username).encode()] if place.username else []
                reply = _ask(connection, deadline, [b"AUTH", *user, password.encode()])
                if not reply.startswith(b"+"):
                    raise Unhealthy(f"{name} refuses the password: {_text(reply)}")
            reply = _ask(connection, deadline, [b"PING"])
    except TimeoutError:
        raise Unhealthy(f"{name} did not answer within {options.timeout:g} seconds") from None
    except OSError as problem:
        raise Unhealthy(f"{name} can't be reached: {problem.strerror or problem}") from None
    if reply == b"+PONG":
        return f"healthy: {name} answers"
    if reply.startswith(b"-BUSY "):
        return f"healthy: {name} is busy running a script"
    raise Unhealthy(f"{name} answered {_text(reply)}")


def _options(words: Sequence[str]) -> Options:
    options = Options()
    remaining = list(words)
    while remaining:
        word, equals, value = remaining.pop(0).partition("=")
        if word == "--insecure" and not equals:
            options.insecure = True
            continue
        if word not in ("--url", "--timeout", "--cacert", "--cert", "--key"):
            raise UsageError(f"unknown argument {word!r}")
        if not equals:
            if not remaining:
                raise UsageError(f"{word} needs a value")
            value = remaining.pop(0)
        if word == "--timeout":
            options.timeout = _seconds(value)
        else:
            setattr(options, word.removeprefix("--"), value)
    return options


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < 86400:
        raise UsageError(f"--timeout must be a number of seconds, not {text!r}")
    return seconds


def _parsed(url: str) -> SplitResult:
    try:
        place = urlsplit(url)
        usable = place.port is not None or bool(place.hostname) if place.scheme != "unix" else bool(place.path)
    except ValueError:
        usable = False
    if not usable or place.scheme not in ("redis", "rediss", "unix"):
        raise UsageError("the URL must be redis://host:port, rediss://host:port or unix:///path")
    return place


def _shown(place: SplitResult) -> str:
    """The address without the password."""
    return place.path if place.scheme == "unix" else f"{place.hostname or '127.0.0.1'}:{place.port or _DEFAULT_PORT}"


def _connected(place: SplitResult, options: Options, deadline: float) -> socket.socket:
    if place.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(_left(deadline))
            connection.connect(unquote(place.path))
        except BaseException:
            connection.close()
            raise
        return connection
    host = place.hostname or "127.0.0.1"
    connection = socket.create_connection((host, place.port or _DEFAULT_PORT), _left(deadline))
    if place.scheme == "redis":
        return connection
    try:
        context = ssl.create_default_context(cafile=options.cacert or None)
        if options.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if options.cert:
            context.load_cert_chain(options.cert, options.key or None)
        connection.settimeout(_left(deadline))
        return context.wrap_socket(connection, server_hostname=host)
    except BaseException:
        connection.close()
        raise


def _ask(connection: socket.socket, deadline: float, words: list[bytes]) -> bytes:
    """Send a request and return the line that answers it."""
    request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    connection.settimeout(_left(deadline))
    connection.sendall(request)
    reply = b""
    while not reply.endswith(b"\r\n"):
        connection.settimeout(_left(deadline))
        data = connection.recv(_REPLY_MAX)
        if not data:
            raise ConnectionError("the connection was closed")
        reply += data
        if len(reply) > _REPLY_MAX:
            raise ConnectionError("the answer is not Redis's")
    return reply[:-2]


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _text(reply: bytes) -> str:
    text = reply.removeprefix(b"-").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
