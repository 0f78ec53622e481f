"""Union, intersection and difference of sorted sets: given, counted, or stored.

Plain sets take part as sorted sets whose scores are 1.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from broker.broker import Client
from broker.commands.sorted_sets.replies import entries_reply
from broker.keyspace.events import DEL, ZSET, Event
from broker.table.arguments import double as double_argument
from broker.table.arguments import integer as integer_argument
from broker.table.arguments import integer_between
from broker.table.command import ACCESS, DENYOOM, OW, READONLY, RO, UPDATE, WRITE, command, counted_keys, key
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from protocol.errors import SYNTAX, WRONG_TYPE, CommandError
from protocol.replies import ZERO, integer

ZUNIONSTORE: Final = Event(ZSET, b"zunionstore")
ZINTERSTORE: Final = Event(ZSET, b"zinterstore")
ZDIFFSTORE: Final = Event(ZSET, b"zdiffstore")

WEIGHT: Final = b"ERR weight value is not a float"
NEGATIVE_LIMIT: Final = b"ERR LIMIT can't be negative"

_INTEGER_MAX = (1 << 63) - 1

Scores = Mapping[bytes, float]
Aggregate = Callable[[float, float], float]


def _sum(a: float, b: float) -> float:
    total = a + b
    # The infinities of both signs cancel out, as in Redis.
    return total if total == total else 0.0


def _smaller(a: float, b: float) -> float:
    return b if b < a else a


def _larger(a: float, b: float) -> float:
    return b if b > a else a


_AGGREGATES: Final[dict[bytes, Aggregate]] = {b"SUM": _sum, b"MIN": _smaller, b"MAX": _larger, b"COUNT": _sum}


class _Source(NamedTuple):
    """One input: its members and scores (all 1 for a plain set), and the weight."""

    scores: Scores
    weight: float


class _Operation:
    """The arguments of a command of this family from the number of keys on, and the inputs they name."""

    __slots__ = ("aggregate", "counts", "limit", "sources", "with_scores")

    def __init__(
        self, session: "Client", args: list[bytes], at: int, *, diff: bool = False, card: bool = False
    ) -> None:
        stores = at == 2
        count = integer_argument(args[at])
        if count < 1:
            name = args[0].lower()
            raise CommandError(b"ERR at least 1 input key is needed for '%b' command" % name)
        option_at = at + 1 + count
        if option_at > len(args):
            raise CommandError(SYNTAX)
        inputs = [_scores(session, name) for name in args[at + 1 : option_at]]
        weights = [1.0] * count
        aggregate = b"SUM"
        self.with_scores = False
        self.limit = 0
        end = len(args)
        while option_at < end:
            option = args[option_at].upper()
            option_at += 1
            left = end - option_at
            if option == b"WEIGHTS" and left >= count and not diff and not card:
                weights = [double_argument(text, WEIGHT) for text in args[option_at : option_at + count]]
                option_at += count
            elif option == b"AGGREGATE" and left and not diff and not card:
                aggregate = args[option_at].upper()
                option_at += 1
                if aggregate not in _AGGREGATES:
                    raise CommandError(SYNTAX)
            elif option == b"WITHSCORES" and not stores and not card:
                self.with_scores = True
            elif option == b"LIMIT" and left and card:
                self.limit = integer_between(args[option_at], 0, _INTEGER_MAX, NEGATIVE_LIMIT)
                option_at += 1
            else:
                raise CommandError(SYNTAX)
        self.aggregate = _AGGREGATES[aggregate]
        self.counts = aggregate == b"COUNT"
        self.sources = [_Source(scores, weight) for scores, weight in zip(inputs, weights, strict=True)]

    def by_size(self) -> list[_Source]:
        """The inputs, smallest first. The order decides how sums are rounded."""
        return sorted(self.sources, key=lambda source: len(source.scores))

    def weighted(self, score: float, weight: float) -> float:
        """A score's contribution; NaN where 0 and infinity meet."""
        return weight if self.counts else weight * score


def _scores(session: "Client", name: bytes) -> Scores:
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


def _give(session: "Client", operation: _Operation, result: dict[bytes, float]) -> bytes:
    return entries_reply(session, list(SortedSet(result)), operation.with_scores)


def _store(session: "Client", target: bytes, result: dict[bytes, float], event: Event) -> bytes:
    db = session.db
    if result:
        # Adding 0 makes 0 of -0, as SortedSet.insert does.
        db.set(target, SortedSet({member: score + 0.0 for member, score in result.items()}))
        db.changed(target, event)
        return integer(len(result))
    if db.delete(target):
        db.changed(target, DEL)
    return ZERO


