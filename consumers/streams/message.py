"""A message: one delivery of a stream's entry, with its value."""

from functools import cached_property
from typing import Generic

from typing_extensions import TypeVar

from consumers.codecs import Codec
from consumers.delivery import Delivery, Inbox

__all__ = ["Message"]

T = TypeVar("T", default=dict[str, str])


class Message(Delivery, Generic[T]):
    """What a handler gets. Delivery is at least once, so handlers must be idempotent, see Delivery.

    In addition to Delivery it has `data`, the value that the consumer's codec reads from the fields.
    """

    def __init__(
        self, inbox: Inbox, stream: str, id: str, values: list[bytes], deliveries: int, codec: Codec[T]
    ) -> None:
        super().__init__(inbox, stream, id, values, deliveries)
        self._codec = codec

    @cached_property
    def data(self) -> T:
        """The entry's value. Raises what the codec raises for fields that it did not write."""
        return self._codec.decode(self.fields)
