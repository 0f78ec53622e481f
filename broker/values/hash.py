"""A hash: a dict from field to value, and the deadlines of those fields that have one."""

from heapq import heapify, heappop, heappush

from broker.values import positions


class Hash(dict[bytes, bytes]):
    """A hash value. Never empty in the keyspace.

    `deadlines` is None until a field gets a time to live; then it maps such fields to wall milliseconds. It
    is for reading: changes go through the methods, and a field that is set again has to `persist`. Beside it
    a heap of (deadline, field) finds the earliest; entries of fields that have another deadline by now, or
    none, are passed over.
    """

    __slots__ = ("_by_deadline", "deadlines")
    type_name = "hash"

    def __init__(self, content: "dict[bytes, bytes] | None" = None) -> None:
        if content is not None:
            super().__init__(content)
        self.deadlines: dict[bytes, int] | None = None

    def discard(self, field: bytes) -> bool:
        """Delete a field and its deadline; False if it isn't there."""
        if self.pop(field, None) is None:
            return False
        if self.deadlines is not None:
            self.deadlines.pop(field, None)
        return True

    def expire_at(self, field: bytes, deadline: int) -> None:
        """Give a field that is there a deadline, in wall milliseconds."""
        if self.deadlines is None:
            self.deadlines = {}
            self._by_deadline: list[tuple[int, bytes]] = []
        self.deadlines[field] = deadline
        by_deadline = self._by_deadline
        heappush(by_deadline, (deadline, field))
        # Made again when most of it is passed over: O(1) a push over time.
        if len(by_deadline) > 2 * len(self.deadlines) + 64:
            by_deadline[:] = [(when, name) for name, when in self.deadlines.items()]
            heapify(by_deadline)

    def persist(self, field: bytes) -> bool:
        """Drop a field's deadline; False if it had none."""
        return self.deadlines is not None and self.deadlines.pop(field, None) is not None

    def earliest_deadline(self) -> int | None:
        """The earliest deadline of a field, in wall milliseconds; None without one."""
        if not self.deadlines:
            return None
        by_deadline = self._by_deadline
        while True:
            deadline, field = by_deadline[0]
            if self.deadlines.get(field) == deadline:
                return deadline
            heappop(by_deadline)

    def remove_due(self, now: int, limit: int) -> list[bytes]:
        """Delete up to `limit` fields whose deadline lies before `now`; returns their names, earliest first."""
        removed: list[bytes] = []
        while len(removed) < limit:
            deadline = self.earliest_deadline()
            if deadline is None or deadline >= now:
                break
            field = heappop(self._by_deadline)[1]
            self.discard(field)
            removed.append(field)
        return removed

    def clone(self) -> "Hash":
        """An independent copy."""
        twin = Hash(self)
        if self.deadlines is not None:
            twin.deadlines = dict(self.deadlines)
            twin._by_deadline = [(deadline, field) for field, deadline in self.deadlines.items()]
            heapify(twin._by_deadline)
        return twin

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """The next cursor (0: finished) and fields of a scan; see positions.window."""
        return positions.window(self, cursor, count)

    def random_field(self) -> bytes:
        """A field, each with the same chance. O(1) expected."""
        return positions.random_key(self)

    def encoding(self, max_entries: int, max_value: int) -> bytes:
        """The encoding Redis chooses for this content, given `hash-max-listpack-entries` and `-value`.

        `max_value` is in bytes.
        """
        if len(self) > max_entries:
            return b"hashtable"
        for field, value in self.items():
            if len(field) > max_value or len(value) > max_value:
                return b"hashtable"
        # Redis's block keeps room for deadlines once a field has had one.
        return b"listpack" if self.deadlines is None else b"listpackex"
