"""Union, intersection and difference of sorted sets: returned, counted or stored.

Plain sets count as sorted sets whose scores are all 1.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from broker.broker import Client
from broker.commands.sorted_sets.replies import entries_reply
from broker.keyspace.events import DEL, ZSET, Event
from broker.table.arguments import between
from broker.table.arguments import double as double_argument
from broker.table.arguments import integer as integer_argument
from broker.table.command import ACCESS, DENYOOM, OW, READONLY, RO, UPDATE, WRITE, command, counted_keys, key
from broker.table.parsers import Parser
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from protocol.errors import SYNTAX, WRONG_TYPE, CommandError
from protocol.numbers import format_double
from protocol.replies import ZERO, integer

ZUNIONSTORE: Final = Event(ZSET, b"zunionstore")
ZINTERSTORE: Final = Event(ZSET, b"zinterstore")
ZDIFFSTORE: Final = Event(ZSET, b"zdiffstore")

WEIGHT: Final = b"ERR weight value is not a float"
NEGATIVE_LIMIT: Final = b"ERR LIMIT can't be negative"

_INTEGER_MAX = (1 << 63) - 1

_ZADD_WORDS: Final = 1024
"""Scores and members that a propagated ZADD has at most."""

Scores = Mapping[bytes, float]
Aggregate = Callable[[float, float], float]


def _sum(a: float, b: float) -> float:
    total = a + b
    # Infinities of opposite sign cancel out, as in Redis.
    return total if total == total else 0.0


def _smaller(a: float, b: float) -> float:
    return b if b < a else a


def _larger(a: float, b: float) -> float:
    return b if b > a else a


_AGGREGATES: Final[dict[bytes, Aggregate]] = {b"SUM": _sum, b"MIN": _smaller, b"MAX": _larger, b"COUNT": _sum}


def _weight(text: bytes) -> float:
    return double_argument(text, WEIGHT)


_OPTIONS: Final = Parser[tuple[list[float] | None, bytes, bool]](
    "ZUNION", values={"WEIGHTS": _weight}, context=("WEIGHTS",), defaults={"AGGREGATE": b"SUM"}
)
_STORE_OPTIONS: Final = Parser[tuple[list[float] | None, bytes]](
    "ZUNIONSTORE", values={"WEIGHTS": _weight}, context=("WEIGHTS",), defaults={"AGGREGATE": b"SUM"}
)
_CARD_OPTIONS: Final = Parser[tuple[int]](
    "ZINTERCARD", values={"LIMIT": between(0, _INTEGER_MAX, NEGATIVE_LIMIT)}, defaults={"LIMIT": 0}
)
_DIFF_OPTIONS: Final = Parser[tuple[bool]]("ZDIFF")


class _Source(NamedTuple):
    """One input: its members and scores (all 1 for a plain set), and the weight."""

    scores: Scores
    weight: float


def _inputs(session: Client, args: list[bytes], at: int) -> tuple[list[Scores], int]:
    """Returns the inputs, whose number is argument `at`, and the index where the options begin."""
    count = integer_argument(args[at])
    if count < 1:
        name = args[0].lower()
        raise CommandError(b"ERR at least 1 input key is needed for '%b' command" % name)
    options_at = at + 1 + count
    if options_at > len(args):
        raise CommandError(SYNTAX)
    return [_scores(session, name) for name in args[at + 1 : options_at]], options_at


class _Operation:
    """The inputs, with WEIGHTS and AGGREGATE applied."""

    __slots__ = ("aggregate", "counts", "sources")

    def __init__(self, inputs: list[Scores], weights: list[float] | None = None, aggregate: bytes = b"SUM") -> None:
        self.aggregate = _AGGREGATES[aggregate]
        self.counts = aggregate == b"COUNT"
        self.sources = list(map(_Source, inputs, weights or [1.0] * len(inputs)))

    def by_size(self) -> list[_Source]:
        """Returns the inputs, smallest first. The order decides how sums are rounded."""
        return sorted(self.sources, key=lambda source: len(source.scores))

    def weighted(self, score: float, weight: float) -> float:
        """Returns a score's contribution, NaN for 0 times infinity."""
        return weight if self.counts else weight * score


