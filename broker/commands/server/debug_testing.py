"""DEBUG's subcommands for test suites: switches, restarts, crashes, and a look at how a value is kept.

Suites that are written for redis-server set many switches that are about its C structures. Those are accepted and have
no effect here; the others do what they do there.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

from broker.broker import Client
from broker.commands.keys.object import encoding_of
from broker.commands.server.memory_model import list_nodes
from broker.config.kinds import memory_size
from broker.config.rewriting import rewrite
from broker.formats.rdb.value_saving import save_value
from broker.keyspace.access import LFU
from broker.persistence.environment import LoadError
from broker.table.arguments import integer
from broker.values.list import List
from protocol import errors
from protocol.errors import NO_SUCH_KEY, CommandError, wrong_form
from protocol.numbers import parse_integer
from protocol.replies import NO_REPLY, OK, simple

Handler = Callable[[Client, list[bytes]], bytes]

THRESHOLD: Final = b"ERR argument must be a memory value bigger than 1 and smaller than 4gb"
LOAD_FAILED: Final = b"ERR Error trying to load the AOF files, check server logs."
NO_DATABASE: Final = b"ERR Out of range database"
NOT_A_TABLE: Final = b"ERR The value stored at the specified key is not represented using an hash table"
NOT_A_LISTPACK: Final = b"ERR Not a listpack encoded object."
NOT_A_QUICKLIST: Final = b"ERR Not a quicklist encoded object."
NO_CONFIG_FILE: Final = b"ERR CONFIG-REWRITE-FORCE-ALL failed: Bad address"
SHUTDOWN_FAILED: Final = b"ERR failed to restart the server. Check server logs."

_PACKED_MAX: Final = 4 << 30
_TABLES: Final = frozenset((b"hashtable", b"skiplist"))


def _is_on(word: bytes) -> bool:
    """Reads a number as C's atoi does for switches: whatever is not a number is 0."""
    return bool(parse_integer(word) or 0)


def accept(session: Client, args: list[bytes]) -> bytes:
    """A switch that has no meaning here."""
    return OK


def _skip_checksums(session: Client, args: list[bytes]) -> bytes:
    session.broker.state.checksums_ignored = _is_on(args[2])
    return OK


def _disable_deny_scripts(session: Client, args: list[bytes]) -> bytes:
    session.broker.state.scripts_may_all = _is_on(args[2])
    return OK


def _pause_cron(session: Client, args: list[bytes]) -> bytes:
    session.broker.state.cron_paused = _is_on(args[2])
    return OK


def _packed_threshold(session: Client, args: list[bytes]) -> bytes:
    size = memory_size(args[2])
    if size is None or size > _PACKED_MAX:
        raise CommandError(THRESHOLD)
    return OK


def _reply_buffer(session: Client, args: list[bytes]) -> bytes:
    option = args[2].upper()
    if option == b"PEAK-RESET-TIME":
        if args[3].upper() not in (b"NEVER", b"RESET"):
            integer(args[3])
    elif option != b"RESIZING":
        raise CommandError(wrong_form([b"DEBUG", args[1]]))
    return OK


def _change_replication_id(session: Client, args: list[bytes]) -> bytes:
    session.broker.history.change_id()
    return OK


def _load_append_only(session: Client, args: list[bytes]) -> bytes:
    broker = session.broker
    if broker.state.loading:
        raise CommandError(errors.LOADING)
    try:
        broker.persistence.reload_append_only()
    except (LoadError, OSError) as problem:
        broker.log.warning("DEBUG LOADAOF", error=str(problem))
        raise CommandError(LOAD_FAILED) from None
    broker.policies.reload()
    return OK


def _rewrite_all(session: Client, args: list[bytes]) -> bytes:
    config = session.broker.config
    if config.file is None:
        raise CommandError(NO_CONFIG_FILE)
    try:
        rewrite(config, config.file, every=True)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise CommandError(b"ERR CONFIG-REWRITE-FORCE-ALL failed: " + reason.encode()) from None
    return OK


