"""What the server can do beyond Redis 6.2, queried for each connection: another may lead to another kind of server.

Redis's version number determines which options XREADGROUP has; whether a command exists is queried directly. Valkey
reports redis_version 7.2.4 whatever its own version is, and therefore counts as a server without the options.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from coredis.exceptions import RedisError

from consumers.connecting import Command, Reply

__all__ = ["LEAST", "Capabilities", "detect"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """claiming_reads: XREADGROUP CLAIM [8.4]. total_count: XREADGROUP MAXCOUNT [8.10]. nack: XNACK [8.8].

    policies: XGROUP CFGSET, calls: XCALL and XREPLY, which a Trimaran with `stream-extensions yes` has.
    """

    claiming_reads: bool
    total_count: bool
    nack: bool
    policies: bool
    calls: bool


LEAST = Capabilities(claiming_reads=False, total_count=False, nack=False, policies=False, calls=False)
"""Any server since Redis 6.2: XAUTOCLAIM and XCLAIM do everything, with more round trips."""

_COMMANDS = (b"XNACK", b"XGROUP|CFGSET", b"XCALL")
_VERSION = re.compile(rb"^redis_version:(\d+)\.(\d+)", re.MULTILINE)


async def detect(execute: Callable[[list[Command]], Awaitable[list[Reply]]]) -> Capabilities:
    """Query a server. One that permits neither query is assumed to have none of the capabilities.

    execute: sends commands to it and returns their replies. Raises what that raises.
    """
    about, known = await execute([(b"INFO", b"server"), (b"COMMAND", b"INFO", *_COMMANDS)])
    found = None if isinstance(about, RedisError) else _VERSION.search(about)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    nack, policies, calls = (one is not None for one in ([None] * 3 if isinstance(known, RedisError) else known))
    return Capabilities(version >= (8, 4), version >= (8, 10), nack, policies, calls)
