"""`trimaran ui`: the console, a web page to look at a server and its queues."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import anyio
from coredis.exceptions import RedisError

from consumers.addresses import with_credentials, without_password
from consumers.commands.log_lines import JsonLines
from consumers.commands.running import FAILED, argument_parser, client_of, positive
from consumers.connecting import Client
from consumers.console.access.policy import Login, Policy, check_exposure
from consumers.console.app import Console
from consumers.console.metrics.settings import Settings, names_endpoint, settings
from consumers.console.serving import Listener, listen, serve

DESCRIPTION = """\
Serve the console: a web page to look at a server and its queues, and to change what can safely be changed.

  trimaran ui                                          http://127.0.0.1:8379, of the server on port 6379
  trimaran ui --url redis://queue.example:6379 --read-only
  trimaran ui --bind 0.0.0.0 --host console.example --password-file /etc/trimaran/console.password
  trimaran ui --bind 0.0.0.0 --host console.example --server-login

Without a login it listens on this machine only. With --server-login, users log in with names and passwords of the
server (ACL), which then decides what each of them may see and do."""

PORT = 8379
PASSWORD_LIMIT = 1024
INPUT_BYTES = 4096

logger = logging.getLogger("consumers.console")


def main(words: Sequence[str]) -> int:
    parser = argument_parser("ui", DESCRIPTION, json="log one JSON object per line")
    parser.add_argument(
        "--bind", action="append", metavar="ADDRESS", help="where to listen (127.0.0.1); may be repeated"
    )
    parser.add_argument("--port", type=_port, default=PORT, metavar="N", help="the port, 0 for any (%(default)s)")
    parser.add_argument("--read-only", action="store_true", help="refuse everything that changes something")
    login = parser.add_mutually_exclusive_group()
    login.add_argument("--password-file", metavar="FILE", help="require the password in the file's first line")
    login.add_argument(
        "--server-login", action="store_true", help="require a name and a password that the server knows"
    )
    parser.add_argument(
        "--host", action="append", default=[], metavar="NAME",
        help="a name under which browsers reach the console, besides addresses and localhost; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--trusted-proxy", metavar="ADDRESS", help="believe X-Forwarded-For and X-Forwarded-Proto from this address"
    )
    parser.add_argument(
        "--end-with-input", action="store_true", help="end when standard input is closed, for programs that start it"
    )
    https = parser.add_argument_group("HTTPS")
    https.add_argument("--https-cert", metavar="FILE", help="the console's certificate")
    https.add_argument("--https-key", metavar="FILE", help="its key")
    otlp = parser.add_argument_group("OpenTelemetry")
    otlp.add_argument(
        "--otlp", metavar="URL",
        help="push the server's metrics to a collector, by OTLP/HTTP ($OTEL_EXPORTER_OTLP_ENDPOINT)",
    )  # fmt: skip
    otlp.add_argument(
        "--otlp-interval", type=positive, metavar="SECONDS",
        help="how often ($OTEL_METRIC_EXPORT_INTERVAL, in milliseconds, or 60)",
    )  # fmt: skip
    options = parser.parse_args(words)
    _log(as_json=options.json)
    try:
        console, addresses = _console(options)
        listeners = listen(addresses, options.port)
    except (ValueError, OSError) as error:
        return _tell(str(error), 2)
    status = 0
    try:
        # nothing here is anyone else's code, so either loop would do
        anyio.run(_serve, console, listeners, options, backend="trio")
    except* (RedisError, OSError) as group:
        status = _tell(str(_first(group)), FAILED)
    return status


def _port(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else -1
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return number


def _console(options: argparse.Namespace) -> tuple[Console, list[str]]:
    """Return the console, and the addresses on which it listens. Raises ValueError or OSError, in one line."""
    if (options.https_cert is None) != (options.https_key is None):
        raise ValueError("--https-cert and --https-key belong together")
    login, password = Login.NONE, ""
    if options.password_file is not None:
        login, password = Login.PASSWORD, _password(options.password_file)
    elif options.server_login:
        login = Login.SERVER
    addresses = options.bind or ["127.0.0.1"]
    check_exposure(addresses, login)
    hosts = frozenset(name.lower() for name in options.host)
    policy = Policy(login, password, options.read_only, hosts, options.trusted_proxy)

    def connect(user: str | None, password: str | None) -> Client:
        if user is None or password is None:
            return client_of(options)
        return client_of(argparse.Namespace(**{**vars(options), "url": with_credentials(options.url, user, password)}))

    # refuses what can't be the URL of a server
    connect(None, None)
    return Console(policy, without_password(options.url), connect, push=_push(options)), addresses


def _push(options: argparse.Namespace) -> Settings | None:
    """Return where metrics are pushed, if they are. Raises ValueError for a mistake in the options.

    The environment may be meant for other programs: what does not fit there is logged, and nothing is pushed.
    """
    try:
        found = settings(options.otlp, options.otlp_interval, os.environ)
        if found is not None:
            _load_exporter()
        return found
    except ValueError as error:
        if options.otlp is not None or not names_endpoint(os.environ):
            raise
        logger.warning("metrics are not pushed: %s", error)
        return None


def _load_exporter() -> None:
    """Import what pushing needs. Raises ValueError if it is not installed."""
    try:
        import_module("consumers.console.metrics.push")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "consumers":
            raise
        raise ValueError(
            "OTLP needs opentelemetry-exporter-otlp-proto-http; install it with pip install 'trimaran[otlp]'"
        ) from None


def _password(file: str) -> str:
    """Return the password in a file. Raises OSError or ValueError, in one line."""
    try:
        with Path(file).open(encoding="utf-8") as lines:
            password = lines.readline(PASSWORD_LIMIT).rstrip("\r\n")
    except OSError as error:
        raise OSError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file}: not UTF-8") from None
    if not password:
        raise ValueError(f"{file}: its first line is empty")
    return password


async def _serve(console: Console, listeners: Sequence[Listener], options: argparse.Namespace) -> None:
    scheme = "http" if options.https_cert is None else "https"
    for listener in listeners:
        logger.info("the console of %s is at %s://%s", console.place, scheme, listener.address)
    ended = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end_at_signal, ended)
        if options.end_with_input:
            tasks.start_soon(_end_with_input, ended)
        await serve(console, listeners, ended.wait, options.https_cert, options.https_key)
        tasks.cancel_scope.cancel()


async def _end_at_signal(ended: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        await anext(signals)
        ended.set()


async def _end_with_input(ended: anyio.Event) -> None:
    descriptor = sys.stdin.fileno()
    while True:
        await anyio.wait_readable(descriptor)
        if not os.read(descriptor, INPUT_BYTES):
            break
    ended.set()


def _log(*, as_json: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], force=True)
    logger.setLevel(logging.INFO)
    # Hypercorn repeats the addresses
    logging.getLogger("consumers.console.http").setLevel(logging.WARNING)
    # coredis logs a traceback for every connection that fails in its handshake
    logging.getLogger("coredis").setLevel(logging.CRITICAL)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _tell(text: str, status: int) -> int:
    sys.stderr.write(f"trimaran ui: {text}\n")
    return status
