"""What a replica and its master must have in common: everything, times to the millisecond."""

import contextlib
import time
from collections.abc import Iterator, Sequence

from tests.oracle.wire import Connection, Node, encode, parse
from tests.replication.nodes import Node as Server
from tests.replication.nodes import until

__all__ = ["contents", "same_contents", "until_equal"]

Plain = bytes | list["Plain"]

_CONTENT: dict[bytes, tuple[str, ...]] = {
    b"string": ("GET", "{key}"),
    b"list": ("LRANGE", "{key}", "0", "-1"),
    b"hash": ("HGETALL", "{key}"),
    b"set": ("SMEMBERS", "{key}"),
    b"zset": ("ZRANGE", "{key}", "0", "-1", "WITHSCORES"),
    b"none": ("EXISTS", "{key}"),
    b"stream": ("XINFO", "STREAM", "{key}", "FULL", "COUNT", "0"),
}
_LOCAL = frozenset({
    b"radix-tree-keys", b"radix-tree-nodes", b"iids-duplicates-time", b"seen-time", b"active-time", b"idmp-duration",
    b"idmp-maxsize", b"iids-tracked", b"pids-tracked", b"iids-added", b"iids-duplicates", b"nacked-count",
})  # fmt: skip
"""Facts about a stream that a replica finds for itself, or that not all kinds of server report."""

SHORT_DEADLINES = 0.07
"""Seconds after which what was written with a short deadline is due: nothing changes by itself then."""

ATTEMPTS = 5

POPULATED = b"key:"

IDLE_CONSUMERS = b"idle consumers"
"""Redis and Valkey don't tell their replicas of a consumer that a vain XAUTOCLAIM creates."""

_FROM_REDIS_7_0 = frozenset({b"entries-read"})
"""What Redis 7.0 does not tell its replicas at each delivery."""

_ESTIMATED = frozenset({b"lag"})
"""What each server computes in its own way from what is replicated."""


def contents(server: Server, *, fields: bool, ignored: frozenset[bytes]) -> dict[tuple[int, bytes], str]:
    """(database, key) -> type, deadline and value; and the functions, as key b"" of database -1.

    fields: also the deadlines of hash fields. ignored: facts about streams that don't count. DEBUG POPULATE's keys are
    left to the digest: there may be many.
    """
    found: dict[tuple[int, bytes], str] = {}
    with contextlib.closing(server.connect()) as connection:
        found[-1, b""] = repr(sorted(_functions(connection)))
        for database in range(16):
            keys = _texts(_ask(connection, ["SELECT", str(database)], ["KEYS", "*"])[1])
            keys = [key for key in keys if not key.startswith(POPULATED)]
            kinds = _texts(_ask(connection, *(["TYPE", key] for key in keys)))
            deadlines = _ask(connection, *(["PEXPIRETIME", key] for key in keys))
            values = _values(connection, list(zip(keys, kinds, strict=True)), fields=fields, ignored=ignored)
            for key, kind, deadline, value in zip(keys, kinds, deadlines, values, strict=True):
                found[database, key] = f"{kind!r} until {deadline!r}: {value!r}"
    return found


def _functions(connection: Connection) -> list[str]:
    (listed,) = _ask(connection, ["FUNCTION", "LIST", "WITHCODE"])
    return [repr(dict(_pairs(library))[b"library_code"]) for library in listed if isinstance(library, list)]


def _values(
    connection: Connection, keys: Sequence[tuple[bytes, bytes]], *, fields: bool, ignored: frozenset[bytes]
) -> list[Plain]:
    """The values of keys of these types, comparable."""
    asked = [[key if word == "{key}" else word for word in _CONTENT[kind]] for key, kind in keys]
    values = []
    for (key, kind), reply in zip(keys, _ask(connection, *asked), strict=True):
        if kind == b"set":
            values.append([*sorted(_texts(reply))])
        elif kind == b"hash":
            names = _texts(reply)[::2]
            deadlines: Plain = [b"" for _ in names]
            if fields and names:
                (deadlines,) = _ask(connection, ["HPEXPIRETIME", key, "FIELDS", str(len(names)), *names])
            values.append(sorted([*pair, when] for pair, when in zip(_pairs(reply), deadlines, strict=True)))
        elif kind == b"zset":
            # versions write the same score in different ways
            values.append([part for member, score in _pairs(reply) for part in (member, repr(float(score)).encode())])
        elif kind == b"stream":
            (entries,) = _ask(connection, ["XRANGE", key, "-", "+"])
            values.append([_facts(reply, _LOCAL | ignored), entries])
        else:
            values.append(reply)
    return values


