"""Scripts: EVAL and its relatives, SCRIPT. broker.scripting runs them."""

from __future__ import annotations

from functools import partial
from typing import Final

from broker.broker import Client
from broker.clients.session import REPLY_OFF
from broker.commands.help import declare_help
from broker.scripting.scripts import NO_WRITES, declares_no_writes
from broker.table.arguments import integer
from broker.table.command import (
    ACCESS,
    ALLOW_BUSY,
    MAY_REPLICATE,
    NO_MANDATORY_KEYS,
    NOSCRIPT,
    READONLY,
    RO,
    RW,
    SCRIPT_RUNNER,
    SKIP_MONITOR,
    STALE,
    UPDATE,
    KeySpec,
    command,
    container,
    counted_keys,
)
from protocol.errors import CommandError
from protocol.replies import OK, ONE, ZERO, array_header, bulk

NO_SCRIPT: Final = b"NOSCRIPT No matching script. Please use EVAL."
TOO_MANY_KEYS: Final = b"ERR Number of keys can't be greater than number of args"
NEGATIVE_KEYS: Final = b"ERR Number of keys can't be negative"
FLUSH_OPTIONS: Final = b"ERR SCRIPT FLUSH only support SYNC|ASYNC option"
DEBUG_OPTIONS: Final = b"ERR Use SCRIPT DEBUG YES/SYNC/NO"
NOT_FIRST: Final = b"ERR SCRIPT DEBUG must be called outside a pipeline"
NOT_BY_SHA: Final = b"ERR Please use EVAL instead of EVALSHA for debugging"

_WORST: Final = "We cannot tell how the keys will be used so we assume the worst, %s"
ANY_KEYS: Final = KeySpec((RW, ACCESS, UPDATE), index=2, counted=True, notes=_WORST % "RW and UPDATE")
READ_KEYS: Final = KeySpec((RO, ACCESS), index=2, counted=True, notes=_WORST % "RO and ACCESS")

_FLAGS: Final = NOSCRIPT | SKIP_MONITOR | NO_MANDATORY_KEYS | STALE | SCRIPT_RUNNER
_COMPLEXITY: Final = "Depends on the script that is executed."
_SHA_SIZE: Final = 40
_MANY: Final = 1 << 62
_FEW_KEYS: Final = {b"%d" % keys: keys for keys in range(10)}
"""Most numbers of keys, which are not worth a parser: it and its checks take 0.3 us."""


def _eval_reads_only(session: Client, args: list[bytes]) -> bool:
    return declares_no_writes(args[1])


def _evalsha_reads_only(session: Client, args: list[bytes]) -> bool:
    script = session.broker.scripting.scripts.find(args[1])
    return script is not None and bool((script.flags or 0) & NO_WRITES)


@command("EVAL", arity=-3, flags=_FLAGS | MAY_REPLICATE, keys=(ANY_KEYS,), reads_only=_eval_reads_only,
         group="scripting", since="2.6.0", syntax="script numkeys [key ...] [arg ...]",
         summary="Runs a Lua script.", complexity=_COMPLEXITY)  # fmt: skip
def eval_(session: Client, args: list[bytes]) -> bytes:
    scripting = session.broker.scripting
    if scripting.debugging.modes and session in scripting.debugging.modes:
        return scripting.debug(session, args, partial(_evaluate, session, args, False))
    keys = key_count(args)
    return scripting.evaluate(session, args, scripting.scripts.of_eval(args[1]), keys, False)


@command("EVAL_RO", arity=-3, flags=_FLAGS | READONLY, keys=(READ_KEYS,),
         group="scripting", since="7.0.0", syntax="script numkeys [key ...] [arg ...]",
         summary="Runs a read-only Lua script.", complexity=_COMPLEXITY)  # fmt: skip
def eval_ro(session: Client, args: list[bytes]) -> bytes:
    scripting = session.broker.scripting
    if scripting.debugging.modes and session in scripting.debugging.modes:
        return scripting.debug(session, args, partial(_evaluate, session, args, True))
    return _evaluate(session, args, True)


def _evaluate(session: Client, args: list[bytes], read_only: bool) -> bytes:
    keys = key_count(args)
    scripting = session.broker.scripting
    return scripting.evaluate(session, args, scripting.scripts.of_eval(args[1]), keys, read_only)


@command("EVALSHA", arity=-3, flags=_FLAGS | MAY_REPLICATE, keys=(counted_keys(RW, ACCESS, UPDATE, at=2),),
         reads_only=_evalsha_reads_only, group="scripting", since="2.6.0", syntax="sha1 numkeys [key ...] [arg ...]",
         summary="Runs a Lua script by its SHA-1.", complexity=_COMPLEXITY)  # fmt: skip
def evalsha(session: Client, args: list[bytes]) -> bytes:
    return _evaluate_by_sha(session, args, False)


@command("EVALSHA_RO", arity=-3, flags=_FLAGS | READONLY, keys=(counted_keys(RO, ACCESS, at=2),),
         group="scripting", since="7.0.0", syntax="sha1 numkeys [key ...] [arg ...]",
         summary="Runs a read-only Lua script by its SHA-1.", complexity=_COMPLEXITY)  # fmt: skip