# Looking at values


def _value(session: Client, name: bytes) -> tuple[Any, bytes]:
    """Returns the value at a key, expired or not, and its encoding. Raises CommandError if there is none."""
    value = session.db.data.get(name)
    if value is None:
        raise CommandError(NO_SUCH_KEY)
    return value, encoding_of(value, len(name), session.broker.config)


def describe_object(session: Client, args: list[bytes]) -> bytes:
    """DEBUG OBJECT."""
    value, encoding = _value(session, args[2])
    broker = session.broker
    access, config = broker.access, broker.config
    seconds = broker.clock.now // 1000
    idle = 0 if access.recorded == LFU else access.idle_seconds(session.db, args[2])
    text = b"Value at:0x%x refcount:1 encoding:%b serializedlength:%d lru:%d lru_seconds_idle:%d" % (
        id(value), encoding, len(save_value(value, config)[1]), (seconds - idle) & 0xFFFFFF, idle,
    )  # fmt: skip
    if isinstance(value, List) and encoding == b"quicklist":
        nodes, size = list_nodes(value)
        text += b" ql_nodes:%d ql_avg_node:%.2f ql_listpack_max:%d ql_compressed:0 ql_uncompressed_size:%d" % (
            nodes, len(value) / nodes, config.list_max_listpack_size, size,
        )  # fmt: skip
    return simple(text)


def _listpack(session: Client, args: list[bytes]) -> bytes:
    if _value(session, args[2])[1] != b"listpack":
        raise CommandError(NOT_A_LISTPACK)
    return simple(b"Listpack structure printed on stdout")


def _quicklist(session: Client, args: list[bytes]) -> bytes:
    if _value(session, args[2])[1] != b"quicklist":
        raise CommandError(NOT_A_QUICKLIST)
    return simple(b"Quicklist structure printed on stdout")


def _table(count: int) -> bytes:
    """Returns what Redis prints about a hash table with so many elements."""
    if not count:
        return b""
    size = max(4, 1 << (count - 1).bit_length())
    return b"Hash table 0 stats (main hash table):\n table size: %d\n number of elements: %d\n" % (size, count)


def _database_tables(session: Client, args: list[bytes]) -> bytes:
    number = integer(args[2])
    if not 0 <= number < session.broker.config.databases:
        raise CommandError(NO_DATABASE)
    database = session.broker.keyspace.databases[number]
    text = b"[Dictionary HT]\n" + _table(len(database.data)) + b"[Expires HT]\n" + _table(len(database.expires))
    return session.resp.verbatim(text)


def _value_table(session: Client, args: list[bytes]) -> bytes:
    value, encoding = _value(session, args[2])
    if encoding not in _TABLES:
        raise CommandError(NOT_A_TABLE)
    return session.resp.verbatim(_table(len(value)))


# Ending the process


def _restart(session: Client, args: list[bytes]) -> bytes:
    persistence = session.broker.persistence
    if not persistence.prepare_shutdown(save=False, no_save=False, force=False):
        raise CommandError(SHUTDOWN_FAILED)
    persistence.close()
    _start_again(args)


def _crash_and_recover(session: Client, args: list[bytes]) -> bytes:
    _start_again(args)


def _start_again(args: list[bytes]) -> NoReturn:
    """Replaces the process by a new one with the same arguments; the sockets are closed by that."""
    milliseconds = parse_integer(args[2]) if len(args) == 3 else 0
    time.sleep(max(0, milliseconds or 0) / 1000)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _segmentation_fault(session: Client, args: list[bytes]) -> bytes:
    os.kill(os.getpid(), signal.SIGSEGV)
    return NO_REPLY


def _abort(session: Client, args: list[bytes]) -> bytes:
    session.broker.log.warning(f"DEBUG {args[1].decode(errors='replace').upper()}: aborting")
    os.abort()


_ACCEPTED: Final = b"Accepted; it is about redis-server's own structures."