def _facts(node: Plain, left_out: frozenset[bytes]) -> Plain:
    """The facts about a stream, its groups and their consumers."""
    kept: list[Plain] = []
    for name, value in _pairs(node):
        if name in (b"groups", b"consumers") and isinstance(value, list):
            each = [_facts(one, left_out) for one in value]
            kept += [name, [one for one in each if not (IDLE_CONSUMERS in left_out and _is_idle(one))]]
        elif name not in left_out and name != b"entries":
            kept += [name, value]
    return kept


def _is_idle(consumer: Plain) -> bool:
    """Whether these are the facts about a consumer with nothing pending."""
    return consumer[::2] == [b"name", b"pel-count", b"pending"] and consumer[3] == b"0"


def _ask(connection: Connection, *commands: Sequence[str | bytes]) -> list[Plain]:
    """Send commands at once and return their replies."""
    connection.send(b"".join(map(encode, commands)))
    return [_plain(parse(connection.receive())) for _ in commands]


def _plain(node: Node) -> Plain:
    return [_plain(item) for item in node.items] if node.kind in "*~%" and node.text == b"" else node.text


def _texts(reply: Plain) -> list[bytes]:
    return [item for item in reply if isinstance(item, bytes)] if isinstance(reply, list) else []


def _pairs(flat: Plain) -> Iterator[tuple[Plain, Plain]]:
    assert isinstance(flat, list), flat
    return zip(flat[::2], flat[1::2], strict=True)


def _touch_all(server: Server) -> None:
    """Look at every key: what is due by now is removed, and its replicas are told."""
    with contextlib.closing(server.connect()) as connection:
        for database in range(16):
            keys = _texts(_ask(connection, ["SELECT", str(database)], ["KEYS", "*"])[1])
            if keys:
                _ask(connection, ["EXISTS", *keys])


def until_equal(master: Server, *replicas: Server) -> None:
    """Wait until the replicas have executed all that the master has written, and until nothing is due any more."""
    _touch_all(master)
    for replica in replicas:
        until(
            lambda replica=replica: master.offset() == replica.offset(),  # type: ignore[misc]
            lambda replica=replica: (  # type: ignore[misc]
                f"the offsets are equal: {master.kind} {master.info()}\n"
                f"{replica.kind} {replica.info()}\n{replica.log()}"
            ),
        )


def same_contents(master: Server, *replicas: Server) -> None:
    """Assert that offsets, digests and all values are equal, once nothing is due any more."""
    for attempt in range(ATTEMPTS):
        time.sleep(SHORT_DEADLINES)
        until_equal(master, *replicas)
        try:
            _compare(master, replicas)
        except AssertionError:
            # a key may have been due between the two looks
            if attempt == ATTEMPTS - 1:
                raise
        else:
            return


def _compare(master: Server, replicas: Sequence[Server]) -> None:
    kinds = {master.kind, *(replica.kind for replica in replicas)}
    fields = "redis-7.0" not in kinds
    ignored = _FROM_REDIS_7_0 if master.kind == "redis-7.0" else frozenset()
    if not kinds <= {"trimaran", "redis-8"}:
        ignored |= _ESTIMATED
    if master.kind != "trimaran":
        ignored |= {IDLE_CONSUMERS}
    expected = contents(master, fields=fields, ignored=ignored)
    for replica in replicas:
        found = contents(replica, fields=fields, ignored=ignored)
        different = [
            f"{key}\n  {master.kind}: {expected.get(key)}\n  {replica.kind}: {found.get(key)}"
            for key in sorted(expected.keys() | found.keys())
            if expected.get(key) != found.get(key)
        ]
        assert not different, f"{len(different)} keys differ\n" + "\n".join(different[:5])
        assert _digests(master, kinds, [*expected]) == _digests(replica, kinds, [*expected])


def _digests(server: Server, kinds: set[str], keys: Sequence[tuple[int, bytes]]) -> list[Plain]:
    """DEBUG DIGEST; or the digest of each value whose formula all servers share."""
    own_formula = set()
    if "redis-7.0" in kinds:
        own_formula.add(b"zset")  # it writes some scores in another way
    if "valkey" in kinds:
        own_formula.add(b"hash")  # because of the deadlines of fields
    with contextlib.closing(server.connect()) as connection:
        if len(kinds) == 1 or not own_formula:
            return _ask(connection, ["DEBUG", "DIGEST"])
        found: list[Plain] = []
        for wanted in range(16):
            here = [key for database, key in keys if database == wanted]
            kinds_here = _ask(connection, ["SELECT", str(wanted)], *(["TYPE", key] for key in here))[1:]
            shared = [key for key, kind in zip(here, kinds_here, strict=True) if kind not in own_formula]
            found += _ask(connection, *(["DEBUG", "DIGEST-VALUE", key] for key in shared))
        return found