def _scores(session: Client, name: bytes) -> Scores:
    value = session.db.read(name)
    if value is None:
        return {}
    if value.__class__ is SortedSet:
        scores: Scores = value.scores
        return scores
    if value.__class__ is Set:
        return dict.fromkeys(value, 1.0)
    raise CommandError(WRONG_TYPE)


def _or_zero(score: float) -> float:
    return score if score == score else 0.0


def _union(operation: _Operation) -> dict[bytes, float]:
    result: dict[bytes, float] = {}
    weighted = operation.weighted
    for scores, weight in operation.by_size():
        for member, score in scores.items():
            value = _or_zero(weighted(score, weight))
            old = result.get(member)
            result[member] = value if old is None else operation.aggregate(old, value)
    return result


def _intersection(operation: _Operation) -> dict[bytes, float]:
    first, *others = operation.by_size()
    weighted = operation.weighted
    result: dict[bytes, float] = {}
    for member, score in first.scores.items():
        total = _or_zero(weighted(score, first.weight))
        for scores, weight in others:
            found = scores.get(member)
            if found is None:
                break
            total = operation.aggregate(total, weighted(found, weight))
        else:
            result[member] = total
    return result


def _difference(operation: _Operation) -> dict[bytes, float]:
    first, *others = operation.sources
    result = dict(first.scores)
    for scores, _ in others:
        if len(scores) < len(result):
            for member in scores:
                result.pop(member, None)
        else:
            result = {member: score for member, score in result.items() if member not in scores}
    return result


def _give(session: Client, result: dict[bytes, float], with_scores: bool) -> bytes:
    return entries_reply(session, list(SortedSet(result)), with_scores)


def _weighed(session: Client, args: list[bytes]) -> _Operation:
    """Parses the inputs of ZUNIONSTORE and ZINTERSTORE, with their weights."""
    inputs, options_at = _inputs(session, args, 2)
    return _Operation(inputs, *_STORE_OPTIONS.parse(args, options_at, len(inputs)))


def _store(
    session: Client, target: bytes, result: dict[bytes, float], event: Event, propagate_result: bool = False
) -> bytes:
    """Store a result. With `propagate_result`, that is propagated, because Redis knows the operation only since 8.8."""
    db = session.db
    effects = db.keyspace.effects
    if result:
        # Adding 0 turns -0 into 0, as SortedSet.insert does.
        db.set(target, SortedSet({member: score + 0.0 for member, score in result.items()}))
        db.changed(target, event)
        if propagate_result and effects.sinks:
            pairs = [word for member, score in result.items() for word in (format_double(score + 0.0), member)]
            effects.replace_with(
                [b"DEL", target],
                *([b"ZADD", target, *pairs[at : at + _ZADD_WORDS]] for at in range(0, len(pairs), _ZADD_WORDS)),
            )
        return integer(len(result))
    if db.delete(target):
        db.changed(target, DEL)
        if propagate_result:
            effects.replace_with([b"DEL", target])
    return ZERO


@command("ZUNION", arity=-3, flags=READONLY, keys=(counted_keys(RO, ACCESS),), group="sorted_set", since="6.2.0",
         syntax="numkeys key ... [WEIGHTS weight ...] [AGGREGATE <SUM|MIN|MAX|COUNT@8.8.0>] [WITHSCORES]",
         summary="Returns the union of sorted sets.",
         complexity="O(N)+O(M*log(M)) where N is the size of all sorted sets together and M the size of the result",
         )  # fmt: skip
def zunion(session: Client, args: list[bytes]) -> bytes:
    inputs, options_at = _inputs(session, args, 1)
    weights, aggregate, with_scores = _OPTIONS.parse(args, options_at, len(inputs))
    return _give(session, _union(_Operation(inputs, weights, aggregate)), with_scores)


