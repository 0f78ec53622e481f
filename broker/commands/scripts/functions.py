"""Functions: FCALL, FUNCTION. broker.scripting stores and runs them."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.help import declare_help
from broker.commands.scripts.scripts import ANY_KEYS, NEGATIVE_KEYS, READ_KEYS, TOO_MANY_KEYS
from broker.formats.rdb.dump_payload import functions_as_old_as_possible
from broker.process.globs import Glob
from broker.scripting.functions import ENGINE, Library
from broker.scripting.running import BUSY_SCRIPT
from broker.scripting.scripts import FLAGS, NO_WRITES
from broker.table.command import (
    ALLOW_BUSY,
    DENYOOM,
    MAY_REPLICATE,
    NO_MANDATORY_KEYS,
    NOSCRIPT,
    READONLY,
    SCRIPT_RUNNER,
    SKIP_MONITOR,
    STALE,
    WRITE,
    command,
    container,
)
from protocol.errors import CommandError, wrong_form
from protocol.numbers import parse_integer
from protocol.replies import OK, Dialect, array, bulk, bulks, integer, simple

NO_FUNCTION: Final = b"ERR Function not found"
BAD_KEYS: Final = b"ERR Bad number of keys provided"
NO_CODE: Final = b"ERR Function code is missing"
FLUSH_OPTIONS: Final = b"ERR FUNCTION FLUSH only supports SYNC|ASYNC option"
POLICIES: Final = b"ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."
NO_PATTERN: Final = b"ERR library name argument was not given"

_FLAGS: Final = NOSCRIPT | SKIP_MONITOR | NO_MANDATORY_KEYS | STALE | SCRIPT_RUNNER
_TIPS: Final = ("request_policy:all_shards", "response_policy:all_succeeded")
_COMPLEXITY: Final = "Depends on the function that is executed."


def _fcall_reads_only(session: Client, args: list[bytes]) -> bool:
    function = session.broker.functions.find(args[1])
    return function is not None and bool(function.flags & NO_WRITES)


@command("FCALL", arity=-3, flags=_FLAGS | MAY_REPLICATE, keys=(ANY_KEYS,), reads_only=_fcall_reads_only,
         group="scripting", since="7.0.0", syntax="function numkeys [key ...] [arg ...]",
         summary="Calls a function.", complexity=_COMPLEXITY)  # fmt: skip
def fcall(session: Client, args: list[bytes]) -> bytes:
    return _call(session, args, False)


@command("FCALL_RO", arity=-3, flags=_FLAGS | READONLY, keys=(READ_KEYS,),
         group="scripting", since="7.0.0", syntax="function numkeys [key ...] [arg ...]",
         summary="Calls a read-only function.", complexity=_COMPLEXITY)  # fmt: skip
def fcall_ro(session: Client, args: list[bytes]) -> bytes:
    return _call(session, args, True)


def _call(session: Client, args: list[bytes], read_only: bool) -> bytes:
    scripting = session.broker.scripting
    function = scripting.functions.find(args[1])
    if function is None:
        raise CommandError(NO_FUNCTION)
    keys = parse_integer(args[2])
    if keys is None:
        raise CommandError(BAD_KEYS)
    if keys > len(args) - 3:
        raise CommandError(TOO_MANY_KEYS)
    if keys < 0:
        raise CommandError(NEGATIVE_KEYS)
    return scripting.call(session, args, function, keys, read_only)


container("FUNCTION", group="scripting", since="7.0.0", summary="A container for commands about functions.")
declare_help(
    "FUNCTION",
    group="scripting",
    since="7.0.0",
    usage={
        "DELETE": "<library name>",
        "FLUSH": "[ASYNC|SYNC]",
        "LIST": "[LIBRARYNAME <pattern>] [WITHCODE]",
        "LOAD": "[REPLACE] <function code>",
        "RESTORE": "<payload> [FLUSH|APPEND|REPLACE]",
    },
)


@command("FUNCTION|LOAD", arity=-3, flags=NOSCRIPT | WRITE | DENYOOM, group="scripting", since="7.0.0",
         syntax="[REPLACE] function-code", summary="Creates a library from its source; returns its name.",
         complexity="O(1) besides compiling the source", tips=_TIPS)  # fmt: skip
def function_load(session: Client, args: list[bytes]) -> bytes:
    replace = False
    # Parsed by hand: the last argument is the code, whatever it looks like.
    for option in args[2:-1]:
        if option.upper() != b"REPLACE":
            raise CommandError(b"ERR Unknown option given: " + option.partition(b"\0")[0])
        replace = True
    if len(args) > 3 and not replace:
        raise CommandError(NO_CODE)
    name = session.broker.functions.load(args[-1], replace)
    session.broker.keyspace.dirty += 1
    return bulk(name)


@command("FUNCTION|DELETE", arity=3, flags=NOSCRIPT | WRITE, group="scripting", since="7.0.0", syntax="library-name",
         summary="Deletes a library and its functions.", complexity="O(1)", tips=_TIPS)  # fmt: skip
def function_delete(session: Client, args: list[bytes]) -> bytes:
    session.broker.functions.delete(args[2])
    session.broker.keyspace.dirty += 1
    return OK


@command("FUNCTION|FLUSH", arity=-2, flags=NOSCRIPT | WRITE, group="scripting", since="7.0.0",
         syntax="flush-type=[ASYNC|SYNC]", summary="Deletes all libraries.",
         complexity="O(N) for N functions", tips=_TIPS)  # fmt: skip
def function_flush(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 3:
        raise CommandError(wrong_form(args))
    if len(args) == 3 and args[2].upper() not in (b"SYNC", b"ASYNC"):
        raise CommandError(FLUSH_OPTIONS)
    session.broker.functions.flush()
    session.broker.keyspace.dirty += 1
    return OK


@command("FUNCTION|LIST", arity=-2, flags=NOSCRIPT, group="scripting", since="7.0.0",
         syntax="[LIBRARYNAME library-name-pattern:string] [WITHCODE]",
         summary="Returns information about the libraries and their functions.", complexity="O(N) for N functions",
         tips=("nondeterministic_output_order",))  # fmt: skip
def function_list(session: Client, args: list[bytes]) -> bytes:
    pattern: bytes | None = None
    with_code = False
    # Parsed by hand: a repeated option is an unknown one, even if its value is missing.
    words = iter(args[2:])
    for word in words:
        if not with_code and word.upper() == b"WITHCODE":
            with_code = True
        elif pattern is None and word.upper() == b"LIBRARYNAME":
            pattern = next(words, None)
            if pattern is None:
                raise CommandError(NO_PATTERN)
        else:
            raise CommandError(b"ERR Unknown argument " + word.partition(b"\0")[0])
    libraries = session.broker.functions.libraries.values()
    matches = None if pattern is None else Glob(pattern, nocase=True).match
    return array(
        [
            _described(library, session.resp, with_code)
            for library in libraries
            if matches is None or matches(library.name)
        ]
    )


def _described(library: Library, resp: Dialect, with_code: bool) -> bytes:
    functions = [
        resp.map(
            (
                (bulk(b"name"), bulk(function.name)),
                (bulk(b"description"), resp.null if function.description is None else bulk(function.description)),
                (bulk(b"flags"), _flag_set(function.flags, resp)),
            )
        )
        for function in library.functions.values()
    ]
    pairs = [
        (bulk(b"library_name"), bulk(library.name)),
        (bulk(b"engine"), bulk(ENGINE)),
        (bulk(b"functions"), array(functions)),
    ]
    if with_code:
        pairs.append((bulk(b"library_code"), bulk(library.source)))
    return resp.map(pairs)


def _flag_set(flags: int, resp: Dialect) -> bytes:
    names = [simple(name) for name, bit in FLAGS.items() if flags & bit]
    return resp.set_header(len(names)) + b"".join(names)


@command("FUNCTION|DUMP", arity=2, flags=NOSCRIPT, group="scripting", since="7.0.0",
         summary="Returns all libraries as one payload for FUNCTION RESTORE.",
         complexity="O(N) for N functions")  # fmt: skip
def function_dump(session: Client, args: list[bytes]) -> bytes:
    return bulk(session.broker.functions.dump())


@command("FUNCTION|RESTORE", arity=-3, flags=NOSCRIPT | WRITE | DENYOOM, group="scripting", since="7.0.0",
         syntax="serialized-value policy=[FLUSH|APPEND|REPLACE]",
         summary="Creates the libraries of a payload.", complexity="O(N) for N functions", tips=_TIPS)  # fmt: skip
def function_restore(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 4:
        raise CommandError(wrong_form(args))
    policy = args[3].lower() if len(args) == 4 else b"append"
    if policy not in (b"flush", b"append", b"replace"):
        raise CommandError(POLICIES)
    session.broker.functions.restore(args[2], policy)
    keyspace = session.broker.keyspace
    keyspace.dirty += 1
    if keyspace.effects.sinks:
        keyspace.effects.replace_with([*args[:2], functions_as_old_as_possible(args[2]), *args[3:]])
    return OK


@command("FUNCTION|KILL", arity=2, flags=NOSCRIPT | ALLOW_BUSY, group="scripting", since="7.0.0",
         summary="Stops the running function if it has not written yet.", complexity="O(1)",
         tips=("request_policy:all_shards", "response_policy:one_succeeded"))  # fmt: skip
def function_kill(session: Client, args: list[bytes]) -> bytes:
    session.broker.scripting.interruption.kill(by_script_kill=False)
    return OK


@command("FUNCTION|STATS", arity=2, flags=NOSCRIPT | ALLOW_BUSY, group="scripting", since="7.0.0",
         summary="Returns the running function, and the number of libraries and functions.", complexity="O(1)",
         tips=("nondeterministic_output", "request_policy:all_shards", "response_policy:special"))  # fmt: skip
def function_stats(session: Client, args: list[bytes]) -> bytes:
    scripting = session.broker.scripting
    resp = session.resp
    run = scripting.interruption.current
    if run is not None and run.is_eval:
        raise CommandError(BUSY_SCRIPT)
    running = resp.null
    if run is not None:
        running = resp.map(
            (
                (bulk(b"name"), bulk(run.name)),
                (bulk(b"command"), bulks(run.args)),
                (bulk(b"duration_ms"), integer(run.milliseconds())),
            )
        )
    engine = resp.map(
        (
            (bulk(b"libraries_count"), integer(len(scripting.functions.libraries))),
            (bulk(b"functions_count"), integer(scripting.functions.count())),
        )
    )
    return resp.map(
        ((bulk(b"running_script"), running), (bulk(b"engines"), resp.map(((bulk(ENGINE), engine),)))),
    )
