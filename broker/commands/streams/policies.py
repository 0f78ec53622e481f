"""The policies of consumer groups, in brokers with `stream-extensions`: XGROUP CFGSET and CFGGET."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from broker.broker import Client
from broker.commands.streams.arguments import no_group
from broker.commands.streams.groups import KEY_REQUIRED
from broker.policies.policies import MAX_POLICIES
from broker.policies.policy_hash import field, store
from broker.table.arguments import at_least, integer
from broker.table.command import (
    ACCESS,
    DENYOOM,
    INSERT,
    READONLY,
    RO,
    RW,
    UPDATE,
    WRITE,
    command,
    key,
    keys_behind,
)
from broker.table.parsers import Parser
from broker.values.streams.group_policy import MAX_BACKOFF, MAX_WAIT, OPTIONS, GroupPolicy
from broker.values.streams.stream import Stream
from protocol.errors import CommandError
from protocol.replies import OK, array, bulk
from protocol.replies import integer as integer_reply

BAD_ACKWAIT: Final = b"ERR ACKWAIT must be zero or a positive number of milliseconds, at most %d" % MAX_WAIT
MAXDELIVER_NEGATIVE: Final = b"ERR MAXDELIVER must be zero or a positive integer"
MAXINFLIGHT_NEGATIVE: Final = b"ERR MAXINFLIGHT must be zero or a positive integer"
BACKOFF_COUNT: Final = b"ERR BACKOFF must have between 0 and %d waits" % MAX_BACKOFF
BACKOFF_MISMATCH: Final = b"ERR number of waits doesn't match BACKOFF"
BAD_WAIT: Final = b"ERR the waits of BACKOFF must be positive numbers of milliseconds, at most %d" % MAX_WAIT
SAME_KEY: Final = b"ERR DEADLETTER must be another key"
TOO_MANY: Final = b"ERR there are %d groups and streams with policies already" % MAX_POLICIES


def _waits(argument: bytes, available: int) -> int:
    count = integer(argument)
    if not 0 <= count <= MAX_BACKOFF:
        raise CommandError(BACKOFF_COUNT)
    if count > available:
        raise CommandError(BACKOFF_MISMATCH)
    return count


_Options = tuple[int | None, int | None, bytes | None, list[bytes] | None, int | None, bytes | None]
_OPTIONS: Final = Parser[_Options](
    "XGROUP|CFGSET",
    values={"ACKWAIT": at_least(0, BAD_ACKWAIT, MAX_WAIT), "MAXDELIVER": at_least(0, MAXDELIVER_NEGATIVE),
            "BACKOFF": _waits, "MAXINFLIGHT": at_least(0, MAXINFLIGHT_NEGATIVE)},
)  # fmt: skip


def _find_keys(args: list[bytes]) -> list[int]:
    """Returns the positions of the stream's key and of that of the dead letters, which may be no key at all."""
    found = [2]
    i = 4
    while i < len(args) - 1:
        word = args[i].upper()
        if word == b"DEADLETTER" and args[i + 1]:
            found.append(i + 1)
        i += 2
        if word == b"BACKOFF" and args[i - 1].isdigit() and len(args[i - 1]) < 3:
            i += int(args[i - 1])
    return found


@command("XGROUP|CFGSET", arity=-6, flags=WRITE | DENYOOM,
         keys=(key(RW, UPDATE, at=2), keys_behind(b"DEADLETTER", RW, INSERT, start=4, last=0)), find_keys=_find_keys,
         group="stream", since="8.10.0",
         syntax="key group [ACKWAIT ackwait=milliseconds] [MAXDELIVER count] [DEADLETTER dlq:key#1] "
                "[BACKOFF numwaits milliseconds ...] [MAXINFLIGHT maxinflight=count] [ORDERBY orderby=field]",
         summary="Sets options of a consumer group's policy; 0 or an empty string removes one.",
         complexity="O(N) with N pending entries of the group", extension=True)  # fmt: skip
def xgroup_cfgset(session: Client, args: list[bytes]) -> bytes:
    ack_wait, max_deliver, dead_letter, waits, max_inflight, order_by = _OPTIONS.parse(args, 4)
    backoff = None
    if waits is not None:
        wait: Callable[[bytes], int] = at_least(1, BAD_WAIT, MAX_WAIT)
        backoff = tuple(map(wait, waits))
    if dead_letter == args[2]:
        raise CommandError(SAME_KEY)
    _check_group(session, args)
    broker, db = session.broker, session.db
    before = broker.policies.stored(db, args[2]).get(args[3])
    policy = before or GroupPolicy()
    if ack_wait is not None:
        policy = policy._replace(ack_wait=ack_wait)
    if max_deliver is not None:
        policy = policy._replace(max_deliver=max_deliver)
    if dead_letter is not None:
        policy = policy._replace(dead_letter=dead_letter)
    if backoff is not None:
        policy = policy._replace(backoff=backoff)
    if max_inflight is not None:
        policy = policy._replace(max_inflight=max_inflight)
    if order_by is not None:
        policy = policy._replace(order_by=order_by)
    policy = policy.completed()
    if before is None and broker.policies.count() >= MAX_POLICIES:
        raise CommandError(TOO_MANY)
    texts = {field(args[3], option): text for option, text in policy.texts().items()}
    unset = [absent for option in OPTIONS if (absent := field(args[3], option)) not in texts]
    store(db, args[2], texts, unset)
    broker.policies.read(db, args[2])
    return OK


def _check_group(session: Client, args: list[bytes]) -> None:
    stream = session.db.get_as(args[2], Stream)
    if stream is None:
        raise CommandError(KEY_REQUIRED)
    if args[3] not in stream.groups:
        raise no_group(args[2], args[3])


@command("XGROUP|CFGGET", arity=4, flags=READONLY, keys=(key(RO, ACCESS, at=2),), group="stream", since="8.10.0",
         syntax="key group", summary="Returns the policy of a consumer group.", complexity="O(1)",
         extension=True)  # fmt: skip
def xgroup_cfgget(session: Client, args: list[bytes]) -> bytes:
    _check_group(session, args)
    policy = session.broker.policies.stored(session.db, args[2]).get(args[3], GroupPolicy())
    return session.resp.map([(bulk(name), value) for name, value in described(policy)])


def described(policy: GroupPolicy) -> list[tuple[bytes, bytes]]:
    """Returns the names and encoded values of a policy's options, as clients see them."""
    return [
        (b"ack-wait", integer_reply(policy.ack_wait)),
        (b"max-deliver", integer_reply(policy.max_deliver)),
        (b"dead-letter", bulk(policy.dead_letter)),
        (b"backoff", array([integer_reply(wait) for wait in policy.backoff])),
        (b"max-inflight", integer_reply(policy.max_inflight)),
        (b"order-by", bulk(policy.order_by)),
    ]
