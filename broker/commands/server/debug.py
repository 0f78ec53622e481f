"""DEBUG: commands for testing clients and the broker itself. Off unless enable-debug-command allows it.

Those for test suites are in debug_testing.py. Subcommands that show or change Redis's C structures are refused like
unknown ones.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

from broker.broker import Client
from broker.commands.server.debug_testing import TESTING, describe_object
from broker.keyspace import digest as dataset_digest
from broker.persistence.backup import RELOADED
from broker.persistence.environment import LoadError
from broker.table.arguments import MAX_INTEGER, integer_between
from broker.table.command import ADMIN, LOADING, NOSCRIPT, PROTECTED, STALE, command
from protocol import errors
from protocol.errors import NOT_POSITIVE, STRING_TOO_LONG, CommandError, wrong_form
from protocol.numbers import parse_double
from protocol.replies import OK, Dialect, array, bulk, error, integers, simple
from protocol.replies import integer as integer_reply

NOT_ALLOWED: Final = (
    b'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a'
    b" local connection, otherwise you need to set this option in the configuration file, and then restart the server."
)
RESP2_HAS_NO_PUSH: Final = b"ERR RESP2 is not supported by this command"
PROTOCOL_TYPE: Final = (
    b"ERR Wrong protocol type name. Please use one of the following:"
    b" string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
)

RELOAD_OPTIONS: Final = b"ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."
RELOAD_FAILED: Final = b"ERR Error trying to load the RDB dump, check server logs."
SAVE_FAILED: Final = b"ERR"
_RELOAD_OPTIONS: Final = frozenset({b"MERGE", b"NOFLUSH", b"NOSAVE"})

# DEBUG SLEEP stops the whole broker, as it is meant to; a typing error should not make it necessary to kill it.
SLEEP_MAX: Final = 24 * 3600.0

_THREE: Final = [integer_reply(number) for number in range(3)]


@command("DEBUG", arity=-2, flags=ADMIN | NOSCRIPT | LOADING | STALE | PROTECTED, system=True, group="server",
         since="1.0.0", summary="A container for debugging commands.", complexity="Depends on subcommand.")  # fmt: skip
def debug(session: Client, args: list[bytes]) -> bytes:
    config = session.broker.config
    if not config.allows(config.enable_debug_command, session.transport.is_local()):
        raise CommandError(NOT_ALLOWED)
    found = _SUBCOMMANDS.get(args[1].upper())
    if found is None or len(args) not in found[0]:
        raise CommandError(wrong_form(args))
    return found[1](session, args)


def _help(session: Client, args: list[bytes]) -> bytes:
    lines = [b"DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for _, _, usage, text in _SUBCOMMANDS.values():
        lines += [usage, b"    " + text]
    return array([simple(line) for line in lines])


def _sleep(session: Client, args: list[bytes]) -> bytes:
    time.sleep(min(max(parse_double(args[2]) or 0.0, 0.0), SLEEP_MAX))
    return OK


def _set_active_expire(session: Client, args: list[bytes]) -> bytes:
    session.broker.keyspace.set_active_expiry(args[2].strip() not in (b"", b"0"))
    return OK


def _error(session: Client, args: list[bytes]) -> bytes:
    return error(args[2])


def _log(session: Client, args: list[bytes]) -> bytes:
    session.broker.log.warning("DEBUG LOG", said=args[2])
    return OK


def _populate(session: Client, args: list[bytes]) -> bytes:
    if session.broker.state.loading:
        raise CommandError(errors.LOADING)
    count = integer_between(args[2], 0, MAX_INTEGER, NOT_POSITIVE)
    size = integer_between(args[4], 0, MAX_INTEGER, NOT_POSITIVE) if len(args) == 5 else 0
    if size > session.broker.config.proto_max_bulk_len:
        raise CommandError(STRING_TOO_LONG)
    prefix = args[3] if len(args) > 3 else b"key"
    database = session.db
    for number in range(count):
        name = b"%b:%d" % (prefix, number)
        if database.get(name) is None:
            value = b"value:%d" % number
            database.add(name, value[:size].ljust(size, b"\0") if size else value)
            database.changed_silently(name)
    return OK


def _reload(session: Client, args: list[bytes]) -> bytes:
    if session.broker.state.loading:
        # Saving now would replace the file being loaded by the part loaded so far.
        raise CommandError(errors.LOADING)
    options = {argument.upper() for argument in args[2:]}
    if options - _RELOAD_OPTIONS:
        raise CommandError(RELOAD_OPTIONS)
    persistence = session.broker.persistence
    persistence.backup.fail(RELOADED)
    if b"NOSAVE" not in options:
        try:
            persistence.snapshots.replace_file()
        except OSError:
            raise CommandError(SAVE_FAILED) from None
    try:
        persistence.recovery.reload(flush=b"NOFLUSH" not in options, merge=b"MERGE" in options)
        if b"NOFLUSH" not in options:
            session.broker.tracking.flushed()
    except (LoadError, OSError) as problem:
        session.broker.log.warning("DEBUG RELOAD", error=str(problem))
        raise CommandError(RELOAD_FAILED) from None
    session.broker.policies.reload()
    return OK


def _digest(session: Client, args: list[bytes]) -> bytes:
    return simple(dataset_digest.of_databases(session.broker.keyspace.databases).hex().encode())


def _digest_value(session: Client, args: list[bytes]) -> bytes:
    return array([simple(dataset_digest.of_key(session.db, key).hex().encode()) for key in args[2:]])


def _protocol(session: Client, args: list[bytes]) -> bytes:
    example = _EXAMPLES.get(args[2].lower())
    if example is None:
        raise CommandError(PROTOCOL_TYPE)
    return example(session.resp)


def _attribute(resp: Dialect) -> bytes:
    reply = bulk(b"Some real reply following the attribute")
    if resp.version == 2:
        return reply
    return b"|1\r\n" + bulk(b"key-popularity") + array([bulk(b"key:123"), integer_reply(90)]) + reply


def _push(resp: Dialect) -> bytes:
    if resp.version == 2:
        raise CommandError(RESP2_HAS_NO_PUSH)
    # Like any push that a request causes to its own client, it follows the reply.
    message = resp.push_header(2) + bulk(b"server-cpu-usage") + integer_reply(42)
    return bulk(b"Some real reply following the push reply") + message


_EXAMPLES: Final[dict[bytes, Callable[[Dialect], bytes]]] = {
    b"string": lambda resp: bulk(b"Hello World"),
    b"integer": lambda resp: integer_reply(12345),
    b"double": lambda resp: resp.double(3.141),
    b"bignum": lambda resp: resp.big_number(b"1234567999999999999999999999999999999"),
    b"null": lambda resp: resp.null,
    b"array": lambda resp: integers(range(3)),
    b"set": lambda resp: resp.set_header(3) + b"".join(_THREE),
    b"map": lambda resp: resp.map((number, resp.boolean(at == 1)) for at, number in enumerate(_THREE)),
    b"attrib": _attribute,
    b"push": _push,
    b"verbatim": lambda resp: resp.verbatim(b"This is a verbatim\nstring"),
    b"true": lambda resp: resp.boolean(True),
    b"false": lambda resp: resp.boolean(False),
}

Handler = Callable[[Client, list[bytes]], bytes]

# Name -> the allowed numbers of arguments, the handler, the usage and the summary for HELP.
_SUBCOMMANDS: Final[dict[bytes, tuple[range, Handler, bytes, bytes]]] = {
    b"DIGEST": (range(2, 3), _digest, b"DIGEST", b"Returns a digest of all data."),
    b"DIGEST-VALUE": (
        range(2, sys.maxsize), _digest_value, b"DIGEST-VALUE <key> [<key> ...]", b"Returns digests of values.",
    ),
    b"ERROR": (range(3, 4), _error, b"ERROR <string>", b"Returns an error with this text."),
    b"LOG": (range(3, 4), _log, b"LOG <message>", b"Writes a line to the log."),
    b"OBJECT": (range(3, 4), describe_object, b"OBJECT <key>", b"Returns details about the value at a key."),
    b"POPULATE": (range(3, 6), _populate, b"POPULATE <count> [<prefix>] [<size>]", b"Creates that many strings."),
    b"PROTOCOL": (range(3, 4), _protocol, b"PROTOCOL <type>", b"Returns an example of a protocol type."),
    b"RELOAD": (
        range(2, sys.maxsize), _reload, b"RELOAD [MERGE] [NOFLUSH] [NOSAVE]", b"Saves all data and loads it again.",
    ),
    b"SET-ACTIVE-EXPIRE": (
        range(3, 4), _set_active_expire, b"SET-ACTIVE-EXPIRE <0|1>", b"Removes expired keys on time or only on access.",
    ),
    b"SLEEP": (range(3, 4), _sleep, b"SLEEP <seconds>", b"Stops the whole broker for that long."),
    **TESTING,
    b"HELP": (range(2, 3), _help, b"HELP", b"Prints this help."),
}  # fmt: skip
