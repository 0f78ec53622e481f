"""Comparing strings: DELEX, DELIFEQ, DIGEST, LCS."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.keys.keys import delete_keys
from broker.commands.strings.conditions import CONDITIONS, condition_met, digest
from broker.keyspace.database import Database
from broker.keyspace.events import DEL
from broker.keyspace.strings import String, get_string, read_string
from broker.table.command import ACCESS, DELETE, FAST, READONLY, RO, RW, VARIABLE_FLAGS, WRITE, command, key, keys
from broker.table.parsers import Parser
from broker.values.lcs import MAX_LENGTH, Range, lcs_length, lcs_ranges, lcs_string, table_bytes
from protocol.errors import CommandError, wrong_arity
from protocol.replies import ONE, ZERO, array, bulk, integer, integers

_LCS_OPTIONS: Final = Parser[tuple[bool, bool, int, bool]]("LCS", defaults={"MINMATCHLEN": 0})

_NOT_A_STRING: Final = b"ERR Key should be of string type if conditions are specified"
_UNKNOWN_CONDITION: Final = b"ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"
_NOT_STRINGS: Final = b"ERR The specified keys must contain string values"
_LENGTH_OR_INDEXES: Final = b"ERR If you want both the length and indexes, please just use IDX."
_TOO_LONG: Final = b"ERR String too long for LCS"
_TOO_MUCH_MEMORY: Final = b"ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"


@command("DELEX", arity=-2, flags=WRITE | FAST, keys=(key(RW, DELETE, VARIABLE_FLAGS),), group="string",
         since="8.4.0",
         syntax="key [IFEQ ifeq-value|IFNE ifne-value|IFDEQ ifdeq-digest|IFDNE ifdne-digest]",
         summary="Deletes a key if its string meets a condition.",
         complexity="O(1), with a digest O(N) for the length N")  # fmt: skip
def delex(session: Client, args: list[bytes]) -> bytes:
    if len(args) == 2:
        reply = delete_keys(session, args)
        if reply != ZERO:
            session.db.keyspace.effects.replace_with([b"DEL", args[1]])
        return reply
    if len(args) != 4:
        raise CommandError(wrong_arity(b"delex"))
    try:
        value = read_string(session.db, args[1])
    except CommandError:
        raise CommandError(_NOT_A_STRING) from None
    if value is None:
        return ZERO
    condition = args[2].upper()
    if condition not in CONDITIONS:
        raise CommandError(_UNKNOWN_CONDITION)
    if not condition_met(condition, args[3], value):
        return ZERO
    return _delete(session.db, args[1])


@command("DELIFEQ", arity=3, flags=WRITE | FAST, keys=(key(RW, ACCESS, DELETE),), group="string", since="8.4.0",
         syntax="key value", summary="Deletes a key if its string equals the given one (a Valkey command).",
         complexity="O(1)")  # fmt: skip
def delifeq(session: Client, args: list[bytes]) -> bytes:
    value = get_string(session.db, args[1])
    if value is None or value != args[2]:
        return ZERO
    return _delete(session.db, args[1])


def _delete(db: Database, name: bytes) -> bytes:
    db.delete(name)
    db.changed(name, DEL)
    db.keyspace.effects.replace_with([b"DEL", name])
    return ONE


@command("DIGEST", arity=2, flags=READONLY | FAST, keys=(key(RO, ACCESS),), group="string", since="8.4.0",
         syntax="key", summary="Returns the XXH3-64 hash of a string, in hexadecimal.",
         complexity="O(N) for the length N")  # fmt: skip
def digest_(session: Client, args: list[bytes]) -> bytes:
    value = read_string(session.db, args[1])
    return session.resp.null if value is None else bulk(digest(value))


@command("LCS", arity=-3, flags=READONLY, keys=(keys(RO, ACCESS, at=1, last=2),), group="string", since="7.0.0",
         syntax="key1 key2#0 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
         summary="Returns the longest common subsequence of two strings, its length or its positions.",
         complexity="O(N*M) for the lengths N and M")  # fmt: skip
def lcs(session: Client, args: list[bytes]) -> bytes:
    a, b = _compared(session.db, args[1], args[2])
    only_length, indexes, least, with_length = _LCS_OPTIONS.parse(args, 3)
    if only_length and indexes:
        raise CommandError(_LENGTH_OR_INDEXES)
    if len(a) > MAX_LENGTH or len(b) > MAX_LENGTH:
        raise CommandError(_TOO_LONG)
    if table_bytes(a, b) > session.broker.config.proto_max_bulk_len:
        raise CommandError(_TOO_MUCH_MEMORY)
    # Copied only now: a mutable string may be far larger than the limit checked above.
    a, b = bytes(a), bytes(b)
    if indexes:
        ranges, length = lcs_ranges(a, b, max(least, 0))
        matches = array([_match(found, with_length) for found in ranges])
        return session.resp.map(((bulk(b"matches"), matches), (bulk(b"len"), integer(length))))
    if only_length:
        return integer(lcs_length(a, b))
    return bulk(lcs_string(a, b))


def _compared(db: Database, first: bytes, second: bytes) -> tuple[String, String]:
    a, b = db.read(first), db.read(second)
    for value in (a, b):
        if value is not None and value.__class__ is not bytes and value.__class__ is not bytearray:
            raise CommandError(_NOT_STRINGS)
    return a or b"", b or b""


def _match(found: Range, with_length: bool) -> bytes:
    a_start, a_end, b_start, b_end = found
    parts = [integers((a_start, a_end)), integers((b_start, b_end))]
    if with_length:
        parts.append(integer(a_end - a_start + 1))
    return array(parts)