def evalsha_ro(session: Client, args: list[bytes]) -> bytes:
    return _evaluate_by_sha(session, args, True)


def _evaluate_by_sha(session: Client, args: list[bytes], read_only: bool) -> bytes:
    scripting = session.broker.scripting
    if len(args[1]) != _SHA_SIZE:
        raise CommandError(NO_SCRIPT)
    if scripting.debugging.modes and session in scripting.debugging.modes:
        raise CommandError(NOT_BY_SHA)
    keys = _FEW_KEYS.get(args[2], _MANY)
    if keys > len(args) - 3:
        keys = key_count(args)
    script = scripting.scripts.used(args[1])
    if script is None:
        raise CommandError(NO_SCRIPT)
    return scripting.evaluate(session, args, script, keys, read_only)


def key_count(args: list[bytes]) -> int:
    """Returns the number of keys that the caller of a script or function declares; raises CommandError."""
    keys = integer(args[2])
    if keys > len(args) - 3:
        raise CommandError(TOO_MANY_KEYS)
    if keys < 0:
        raise CommandError(NEGATIVE_KEYS)
    return keys


container("SCRIPT", group="scripting", since="2.6.0", summary="A container for commands that manage scripts.")
declare_help(
    "SCRIPT",
    group="scripting",
    since="5.0.0",
    usage={
        "DEBUG": "(YES|SYNC|NO)",
        "EXISTS": "<sha1> [<sha1> ...]",
        "FLUSH": "[ASYNC|SYNC]",
        "LOAD": "<script>",
        "SHOW": "<sha1>",
    },
)


@command("SCRIPT|LOAD", arity=3, flags=NOSCRIPT | STALE, group="scripting", since="2.6.0", syntax="script",
         summary="Compiles and stores a script; returns its SHA-1.", complexity="O(N) for a script of N bytes",
         tips=("request_policy:all_nodes", "response_policy:all_succeeded"))  # fmt: skip
def script_load(session: Client, args: list[bytes]) -> bytes:
    return bulk(session.broker.scripting.scripts.load(args[2]).sha)


@command("SCRIPT|EXISTS", arity=-3, flags=NOSCRIPT, group="scripting", since="2.6.0", syntax="sha1 ...",
         summary="Returns for each SHA-1 whether its script is stored.", complexity="O(N) for N scripts",
         tips=("request_policy:all_shards", "response_policy:agg_logical_and"))  # fmt: skip
def script_exists(session: Client, args: list[bytes]) -> bytes:
    known = session.broker.scripting.scripts.knows
    return array_header(len(args) - 2) + b"".join([ONE if known(sha) else ZERO for sha in args[2:]])


@command("SCRIPT|SHOW", arity=3, flags=NOSCRIPT, group="scripting", since="8.0.0", syntax="sha1",
         summary="Returns the text of a script (a Valkey command).", complexity="O(1)")  # fmt: skip
def script_show(session: Client, args: list[bytes]) -> bytes:
    script = session.broker.scripting.scripts.find(args[2])
    if script is None:
        raise CommandError(NO_SCRIPT)
    return bulk(script.body)


@command("SCRIPT|FLUSH", arity=-2, flags=NOSCRIPT, group="scripting", since="2.6.0",
         syntax="flush-type=[ASYNC|SYNC]@6.2.0",
         summary="Removes all stored scripts.", complexity="O(N) for N scripts",
         tips=("request_policy:all_nodes", "response_policy:all_succeeded"))  # fmt: skip
def script_flush(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 3 or (len(args) == 3 and args[2].upper() not in (b"SYNC", b"ASYNC")):
        raise CommandError(FLUSH_OPTIONS)
    session.broker.scripting.flush_scripts()
    return OK


@command("SCRIPT|KILL", arity=2, flags=NOSCRIPT | ALLOW_BUSY, group="scripting", since="2.6.0",
         summary="Stops the running script if it has not written yet.", complexity="O(1)",
         tips=("request_policy:all_shards", "response_policy:one_succeeded"))  # fmt: skip
def script_kill(session: Client, args: list[bytes]) -> bytes:
    session.broker.scripting.interruption.kill(by_script_kill=True)
    return OK


@command("SCRIPT|DEBUG", arity=3, flags=NOSCRIPT, group="scripting", since="3.2.0", syntax="mode=<YES|SYNC|NO>",
         summary="Sets the debug mode of the client's next scripts.", complexity="O(1)")  # fmt: skip
def script_debug(session: Client, args: list[bytes]) -> bytes:
    unsent_replies, _, _ = session.transport.replies()
    in_transaction = session.queued is not None and not session.flags & REPLY_OFF
    if in_transaction or unsent_replies or any(session.unsent()):
        raise CommandError(NOT_FIRST)
    mode = args[2].upper()
    if mode not in (b"YES", b"SYNC", b"NO"):
        raise CommandError(DEBUG_OPTIONS)
    session.broker.scripting.debugging.set_mode(session, mode)
    return OK
