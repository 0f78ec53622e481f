"""What of a request must not be shown to those who watch requests: passwords, and the rules of users.

Redis hides an argument when its command comes to it, so a request with an error before that place is shown as it
stands. Here whatever follows a word that announces a secret is hidden, whether or not the request is well formed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from broker.config.directives import BY_NAME
from broker.config.kinds import Secret, text_of

REDACTED: Final = b"(redacted)"


def redacted(name: bytes, args: list[bytes]) -> list[bytes]:
    """The request as it may be shown; `name` is its command's, in lower case with its subcommand."""
    secrets = _SECRETS.get(name)
    if secrets is None:
        return args
    hidden = secrets(args)
    return [REDACTED if at in hidden else argument for at, argument in enumerate(args)] if hidden else args


def _all_arguments(args: list[bytes]) -> Collection[int]:
    return range(1, len(args))


def _after_subcommand(args: list[bytes]) -> Collection[int]:
    return range(2, len(args))


def _of_hello(args: list[bytes]) -> Collection[int]:
    return _of_options(args, 2, {b"AUTH": 2, b"SETNAME": 1})


def _of_migrate(args: list[bytes]) -> Collection[int]:
    return _of_options(args, 6, {b"AUTH": 1, b"AUTH2": 2})


def _of_options(args: list[bytes], start: int, takes: dict[bytes, int]) -> Collection[int]:
    """The places of what follows AUTH and AUTH2; `takes` says how many arguments an option has."""
    hidden: set[int] = set()
    at = start
    while at < len(args):
        option = args[at].upper()
        ends = at + 1 + takes.get(option, 0)
        if option.startswith(b"AUTH"):
            hidden.update(range(at + 1, ends))
        at = ends
    return hidden


def _of_config_set(args: list[bytes]) -> Collection[int]:
    return [at + 1 for at in range(2, len(args), 2) if isinstance(BY_NAME.get(text_of(args[at].lower())), Secret)]


_SECRETS: Final = {
    b"auth": _all_arguments,
    b"hello": _of_hello,
    b"migrate": _of_migrate,
    b"config|set": _of_config_set,
    b"acl|setuser": _after_subcommand,
    b"acl|getuser": _after_subcommand,
    b"acl|deluser": _after_subcommand,
}
"""Command -> the places of the arguments to hide."""
