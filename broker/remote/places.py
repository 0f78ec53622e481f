"""Where a server is, as a URL says it, and the options of a command that say how to reach it."""

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

DEFAULT_URL: Final = "redis://127.0.0.1:6379"
_DEFAULT_PORT: Final = 6379

CONNECTION_USAGE: Final = """\
  --cacert   with rediss://, the certificates to trust, in place of the system's
  --cert, --key
             the certificate to show, and its key
  --insecure trust any certificate
"""


class UsageError(Exception):
    """The arguments are wrong; the text says how."""


@dataclass(frozen=True)
class Tls:
    """Which certificates to trust (`cacert`, "" for the system's) and to show, as paths; `insecure` trusts any."""

    cacert: str = ""
    cert: str = ""
    key: str = ""
    insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """What a connection is encrypted with. Raises OSError if a file can't be read."""
        context = ssl.create_default_context(cafile=self.cacert or None)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert:
            context.load_cert_chain(self.cert, self.key or None)
        return context


@dataclass(frozen=True)
class Place:
    """One server: its address (`path` of a Unix socket, or `host` and `port`), and as whom to log in.

    `password` is "" if there is none. `tls` is None for a connection in plain text.
    """

    host: str = "127.0.0.1"
    port: int = _DEFAULT_PORT
    path: str = ""
    user: str = ""
    password: str = ""
    tls: Tls | None = None

    def __str__(self) -> str:
        """The address, without the password."""
        return self.path or f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL without user and password, as a client is told it."""
        return f"unix://{self.path}" if self.path else f"redis{'s' * bool(self.tls)}://{self.host}:{self.port}"


def place_of(url: str, tls: Tls) -> Place:
    """The server at a URL: redis://[[user]:password@]host[:port], rediss://..., or unix://[[user]:password@]/path.

    Without a password in it, that of the environment variable REDISCLI_AUTH is used. Raises UsageError.
    """
    try:
        parts = urlsplit(url)
        usable = parts.port is not None or bool(parts.hostname) if parts.scheme != "unix" else bool(parts.path)
    except ValueError:
        usable = False
    if not usable or parts.scheme not in ("redis", "rediss", "unix"):
        raise UsageError("the URL must be redis://host:port, rediss://host:port or unix:///path")
    password = unquote(parts.password) if parts.password is not None else os.environ.get("REDISCLI_AUTH", "")
    user = unquote(parts.username or "")
    if parts.scheme == "unix":
        return Place(path=unquote(parts.path), user=user, password=password)
    return Place(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or _DEFAULT_PORT,
        user=user,
        password=password,
        tls=tls if parts.scheme == "rediss" else None,
    )


@dataclass
class Words:
    """A command's arguments: the values of its options, the switches that are set, and what remains, in order."""

    values: dict[str, str] = field(default_factory=dict)
    switches: set[str] = field(default_factory=set)
    others: list[str] = field(default_factory=list)

    def place(self, option: str) -> Place:
        """The server that the option names, by default DEFAULT_URL. Raises UsageError."""
        values = self.values
        tls = Tls(
            values.get("--cacert", ""), values.get("--cert", ""), values.get("--key", ""),
            "--insecure" in self.switches,
        )  # fmt: skip
        return place_of(values.get(option, DEFAULT_URL), tls)

    def seconds(self, option: str, default: float) -> float:
        """An option's number of seconds. Raises UsageError."""
        text = self.values.get(option)
        if text is None:
            return default
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0
        if not 0 < seconds < 86400:
            raise UsageError(f"{option} must be a number of seconds, not {text!r}")
        return seconds


def words_of(arguments: Sequence[str], options: set[str], switches: set[str], others: int = 0) -> Words:
    """The arguments of a command that has these options and switches, and so many further arguments at most.

    The options of Tls belong to each command. Raises UsageError.
    """
    options = options | {"--cacert", "--cert", "--key"}
    switches = switches | {"--insecure"}
    found = Words()
    remaining = list(arguments)
    while remaining:
        word, equals, value = remaining.pop(0).partition("=")
        if word in switches and not equals:
            found.switches.add(word)
        elif word in options:
            if not equals:
                if not remaining:
                    raise UsageError(f"{word} needs a value")
                value = remaining.pop(0)
            found.values[word] = value
        elif word.startswith("-") or len(found.others) == others:
            raise UsageError(f"unknown argument {word!r}")
        else:
            found.others.append(word + equals + value)
    return found
