"""Connection: PING."""

from typing import TYPE_CHECKING

from broker.registry import FAST, IN_SUBSCRIBED_MODE, command
from protocol.replies import PONG, bulk

if TYPE_CHECKING:
    from broker.session import Session


@command("PING", arity=-1, flags=FAST | IN_SUBSCRIBED_MODE, group="connection", since="1.0.0",
         summary="Answers PONG, or the message.", complexity="O(1)")  # fmt: skip
def ping(session: "Session", args: list[bytes]) -> bytes:
    return PONG if len(args) == 1 else bulk(args[1])