@command("ZUNIONSTORE", arity=-4, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE), counted_keys(RO, ACCESS, at=2)),
         group="sorted_set", since="2.0.0",
         syntax="destination numkeys key ... [WEIGHTS weight ...] [AGGREGATE <SUM|MIN|MAX|COUNT@8.8.0>]",
         summary="Stores the union of sorted sets.",
         complexity="O(N)+O(M*log(M)) where N is the size of all sorted sets together and M the size of the result",
         )  # fmt: skip
def zunionstore(session: Client, args: list[bytes]) -> bytes:
    operation = _weighed(session, args)
    return _store(session, args[1], _union(operation), ZUNIONSTORE, operation.counts)


@command("ZINTER", arity=-3, flags=READONLY, keys=(counted_keys(RO, ACCESS),), group="sorted_set", since="6.2.0",
         syntax="numkeys key ... [WEIGHTS weight ...] [AGGREGATE <SUM|MIN|MAX|COUNT@8.8.0>] [WITHSCORES]",
         summary="Returns the intersection of sorted sets.",
         complexity="O(N*K)+O(M*log(M)) where N is the size of the smallest sorted set, K the number of sorted"
                    " sets and M the size of the result")  # fmt: skip
def zinter(session: Client, args: list[bytes]) -> bytes:
    inputs, options_at = _inputs(session, args, 1)
    weights, aggregate, with_scores = _OPTIONS.parse(args, options_at, len(inputs))
    return _give(session, _intersection(_Operation(inputs, weights, aggregate)), with_scores)


@command("ZINTERSTORE", arity=-4, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE), counted_keys(RO, ACCESS, at=2)),
         group="sorted_set", since="2.0.0",
         syntax="destination numkeys key ... [WEIGHTS weight ...] [AGGREGATE <SUM|MIN|MAX|COUNT@8.8.0>]",
         summary="Stores the intersection of sorted sets.",
         complexity="O(N*K)+O(M*log(M)) where N is the size of the smallest sorted set, K the number of sorted"
                    " sets and M the size of the result")  # fmt: skip
def zinterstore(session: Client, args: list[bytes]) -> bytes:
    operation = _weighed(session, args)
    return _store(session, args[1], _intersection(operation), ZINTERSTORE, operation.counts)


@command("ZINTERCARD", arity=-3, flags=READONLY, keys=(counted_keys(RO, ACCESS),), group="sorted_set",
         since="7.0.0",
         syntax="numkeys key ... [LIMIT limit]",
         summary="Returns the number of members in the intersection of sorted sets.",
         complexity="O(N*K) where N is the size of the smallest sorted set and K the number of sorted sets",
         )  # fmt: skip
def zintercard(session: Client, args: list[bytes]) -> bytes:
    inputs, options_at = _inputs(session, args, 1)
    [limit] = _CARD_OPTIONS.parse(args, options_at)
    count = len(_intersection(_Operation(inputs)))
    return integer(min(count, limit) if limit else count)


@command("ZDIFF", arity=-3, flags=READONLY, keys=(counted_keys(RO, ACCESS),), group="sorted_set", since="6.2.0",
         syntax="numkeys key ... [WITHSCORES]",
         summary="Returns the difference between the first sorted set and all others.",
         complexity="O(L+K*log(K)) where L is the size of all sorted sets together and K the size of the result",
         )  # fmt: skip
def zdiff(session: Client, args: list[bytes]) -> bytes:
    inputs, options_at = _inputs(session, args, 1)
    [with_scores] = _DIFF_OPTIONS.parse(args, options_at)
    return _give(session, _difference(_Operation(inputs)), with_scores)


@command("ZDIFFSTORE", arity=-4, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE), counted_keys(RO, ACCESS, at=2)),
         group="sorted_set", since="6.2.0",
         syntax="destination numkeys key ...",
         summary="Stores the difference between the first sorted set and all others.",
         complexity="O(L+K*log(K)) where L is the size of all sorted sets together and K the size of the result",
         )  # fmt: skip
def zdiffstore(session: Client, args: list[bytes]) -> bytes:
    inputs, options_at = _inputs(session, args, 2)
    if options_at < len(args):
        raise CommandError(SYNTAX)
    return _store(session, args[1], _difference(_Operation(inputs)), ZDIFFSTORE)