# Name -> the allowed numbers of arguments, the handler, the usage and the summary for HELP.
TESTING: Final[dict[bytes, tuple[range, Handler, bytes, bytes]]] = {
    b"AOF-FLUSH-SLEEP": (range(3, 4), accept, b"AOF-FLUSH-SLEEP <microsec>", _ACCEPTED),
    b"ASSERT": (range(2, 3), _abort, b"ASSERT", b"Ends the process by an abort."),
    b"CHANGE-REPL-ID": (range(2, 3), _change_replication_id, b"CHANGE-REPL-ID", b"Changes the replication ID."),
    b"CONFIG-REWRITE-FORCE-ALL": (
        range(2, 3), _rewrite_all, b"CONFIG-REWRITE-FORCE-ALL", b"CONFIG REWRITE that writes every directive.",
    ),
    b"CRASH-AND-RECOVER": (
        range(2, 4), _crash_and_recover, b"CRASH-AND-RECOVER [<milliseconds>]", b"Starts again without any shutdown.",
    ),
    b"DICT-RESIZING": (range(3, 4), accept, b"DICT-RESIZING <0|1>", _ACCEPTED),
    b"HTSTATS": (range(3, 5), _database_tables, b"HTSTATS <dbid> [full]", b"Returns the sizes of a database's tables."),
    b"HTSTATS-KEY": (range(3, 5), _value_table, b"HTSTATS-KEY <key> [full]", b"Returns the size of a value's table."),
    b"KEYSIZES-HIST-ASSERT": (range(3, 4), accept, b"KEYSIZES-HIST-ASSERT <0|1>", _ACCEPTED),
    b"LISTPACK": (range(3, 4), _listpack, b"LISTPACK <key>", b"Checks that Redis would keep the value in a listpack."),
    b"LOADAOF": (range(2, 3), _load_append_only, b"LOADAOF", b"Loads the append-only files again."),
    b"OOM": (range(2, 3), _abort, b"OOM", b"Ends the process by an abort."),
    b"PANIC": (range(2, 3), _abort, b"PANIC", b"Ends the process by an abort."),
    b"PAUSE-CRON": (range(3, 4), _pause_cron, b"PAUSE-CRON <0|1>", b"Suspends what is done once a second."),
    b"QUICKLIST": (
        range(3, 5), _quicklist, b"QUICKLIST <key> [<0|1>]", b"Checks that Redis would keep the value in a quicklist.",
    ),
    b"QUICKLIST-PACKED-THRESHOLD": (
        range(3, 4), _packed_threshold, b"QUICKLIST-PACKED-THRESHOLD <size>", _ACCEPTED,
    ),
    b"REPLICATE": (range(3, sys.maxsize), accept, b"REPLICATE <string>", b"Accepted; there are no replicas."),
    b"REPLY-COPY-AVOIDANCE": (range(3, 4), accept, b"REPLY-COPY-AVOIDANCE <0|1>", _ACCEPTED),
    b"REPLYBUFFER": (
        range(4, 5), _reply_buffer, b"REPLYBUFFER <PEAK-RESET-TIME <NEVER|RESET|time>|RESIZING <0|1>>", _ACCEPTED,
    ),
    b"RESTART": (
        range(2, 4), _restart, b"RESTART [<milliseconds>]", b"Shuts down as SHUTDOWN does, and starts again.",
    ),
    b"SEGFAULT": (range(2, 3), _segmentation_fault, b"SEGFAULT", b"Ends the process by a segmentation fault."),
    b"SET-DISABLE-DENY-SCRIPTS": (
        range(3, 4), _disable_deny_scripts, b"SET-DISABLE-DENY-SCRIPTS <0|1>",
        b"Lets scripts call commands that are not for scripts.",
    ),
    b"SET-SKIP-CHECKSUM-VALIDATION": (
        range(3, 4), _skip_checksums, b"SET-SKIP-CHECKSUM-VALIDATION <0|1>",
        b"Ignores the checksums of RDB files and of RESTORE's payloads.",
    ),
}  # fmt: skip
