"""The console as a child process of the broker, for the directive `http-port`: `trimaran ui`, looking at its parent.

A page never holds up the tick that way, and nothing of the console is imported here. The child is started again when it
ends, and ended with the broker; if the broker is killed, it notices that its standard input is closed. What it logs
goes into the broker's log.
"""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Final
from urllib.parse import quote

import trio

from broker.config import Config
from broker.process.log import Log

LIBRARIES: Final = ("coredis", "hypercorn", "jinja2", "prometheus_client", "starlette")

EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http"

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Where the environment, which the child has as well, may name a collector."""

PROGRAM: Final = "import sys; from consumers.commands.ui import main; sys.exit(main(sys.argv[1:]))"

LINE_LIMIT: Final = 65_536
"""Bytes of one line of the child's log."""

END_SECONDS: Final = 5.0
"""How long the child may take to end before it is killed."""

CHECK_SECONDS: Final = 1.0
"""How often is checked whether clients still have to log in, or not, as when the child was started."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds between the end of a child and the start of the next."""


def missing_library() -> str | None:
    """Return the name of a library that the console needs and that is not installed."""
    return next((name for name in LIBRARIES if find_spec(name) is None), None)


def console_problem(config: Config) -> str | None:
    """Return why a console as these directives want it can't be started, in one line."""
    wanted = config.otlp_endpoint, config.otlp_interval, config.otlp_user, config.otlp_password
    if not config.http_port:
        names = ("otlp-endpoint", "otlp-interval", "otlp-user", "otlp-password")
        lone = next((name for name, value in zip(names, wanted, strict=True) if value), None)
        return lone and f"{lone}: the console pushes the metrics, and there is none without http-port"
    if (missing := missing_library()) is not None:
        return f"http-port: {missing} is not installed; install it with pip install 'trimaran[ui]'"
    named = config.otlp_endpoint or any(os.environ.get(name, "").strip() for name in ENDPOINTS)
    if config.otlp_interval and not named:
        return "otlp-interval: there is no otlp-endpoint"
    if config.otlp_user and not config.otlp_password:
        return "otlp-user: there is no otlp-password"
    if config.otlp_endpoint and not _is_installed(EXPORTER):
        return f"otlp-endpoint: {EXPORTER} is not installed; install it with pip install 'trimaran[otlp]'"
    return None


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        # not even what it would be a part of
        return False


class ConsoleProcess:
    """Runs the child. addresses: where the broker listens. login_required: whether its default user has a password."""

    def __init__(
        self, config: Config, log: Log, addresses: Callable[[], Sequence[str]], login_required: Callable[[], bool]
    ) -> None:
        self._config = config
        self._log = log
        self._addresses = addresses
        self._login_required = login_required

    async def run(self) -> None:
        """Keep the child running until cancelled; returns at once if there is no address at which it could look."""
        url = own_url(self._config, self._addresses())
        if url is None:
            self._log.warning("http-port: the console can't reach this broker: it has no port and no unixsocket")
            return
        pause = FIRST_PAUSE
        while True:
            begun, login = trio.current_time(), self._login_required()
            status = await self._run_child(url, own_options(self._config, url, login=login), login)
            if status is None:
                continue
            if trio.current_time() - begun > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            self._log.warning("the console has ended and will be started again", status=status, seconds=pause)
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _run_child(self, url: str, words: Sequence[str], login: bool) -> int | None:
        """Run one child until it ends; returns its status, or None if it was ended to be started differently."""
        process = await trio.lowlevel.open_process(
            [sys.executable, "-c", PROGRAM, *words],
            # it may have a password, which other users of this machine must not see
            env=os.environ | {"REDIS_URL": url},
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            # Ctrl-C is for the broker, which ends the child itself
            start_new_session=True,
        )  # fmt: skip
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_login, login, nursery.cancel_scope)
                # its log ends with the child
                await self._relay(process)
                await process.wait()
                nursery.cancel_scope.cancel()
            outdated = process.returncode is None
        finally:
            await _end(process)
        return None if outdated else process.returncode

    async def _watch_login(self, login: bool, child: trio.CancelScope) -> None:
        while self._login_required() == login:
            await trio.sleep(CHECK_SECONDS)
        child.cancel()

    async def _relay(self, process: trio.Process) -> None:
        assert process.stderr is not None
        rest = b""
        async for data in process.stderr:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._log_line(line)
            if len(rest) > LINE_LIMIT:
                self._log_line(rest)
                rest = b""

    def _log_line(self, line: bytes) -> None:
        """Write a line of the child's log (consumers/commands/log_lines.py) to the broker's."""
        try:
            record = json.loads(line)
            text, level = record.get("summary", record["message"]), record["level"]
        except (ValueError, TypeError, KeyError, AttributeError):
            record, text, level = {}, line.decode("utf-8", "replace"), "WARNING"
        write = self._log.notice if level in ("DEBUG", "INFO") else self._log.warning
        values = {name: self._log.user_data(record[name]) for name in ("details", "error") if record.get(name)}
        write(f"console: {text}", **values)


def own_url(config: Config, addresses: Sequence[str]) -> str | None:
    """Return this broker's URL; None if it can't be reached. addresses: where it listens, TCP only."""
    credentials = ""
    if config.otlp_password:
        credentials = f"{quote(config.otlp_user or 'default', safe='')}:{quote(config.otlp_password, safe='')}@"
    if config.unixsocket:
        return f"unix://{credentials}{os.path.abspath(config.unixsocket)}"
    if addresses:
        host, _, port = min(addresses, key=lambda address: not _host(address).is_loopback).rpartition(":")
        return f"redis://{credentials}{_from_here(host)}:{port}"
    return f"rediss://{credentials}127.0.0.1:{config.tls_port}" if config.tls_port else None


def own_options(config: Config, url: str, *, login: bool) -> list[str]:
    """Return the child's options. login: whether users have to log in, with names that the broker knows."""
    words = ["--port", str(config.http_port), "--json", "--end-with-input"]
    if url.startswith("rediss:"):
        # the certificate need not be for an address of this machine
        words.append("--insecure")
        if config.tls_auth_clients == "yes":
            certificate = config.tls_client_cert_file or config.tls_cert_file
            words += ["--cert", certificate, "--key", config.tls_client_key_file or config.tls_key_file]
    binds = config.http_bind.split()
    for bind in binds:
        words += ["--bind", bind]
    for name in config.http_host.split():
        words += ["--host", name]
    # without a login, everybody would see and do what the user for metrics may
    if login or config.otlp_password or not all(_is_loopback(bind) for bind in binds):
        words.append("--server-login")
    if config.otlp_endpoint:
        words += ["--otlp", config.otlp_endpoint]
    if config.otlp_interval:
        words += ["--otlp-interval", str(config.otlp_interval)]
    return words


def _host(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(address.rpartition(":")[0].strip("[]").partition("%")[0])


def _from_here(host: str) -> str:
    """Return where a listener on this address is reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)


def _is_loopback(bind: str) -> bool:
    if bind == "localhost":
        return True
    try:
        return ipaddress.ip_address(bind).is_loopback
    except ValueError:
        return False


async def _end(process: trio.Process) -> None:
    """End a child that may still be running, and release its pipes."""
    with trio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
            with trio.move_on_after(END_SECONDS):
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()
        for pipe in (process.stdin, process.stderr):
            if pipe is not None:
                await pipe.aclose()
