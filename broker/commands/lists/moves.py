"""Moving elements between lists, without or with waiting: LMOVE, RPOPLPUSH, LMOVEM, BLMOVE, BRPOPLPUSH, BLMOVEM.

As in Redis, the push precedes the pop in keyspace events, except for LMOVEM with one list as both source and
destination. If a client had to wait, the command propagates in its non-blocking form.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from broker.broker import Client
from broker.commands.lists.ends import LPOPPED, LPUSHED, RPOPPED, RPUSHED, delete_if_empty
from broker.commands.lists.pops import COUNT, is_left, timeout_of
from broker.keyspace.database import Database
from broker.table.arguments import integer_between
from broker.table.command import ACCESS, BLOCKING, DELETE, DENYOOM, INSERT, RW, WRITE, Handler, command, key
from broker.values.list import List
from protocol.errors import SYNTAX, CommandError
from protocol.numbers import INTEGER_MAX
from protocol.replies import bulk, bulks

_KEYS: Final = (key(RW, ACCESS, DELETE), key(RW, INSERT, at=2))


# One element


@command("LMOVE", arity=5, flags=WRITE | DENYOOM, keys=_KEYS, group="list", since="6.2.0",
         syntax="source destination wherefrom=<LEFT|RIGHT> whereto=<LEFT|RIGHT>",
         summary="Moves an element from one end of a list to one end of another.",
         complexity="O(1)")  # fmt: skip
def lmove(session: Client, args: list[bytes]) -> bytes:
    from_left = is_left(args[3])
    return _move(session.db, args, from_left, is_left(args[4])) or session.resp.null


@command("RPOPLPUSH", arity=3, flags=WRITE | DENYOOM, keys=_KEYS, group="list", since="1.2.0",
         syntax="source destination",
         summary="Moves the last element of a list to the beginning of another.", complexity="O(1)",
         deprecated_since="6.2.0", replaced_by="`LMOVE` with the `RIGHT` and `LEFT` arguments")  # fmt: skip
def rpoplpush(session: Client, args: list[bytes]) -> bytes:
    return _move(session.db, args, False, True) or session.resp.null


@command("BLMOVE", arity=6, flags=WRITE | DENYOOM | BLOCKING, keys=_KEYS, group="list", since="6.2.0",
         syntax="source destination wherefrom=<LEFT|RIGHT> whereto=<LEFT|RIGHT> timeout",
         summary="Moves an element from one end of a list to one end of another; waits if there is none.",
         complexity="O(1)")  # fmt: skip
def blmove(session: Client, args: list[bytes]) -> bytes:
    from_left = is_left(args[3])
    to_left = is_left(args[4])
    timeout_ms = timeout_of(session, args[5])
    moved = _move(session.db, args, from_left, to_left)
    if moved:
        session.db.keyspace.effects.replace_with([b"LMOVE", *args[1:5]])
        return moved
    return _wait_for_one(session, blmove, args, timeout_ms)


@command("BRPOPLPUSH", arity=4, flags=WRITE | DENYOOM | BLOCKING, keys=_KEYS, group="list", since="2.2.0",
         syntax="source destination timeout",
         summary="Moves the last element of a list to the beginning of another; waits if there is none.",
         complexity="O(1)", deprecated_since="6.2.0",
         replaced_by="`BLMOVE` with the `RIGHT` and `LEFT` arguments")  # fmt: skip
def brpoplpush(session: Client, args: list[bytes]) -> bytes:
    timeout_ms = timeout_of(session, args[3])
    moved = _move(session.db, args, False, True)
    if moved:
        session.db.keyspace.effects.replace_with([b"RPOPLPUSH", args[1], args[2]])
        return moved
    return _wait_for_one(session, brpoplpush, args, timeout_ms)


def _move(db: Database, args: list[bytes], from_left: bool, to_left: bool) -> bytes:
    """Moves one element from the list at `args[1]` to that at `args[2]`; returns the reply, b"" if there was none."""
    source = db.get_as(args[1], List)
    if source is None:
        return b""
    target = _target(db, args[2])
    element = source.popleft() if from_left else source.pop()
    if to_left:
        target.appendleft(element)
    else:
        target.append(element)
    db.changed(args[2], LPUSHED if to_left else RPUSHED, 0)
    db.changed(args[1], LPOPPED if from_left else RPOPPED)
    delete_if_empty(db, args[1], source)
    return bulk(element)


def _target(db: Database, name: bytes) -> List:
    """Returns the list at a key, created if it does not exist; raises WRONGTYPE."""
    target = db.get_as(name, List)
    if target is None:
        target = List()
        db.add(name, target)
    return target


def _wait_for_one(session: Client, handler: Handler, args: list[bytes], timeout_ms: int) -> bytes:
    # Redis returns a null where it may not wait, but a null array at the timeout.
    if session.deny_blocking:
        return session.resp.null
    return session.broker.blocking.wait(
        session,
        handler,
        args,
        keys=args[1:2],
        value_type=List,
        timeout_ms=timeout_ms,
        timeout_reply=session.resp.null_array,
    )


# Several elements


class _Amount(NamedTuple):
    """How many elements LMOVEM moves (`least` to `most`), and whether one by one or as a block."""

    least: int = 1
    most: int = 1
    one_by_one: bool = False


@command("LMOVEM", arity=-5, flags=WRITE | DENYOOM, keys=_KEYS, group="list", since="8.10.0",
         syntax="source destination wherefrom=<LEFT|RIGHT> whereto=<LEFT|RIGHT> "
                "how-many=[selector=<COUNT count|EXACTLY exactly> ordering=<OBO|BULK>]",
         summary="Moves several elements from one end of a list to one end of another.",
         complexity="O(N) where N is the number of elements moved")  # fmt: skip
def lmovem(session: Client, args: list[bytes]) -> bytes:
    from_left = is_left(args[3])
    to_left = is_left(args[4])
    elements = _move_several(session.db, args, from_left, to_left, _parse_amount(args, 5))
    return bulks(elements) if elements else session.resp.null_array


@command("BLMOVEM", arity=-6, flags=WRITE | DENYOOM | BLOCKING, keys=_KEYS, group="list", since="8.10.0",
         syntax="source destination wherefrom=<LEFT|RIGHT> whereto=<LEFT|RIGHT> timeout "
                "how-many=[selector=<COUNT count|EXACTLY exactly> ordering=<OBO|BULK>]",
         summary="Moves several elements from one end of a list to one end of another; waits until there are enough.",
         complexity="O(N) where N is the number of elements moved")  # fmt: skip
def blmovem(session: Client, args: list[bytes]) -> bytes:
    from_left = is_left(args[3])
    to_left = is_left(args[4])
    timeout_ms = timeout_of(session, args[5])
    amount = _parse_amount(args, 6)
    elements = _move_several(session.db, args, from_left, to_left, amount)
    if elements:
        return bulks(elements)
    return session.broker.blocking.wait(
        session,
        blmovem,
        args,
        keys=args[1:2],
        value_type=List,
        timeout_ms=timeout_ms,
        timeout_reply=session.resp.null_array,
    )


def _parse_amount(args: list[bytes], start: int) -> _Amount:
    if len(args) == start:
        return _Amount()
    if len(args) != start + 3:
        raise CommandError(SYNTAX)
    selector = args[start].upper()
    if selector not in (b"COUNT", b"EXACTLY"):
        raise CommandError(SYNTAX)
    count = integer_between(args[start + 1], 1, INTEGER_MAX, COUNT)
    order = args[start + 2].upper()
    if order not in (b"OBO", b"BULK"):
        raise CommandError(SYNTAX)
    return _Amount(count if selector == b"EXACTLY" else 1, count, order == b"OBO")


def _move_several(db: Database, args: list[bytes], from_left: bool, to_left: bool, amount: _Amount) -> list[bytes]:
    """Moves elements from the list at `args[1]` to that at `args[2]`.

    Returns them in the destination's order from left to right, or an empty list if there are too few.
    """
    source = db.get_as(args[1], List)
    if source is None or len(source) < amount.least:
        return []
    target = _target(db, args[2])
    elements = source.pop_left(amount.most) if from_left else source.pop_right(amount.most)
    if to_left if amount.one_by_one else not from_left:
        elements.reverse()
    if to_left:
        target.extendleft(reversed(elements))
    else:
        target.extend(elements)
    pushed = LPUSHED if to_left else RPUSHED
    popped = LPOPPED if from_left else RPOPPED
    if source is target:
        db.changed(args[1], popped, len(elements))
        db.notify(pushed, args[1])
    else:
        db.changed(args[2], pushed, 0)
        db.changed(args[1], popped, len(elements))
        delete_if_empty(db, args[1], source)
    effects = db.keyspace.effects
    if effects.sinks:
        effects.replace_with(*_in_old_words(args, from_left, to_left, amount.one_by_one, elements))
    return elements


def _in_old_words(
    args: list[bytes], from_left: bool, to_left: bool, one_by_one: bool, elements: list[bytes]
) -> list[list[bytes]]:
    """Returns what moving several elements did, in commands that servers older than Redis 8.10 know.

    A block that leaves and arrives at the same side keeps its order, which LMOVE would reverse; within one list it
    stays where it is. Elements moved one by one within one side of a list change places, and its deadline stays.
    """
    count = len(elements)
    if args[1] == args[2] and from_left is to_left:
        if not one_by_one:
            return []
        first = 0 if to_left else -count
        return [[b"LSET", args[1], b"%d" % (first + i), element] for i, element in enumerate(elements)]
    if from_left is not to_left or one_by_one:
        return [[b"LMOVE", *args[1:5]]] * count
    if from_left:
        return [[b"LPOP", args[1], b"%d" % count], [b"LPUSH", args[2], *reversed(elements)]]
    return [[b"RPOP", args[1], b"%d" % count], [b"RPUSH", args[2], *elements]]
