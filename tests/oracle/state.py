"""A server's whole keyspace in comparable form, for the end of a generated script.

Values whose order is not part of the data (sets, hashes) are sorted; a time is reduced to whether it is set, since the
two servers are not in step to the millisecond. Keys about to expire within the run would make a test depend on timing:
give them deadlines far off or long past.
"""

from collections.abc import Iterable, Sequence

from tests.oracle.wire import Connection, Node, encode, parse

__all__ = ["differences", "keyspace_of"]

DATABASES = 16
Plain = bytes | list["Plain"]

_CONTENT: dict[bytes, tuple[str | bytes, ...]] = {
    b"string": ("GET", b""),
    b"list": ("LRANGE", b"", "0", "-1"),
    b"hash": ("HGETALL", b""),
    b"set": ("SMEMBERS", b""),
    b"zset": ("ZRANGE", b"", "0", "-1", "WITHSCORES"),
    b"stream": ("XINFO", "STREAM", b"", "FULL", "COUNT", "0"),
}
_UNSTABLE = frozenset({b"radix-tree-keys", b"radix-tree-nodes", b"iids-duplicates-time"})
_TIMES = frozenset({b"seen-time", b"active-time"})


def _call(connection: Connection, commands: Sequence[Sequence[str | bytes]]) -> list[Plain]:
    connection.send(b"".join(map(encode, commands)))
    return [_plain(parse(connection.receive())) for _ in commands]


def _plain(node: Node) -> Plain:
    return [_plain(item) for item in node.items] if node.kind in "*~%" and node.text == b"" else node.text


def _texts(reply: Plain) -> list[bytes]:
    return [item for item in reply if isinstance(item, bytes)] if isinstance(reply, list) else []


def keyspace_of(connection: Connection, version: tuple[int, ...]) -> dict[tuple[int, bytes], str]:
    """Every key of every database as (db, key) -> a text with its type, whether it expires, and its content.

    version is the reference's: below 7.4 hash fields can't have deadlines, and are not queried for them.
    """
    found: dict[tuple[int, bytes], str] = {}
    databases = _call(connection, [c for n in range(DATABASES) for c in (["SELECT", str(n)], ["KEYS", "*"])])[1::2]
    for number, keys in enumerate(map(_texts, databases)):
        if not keys:
            continue
        _call(connection, [["SELECT", str(number)]])
        facts = _call(connection, [c for key in keys for c in (("TYPE", key), ("PTTL", key))])
        for key, kind, ttl in zip(keys, facts[::2], facts[1::2], strict=True):
            assert isinstance(kind, bytes) and isinstance(ttl, bytes)
            content = _content(connection, key, kind, version)
            found[number, key] = f"{kind.decode()}{' expiring' if not ttl.startswith(b'-') else ''} {content!r}"
    _call(connection, [["SELECT", "0"]])
    return found


def _content(connection: Connection, key: bytes, kind: bytes, version: tuple[int, ...]) -> Plain:
    command = [part or key for part in _CONTENT[kind]]
    reply = _call(connection, [command])[0]
    if kind == b"set":
        return [*sorted(_texts(reply))]
    if kind == b"hash":
        return _hash(connection, key, _texts(reply), version)
    if kind == b"stream":
        entries = _call(connection, [["XRANGE", key, "-", "+"]])[0]
        return [_stream(reply), entries]
    return reply


def _hash(connection: Connection, key: bytes, flat: list[bytes], version: tuple[int, ...]) -> Plain:
    names = flat[::2]
    deadlines: list[bytes] = [b"-1"] * len(names)
    if version >= (7, 4) and names:
        reply = _call(connection, [["HPTTL", key, "FIELDS", str(len(names)), *names]])[0]
        deadlines = _texts(reply)
        if len(deadlines) != len(names):
            return [b"HPTTL answered", reply]
    expiring = [b"" if deadline.startswith(b"-") else b"expiring" for deadline in deadlines]
    return [list(fact) for fact in sorted(zip(names, flat[1::2], expiring, strict=True))]


def _stream(reply: Plain) -> Plain:
    """XINFO STREAM FULL without fields that differ between two runs; the entries come from XRANGE instead."""
    if not isinstance(reply, list):
        return reply
    kept: list[Plain] = []
    for name, value in _pairs(reply):
        if name == b"groups" and isinstance(value, list):
            kept += [name, [_group(group) for group in value]]
        elif name not in _UNSTABLE and name != b"entries":
            kept += [name, value]
    return kept


def _group(group: Plain) -> Plain:
    kept: list[Plain] = []
    for name, value in _pairs(group):
        if name in (b"pel", b"pending") and isinstance(value, list):
            kept += [name, [_pending(entry) for entry in value]]
        elif name == b"consumers" and isinstance(value, list):
            kept += [name, [_group(consumer) for consumer in value]]
        elif name in _TIMES and isinstance(value, bytes):
            kept += [name, _sign(value)]
        else:
            kept += [name, value]
    return kept


def _pending(entry: Plain) -> Plain:
    """A pending entry, [id, consumer, time, count] or [id, time, count], its time reduced to its sign."""
    if not isinstance(entry, list):
        return entry
    time = entry[-2]
    return [*entry[:-2], _sign(time) if isinstance(time, bytes) else time, entry[-1]]


def _sign(time: bytes) -> bytes:
    return time if time in (b"0", b"-1") else b"set"


def _pairs(flat: Plain) -> Iterable[tuple[Plain, Plain]]:
    return zip(flat[::2], flat[1::2], strict=True) if isinstance(flat, list) else ()


def differences(theirs: dict[tuple[int, bytes], str], ours: dict[tuple[int, bytes], str]) -> list[str]:
    """Return a text for each key that is not the same in both."""
    return [
        f"key {key!r} of database {db}\n  theirs: {theirs.get((db, key))}\n  ours:   {ours.get((db, key))}"
        for db, key in sorted(theirs.keys() | ours.keys())
        if theirs.get((db, key)) != ours.get((db, key))
    ]
