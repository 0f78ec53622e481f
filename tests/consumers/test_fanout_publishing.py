"""Publishing: covered with subscribers in test_fanout_subscription.py; here, with nobody there."""

import coredis

from consumers.fanout import publish, publish_many


async def test_nobody_is_zero(client: "coredis.Redis[bytes]") -> None:
    assert await publish(client, "news", b"x") == 0
    assert await publish(client, "news", "x", shard=True) == 0
    assert await publish_many(client, [("a", "1"), (b"b", b"\xff")]) == [0, 0]
    assert await publish_many(client, []) == []
