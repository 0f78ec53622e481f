"""The limits on what a client may send, each with its reason.

A limit that a directive can change has the directive's default here; tests/protocol/test_limits.py keeps them equal.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

MAX_ARGS: Final = 1024 * KIB
"""Elements of one request's array. Redis allows 2^31-1, but no client sends that many, and each costs a
pointer and an object before the first command check is made."""

MAX_ARGS_UNAUTHENTICATED: Final = 10
"""Elements of a request before AUTH: AUTH and HELLO with all their options fit (Redis's own limit)."""

MAX_BULK: Final = 512 * MIB
"""Bytes of one bulk string: Redis's default of `proto-max-bulk-len`."""

MAX_BULK_UNAUTHENTICATED: Final = 16 * KIB
"""Bytes of one bulk string before AUTH: any password fits (Redis's own limit)."""

MAX_BULK_LEAST: Final = 1 * MIB
"""The lowest value of `proto-max-bulk-len`: up to it, no length needs comparing with the directive."""

MAX_INLINE: Final = 64 * KIB
"""Bytes of one line: an inline request, or the header of an array or bulk (Redis's PROTO_INLINE_MAX_SIZE)."""

QUERY_BUFFER: Final = 1 * GIB
"""Bytes held for one client's incomplete request: Redis's default of `client-query-buffer-limit`. Past it the
client is disconnected without a reply, as in Redis."""

QUERY_BUFFER_LEAST: Final = 1 * MIB
"""The lowest value of `client-query-buffer-limit`."""

QUERY_BUFFER_UNAUTHENTICATED: Final = 1 * MIB
"""The same before AUTH, so that unauthenticated clients can't fill the memory (Redis's own limit)."""

READ_SIZE: Final = 64 * KIB
"""Bytes read from one client per tick, so that one long pipeline can't starve the other clients."""

COMMAND_NAME_SHOWN: Final = 128
"""Bytes of an unknown command's name, and of all its arguments together, that an error reply repeats."""
