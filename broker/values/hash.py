"""A hash: a dict from field to value, and the deadlines of those fields that have one."""

from broker.values import positions


class Hash(dict[bytes, bytes]):
    """A hash value. Never empty in the keyspace.

    `deadlines` is None until a field gets a time to live; then it maps such fields to wall milliseconds. A
    field that is deleted or set anew has to leave it, too (`discard`).
    """

    __slots__ = ("deadlines",)
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

    def clone(self) -> "Hash":
        """An independent copy."""
        twin = Hash(self)
        if self.deadlines is not None:
            twin.deadlines = dict(self.deadlines)
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
        return b"listpackex" if self.deadlines else b"listpack"
