"""Idempotent producing: the entries that producers' idempotency IDs (iids) belong to.

A producer that repeats an XADD after a lost reply gets the ID of the entry that its first attempt added. Iids are kept
per producer in their order of arrival, at most `maxsize`, and each for `duration` seconds after the time in its
entry's ID.
"""

from collections import OrderedDict

import xxhash

EXPIRY_INTERVAL_MS = 1000
"""How often expired iids are removed: it takes a step per producer, too much for each XADD."""

_MASK = (1 << 64) - 1


class Producers:
    """A stream's producers. `added` and `duplicates` are counted over the stream's lifetime; loading sets them."""

    __slots__ = ("_expired_at", "added", "duplicates", "duration", "maxsize", "producers")

    def __init__(self, duration: int, maxsize: int) -> None:
        self.duration = duration
        self.maxsize = maxsize
        self.added = 0
        self.duplicates = 0
        self.producers: dict[bytes, OrderedDict[bytes, int]] = {}
        self._expired_at = 0

    def find(self, producer: bytes, iid: bytes, now: int) -> int | None:
        """Returns the ID of `iid`'s entry, unless it is too old at `now` (Unix milliseconds; 0: never).

        Registers the producer, as Redis does.
        """
        if now - self._expired_at >= EXPIRY_INTERVAL_MS:
            self.expire(now)
        iids = self.producers.setdefault(producer, OrderedDict())
        id = iids.get(iid)
        if id is not None and id >> 64 <= now - self.duration * 1000:
            del iids[iid]
            return None
        return id

    def record(self, producer: bytes, iid: bytes, id: int) -> None:
        """Records the entry of an iid; drops the producer's oldest iid if there are too many."""
        iids = self.producers.setdefault(producer, OrderedDict())
        iids.pop(iid, None)
        iids[iid] = id
        self.added += 1
        if len(iids) > self.maxsize:
            iids.popitem(last=False)

    def configure(self, duration: int | None, maxsize: int | None) -> bool:
        """Sets the limits that are not None. A change drops all producers; returns whether there was one."""
        changed = False
        if duration is not None and duration != self.duration:
            self.duration = duration
            changed = True
        if maxsize is not None and maxsize != self.maxsize:
            self.maxsize = maxsize
            changed = True
        if changed:
            self.producers.clear()
        return changed

    def expire(self, now: int) -> bool:
        """Drops iids that are too old at `now` (Unix milliseconds), and producers without any.

        Returns whether anything was dropped.
        """
        self._expired_at = now
        limit = now - self.duration * 1000
        empty = []
        changed = False
        for name, iids in self.producers.items():
            while iids:
                iid = next(iter(iids))
                if iids[iid] >> 64 > limit:
                    break
                del iids[iid]
                changed = True
            if not iids:
                empty.append(name)
        for name in empty:
            del self.producers[name]
        return changed or bool(empty)

    def tracked(self) -> int:
        """Returns the number of iids of all producers."""
        return sum(map(len, self.producers.values()))

    def copy(self) -> "Producers":
        other = Producers(self.duration, self.maxsize)
        other.added, other.duplicates = self.added, self.duplicates
        other.producers = {name: iids.copy() for name, iids in self.producers.items()}
        return other

    def memory(self) -> int:
        """Estimates the bytes in use."""
        return 100 + 300 * len(self.producers) + 250 * self.tracked()


def content_iid(fields: list[bytes]) -> bytes:
    """Returns the iid that IDMPAUTO derives from names and values: the same for the same pairs in any order.

    16 bytes: XXH3-128 of each pair, the pairs' hashes combined by sum and exclusive or. This is the construction
    of createIdempotencyHash() in Redis 8.10, so that iids stay valid when a data set moves.
    """
    sum_low = sum_high = xor_low = xor_high = 0
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        pair = xxhash.xxh3_128_intdigest(name + len(name).to_bytes(8, "little") + value)
        low, high = pair & _MASK, pair >> 64
        sum_low += low
        sum_high += high
        xor_low ^= low
        xor_high ^= high
    low = (sum_low & _MASK) ^ _rotated(xor_high)
    high = (sum_high & _MASK) ^ _rotated(xor_low)
    return low.to_bytes(8, "little") + high.to_bytes(8, "little")


def _rotated(value: int) -> int:
    return (value << 1 | value >> 63) & _MASK
