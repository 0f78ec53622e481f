"""Data of one kind in any number: many keys, or one value of many elements."""

from collections.abc import Callable

from servers import Server, encode

CHUNK = 20_000

KEYS: dict[str, Callable[[int], bytes]] = {
    "string key": lambda n: encode("SET", f"key:{n:012}", f"value:{n:012}"),
    "string key with a TTL": lambda n: encode("SET", f"key:{n:012}", f"value:{n:012}", "EX", 100_000),
    "hash key of 5 fields": lambda n: encode("HSET", f"user:{n:012}", *(x for f in range(5) for x in (f"f{f}", n))),
}
ELEMENTS: dict[str, Callable[[int], bytes]] = {
    "list element": lambda n: encode("RPUSH", "list", f"job:{n:012}"),
    "hash field": lambda n: encode("HSET", "hash", f"field:{n:012}", f"value:{n:012}"),
    "set member": lambda n: encode("SADD", "set", f"member:{n:012}"),
    "sorted set member": lambda n: encode("ZADD", "board", n, f"member:{n:012}"),
    "stream entry": lambda n: encode("XADD", "stream", "*", "sensor", n, "value", n),
}
COMMANDS = {**KEYS, **ELEMENTS}
"""Each element's or key's command, by what it adds."""


def fill(server: Server, command: Callable[[int], bytes], count: int) -> None:
    """Send the commands of the numbers below `count`. Raises LoadFailed at an error reply."""
    for at in range(0, count, CHUNK):
        server.fill(b"".join(map(command, range(at, min(count, at + CHUNK)))))