@command("ZUNION", arity=-3, flags=READONLY, keys=(counted_keys(RO, ACCESS),), group="sorted_set", since="6.2.0",
         syntax="numkeys key ... [WEIGHTS weight ...] [AGGREGATE <SUM|MIN|MAX|COUNT@8.8.0>] [WITHSCORES]",
         summary="Gives the members that any of the sorted sets has.",
         complexity="O(N)+O(M*log(M)) where N is the size of all sorted sets together and M that of the result",
         )  # fmt: skip
def zunion(session: "Client", args: list[bytes]) -> bytes:
    operation = _Operation(session, args, 1)
    return _give(session, operation, _union(operation))


@command("ZUNIONSTORE", arity=-4, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE), counted_keys(RO, ACCESS, at=2)),
         group="sorted_set", since="2.0.0",
         syntax="destination numkeys key ... [WEIGHTS weight ...] [AGGREGATE <SUM|MIN|MAX|COUNT@8.8.0>]",
         summary="Stores the members that any of the sorted sets has.",
         complexity="O(N)+O(M*log(M)) where N is the size of all sorted sets together and M that of the result",
         )  # fmt: skip
def zunionstore(session: "Client", args: list[bytes]) -> bytes:
    return _store(session, args[1], _union(_Operation(session, args, 2)), ZUNIONSTORE)


@command("ZINTER", arity=-3, flags=READONLY, keys=(counted_keys(RO, ACCESS),), group="sorted_set", since="6.2.0",
         syntax="numkeys key ... [WEIGHTS weight ...] [AGGREGATE <SUM|MIN|MAX|COUNT@8.8.0>] [WITHSCORES]",
         summary="Gives the members that all of the sorted sets have.",
         complexity="O(N*K)+O(M*log(M)) where N is the size of the smallest sorted set, K the number of sorted"
                    " sets and M the size of the result")  # fmt: skip
def zinter(session: "Client", args: list[bytes]) -> bytes:
    operation = _Operation(session, args, 1)
    return _give(session, operation, _intersection(operation))


@command("ZINTERSTORE", arity=-4, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE), counted_keys(RO, ACCESS, at=2)),
         group="sorted_set", since="2.0.0",
         syntax="destination numkeys key ... [WEIGHTS weight ...] [AGGREGATE <SUM|MIN|MAX|COUNT@8.8.0>]",
         summary="Stores the members that all of the sorted sets have.",
         complexity="O(N*K)+O(M*log(M)) where N is the size of the smallest sorted set, K the number of sorted"
                    " sets and M the size of the result")  # fmt: skip
def zinterstore(session: "Client", args: list[bytes]) -> bytes:
    return _store(session, args[1], _intersection(_Operation(session, args, 2)), ZINTERSTORE)


@command("ZINTERCARD", arity=-3, flags=READONLY, keys=(counted_keys(RO, ACCESS),), group="sorted_set",
         since="7.0.0",
         syntax="numkeys key ... [LIMIT limit]",
         summary="Counts the members that all of the sorted sets have.",
         complexity="O(N*K) where N is the size of the smallest sorted set and K the number of sorted sets",
         )  # fmt: skip
def zintercard(session: "Client", args: list[bytes]) -> bytes:
    operation = _Operation(session, args, 1, card=True)
    count = len(_intersection(operation))
    return integer(min(count, operation.limit) if operation.limit else count)


@command("ZDIFF", arity=-3, flags=READONLY, keys=(counted_keys(RO, ACCESS),), group="sorted_set", since="6.2.0",
         syntax="numkeys key ... [WITHSCORES]",
         summary="Gives the members of the first sorted set that no other one has.",
         complexity="O(L+K*log(K)) where L is the size of all sorted sets together and K that of the result",
         )  # fmt: skip
def zdiff(session: "Client", args: list[bytes]) -> bytes:
    operation = _Operation(session, args, 1, diff=True)
    return _give(session, operation, _difference(operation))


@command("ZDIFFSTORE", arity=-4, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE), counted_keys(RO, ACCESS, at=2)),
         group="sorted_set", since="6.2.0",
         syntax="destination numkeys key ...",
         summary="Stores the members of the first sorted set that no other one has.",
         complexity="O(L+K*log(K)) where L is the size of all sorted sets together and K that of the result",
         )  # fmt: skip
def zdiffstore(session: "Client", args: list[bytes]) -> bytes:
    return _store(session, args[1], _difference(_Operation(session, args, 2, diff=True)), ZDIFFSTORE)
