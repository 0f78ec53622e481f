"""What people build with redis-py out of plain commands: leaderboards, rate limits, locks; and the limits library."""

import threading
import time
from collections.abc import Iterator

import pytest
import redis


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(port: int, request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    with redis.Redis(port=port, protocol=request.param, socket_timeout=60, decode_responses=True) as connected:
        yield connected


def pairs(reply: list[object]) -> list[tuple[str, float]]:
    return [(str(name), float(score)) for name, score in reply]  # type: ignore[misc]


def test_leaderboard(client: redis.Redis) -> None:
    scores = {f"player {number:04}": (number * 7919) % 5000 for number in range(2000)}
    for first in range(0, 2000, 500):
        assert client.zadd("board", dict(list(scores.items())[first : first + 500])) == 500
    ranked = sorted(scores.items(), key=lambda item: (item[1], item[0]))
    assert pairs(client.zrange("board", 0, 9, desc=True, withscores=True)) == ranked[:-11:-1]
    assert pairs(client.zrange("board", 0, -1, withscores=True)) == ranked
    name = ranked[1000][0]
    assert client.zrank("board", name) == 1000
    assert client.zrevrank("board", name) == 999
    # redis-py's own form of a rank with its score differs between its versions
    assert str(client.execute_command("ZRANK", "board", name, "WITHSCORE")[0]) == "1000"
    # those around a player
    assert pairs(client.zrange("board", 998, 1002, withscores=True)) == ranked[998:1003]
    assert client.zincrby("board", 10_000, name) == scores[name] + 10_000
    assert client.zrevrank("board", name) == 0
    assert client.zadd("board", {name: 1}, gt=True) == 0
    assert client.zscore("board", name) == scores[name] + 10_000
    assert client.zadd("board", {name: 1}, lt=True, ch=True) == 1
    assert client.zcount("board", 1000, "(2000") == sum(1000 <= score < 2000 for _, score in ranked if _ != name)
    assert client.zmscore("board", [name, "nobody"]) == [1.0, None]
    assert client.zunionstore("both", {"board": 2}) == 2000
    assert client.zremrangebyrank("board", 0, -101) == 1900
    assert client.zcard("board") == 100
    assert len(client.zpopmax("board", 3)) == 3


def admitted(client: redis.Redis, name: str, limit: int, window: float, now: float) -> bool:
    """A sliding-window limiter: who came within `window` seconds is a member of a sorted set."""
    with client.pipeline(transaction=True) as pipe:
        pipe.zremrangebyscore(name, 0, now - window)
        pipe.zadd(name, {f"{now:.6f} {threading.get_ident()}": now})
        pipe.zcard(name)
        pipe.expire(name, int(window) + 1)
        _, _, count, _ = pipe.execute()
    return bool(count <= limit)


def test_sliding_window(client: redis.Redis) -> None:
    began = time.time()
    at = [number * 0.1 for number in range(300)]
    let_in = [second for second in at if admitted(client, "limit", 20, 10.0, began + second)]
    assert let_in == at[:20]  # refused ones count too: nobody gets in by hammering
    assert client.zcard("limit") == 100
    assert 0 < client.ttl("limit") <= 11
    assert admitted(client, "limit", 20, 10.0, began + 100)
    assert client.zcard("limit") == 1


def test_sliding_window_of_many_threads(client: redis.Redis) -> None:
    won: list[bool] = []

    def hammer() -> None:
        for _ in range(20):
            won.append(admitted(client, "limit", 50, 60.0, time.time()))

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(won) == 160 and sum(won) == 50


def test_a_lock_by_set_and_watch(client: redis.Redis) -> None:
    """SET NX PX to take, WATCH to give back only what is one's own."""

    def release(token: str) -> bool:
        with client.pipeline() as pipe:
            pipe.watch("lock")
            if pipe.get("lock") != token:
                return False
            pipe.multi()
            pipe.delete("lock")
            try:
                pipe.execute()
            except redis.WatchError:
                return False
            return True

    assert client.set("lock", "a", nx=True, px=60_000)
    assert not client.set("lock", "b", nx=True, px=60_000)
    assert not release("b")
    assert release("a")
    assert client.set("lock", "b", nx=True, px=20)
    deadline = time.monotonic() + 60
    while not client.set("lock", "c", nx=True, px=60_000):
        assert time.monotonic() < deadline
    assert release("c")


STRATEGIES = ["FixedWindowRateLimiter", "MovingWindowRateLimiter", "SlidingWindowCounterRateLimiter"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_limits(url: str, strategy: str, client: redis.Redis) -> None:
    """The limits library counts in Lua scripts."""
    limits = pytest.importorskip("limits")
    limit = getattr(limits.strategies, strategy)(limits.storage.storage_from_string(url))
    item = limits.parse("5/minute")
    assert [limit.hit(item, "user") for _ in range(7)] == [True] * 5 + [False] * 2
    assert limit.hit(item, "other user")
    assert limit.get_window_stats(item, "user").remaining == 0
    limit.clear(item, "user")
    assert limit.test(item, "user")
    assert limit.hit(item, "user", cost=5) and not limit.test(item, "user")
    assert all(0 < client.ttl(key) <= 120 for key in client.scan_iter())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_limits_of_many_threads(url: str, strategy: str) -> None:
    limits = pytest.importorskip("limits")
    limit = getattr(limits.strategies, strategy)(limits.storage.storage_from_string(url))
    item = limits.parse("50/hour")
    won: list[bool] = []
    threads = [
        threading.Thread(target=lambda: won.extend([limit.hit(item, "user") for _ in range(20)])) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(won) == 160 and sum(won) == 50
