"""The process's title, which `ps` and `pgrep` show: `proc-title-template`, as redis-server has it.

Its words replace the command line, which may contain a password.
"""

import ctypes
import sys
from collections.abc import Callable, Mapping
from typing import Final

_set_command_line: Callable[[str], None] | None
try:
    from setproctitle import setproctitle as _set_command_line
except ImportError:  # without it, only the short name can be set
    _set_command_line = None

VARIABLES: Final = ("title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file")

INVALID: Final = "template format is invalid or contains unknown variables"

_PR_SET_NAME: Final = 15

# The kernel keeps this many bytes of a short name.
_SHORT_NAME_MAX: Final = 15


def expand(template: str, values: Mapping[str, str]) -> str:
    """The template with its `{variables}` replaced. Raises ValueError if it names an unknown one, or is empty."""
    parts = []
    rest = template
    while rest:
        text, brace, rest = rest.partition("{")
        parts.append(text)
        if not brace:
            break
        if rest.startswith("{"):
            parts.append("{")
            rest = rest[1:]
            continue
        name, closed, rest = rest.partition("}")
        if not closed or name not in VARIABLES:
            raise ValueError(INVALID)
        parts.append(values.get(name, ""))
    return "".join(parts).strip(" ")


def check_template(template: str) -> None:
    """Raises ValueError, with Redis's text, for a template that can't be a title."""
    if "\0" in template or not expand(template, dict.fromkeys(VARIABLES, "x")):
        raise ValueError(INVALID)


def listen_address(bind: tuple[str, ...], port: int, tls_port: int, unixsocket: str) -> str:
    """Where clients connect: the first address with the port, or the Unix socket if no port is open."""
    if port or tls_port:
        return f"{bind[0] if bind else '*'}:{port or tls_port}"
    return unixsocket


def set_title(title: str) -> None:
    """Show this title for the process, in so far as the system and what is installed allow it."""
    if _set_command_line is not None:
        _set_command_line(title)
    if sys.platform == "linux":
        name = title.partition(" ")[0].rpartition("/")[2].encode("utf-8", "surrogateescape")[:_SHORT_NAME_MAX]
        ctypes.CDLL(None).prctl(_PR_SET_NAME, ctypes.c_char_p(name), 0, 0, 0)
