"""A message: one delivery of a stream's entry, with its value."""

from functools import cached_property
from typing import Any, Generic

from typing_extensions import TypeVar

from consumers.codecs import Codec, encode_answer
from consumers.connection import Command
from consumers.delivery import Delivery, Inbox
from consumers.headers import REPLY_TOKEN, without_headers
from consumers.settling import Outcome, Settlement

__all__ = ["Message"]

T = TypeVar("T", default=dict[str, str])

_REPLY_TOKEN = REPLY_TOKEN.encode()


class Message(Delivery, Generic[T]):
    """What a handler gets. Delivery is at least once, so handlers must be idempotent, see Delivery.

    In addition to Delivery it has `data`, the value that the consumer's codec reads from the fields. partition, epoch:
    which partition it is from, and a number that rises with each new owner of that partition, so that what a paused
    owner writes too late can be recognised; None without partitions.
    """

    partition: int | None = None
    epoch: int | None = None

    def __init__(
        self, inbox: Inbox, stream: str, id: str, values: list[bytes], deliveries: int, codec: Codec[T]
    ) -> None:
        super().__init__(inbox, stream, id, values, deliveries)
        self._codec = codec
        if _REPLY_TOKEN in values:
            self.caller = self.fields.get(REPLY_TOKEN)

    @cached_property
    def data(self) -> T:
        """The entry's value. Raises what the codec raises for fields that it did not write."""
        return self._codec.decode(without_headers(self.fields))

    async def reply(self, value: Any, *commands: Command) -> bool:
        """Answer the call that has added the entry, and acknowledge it; returns when the server has confirmed both.

        value: what the consumer's codec takes; without one bytes, text or a number. commands: as in ack(). False:
        nobody waits, because the entry was not added by a call, or its caller has gone or has another group's answer;
        or a lost connection has left that unknown. Raises RuntimeError if the entry's outcome is already decided, as
        it is before the handler begins with AckPolicy.ON_RECEIVE.
        """
        if self.settled:
            raise RuntimeError(f"{self!r} is settled already, its caller waits no longer")
        settlement = Settlement(self, Outcome.ACK, commands=commands, answer=encode_answer(self._codec, value))
        await self._carry_out(settlement)
        return settlement.answered
