"""redis-py, sync and asyncio, in RESP2 and RESP3: pub/sub, stream groups, pipelines, blocking and plain commands."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
import redis
import redis.asyncio
from redis.cache import CacheConfig

from tests.clients.processes import until


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def protocol(request: pytest.FixtureRequest) -> int:
    version: int = request.param
    return version


@pytest.fixture
def client(port: int, protocol: int) -> Iterator[redis.Redis]:
    with redis.Redis(port=port, protocol=protocol, socket_timeout=60, decode_responses=True) as connected:
        yield connected


def test_values_of_every_type(client: redis.Redis) -> None:
    assert client.ping()
    assert client.set("s", "1", ex=100)
    assert 0 < client.ttl("s") <= 100
    assert client.incrby("s", 4) == 5
    assert client.set("s", "x", nx=True) is None
    assert client.rpush("l", "a", "b", "c") == 3
    assert client.lrange("l", 0, -1) == ["a", "b", "c"]
    assert client.hset("h", mapping={"f": "1", "g": "2"}) == 2
    assert client.hgetall("h") == {"f": "1", "g": "2"}
    assert client.sadd("t", "a", "b") == 2
    assert client.smembers("t") == {"a", "b"}
    assert client.zadd("z", {"a": 1.5, "b": 2}) == 2
    assert [(name, score) for name, score in client.zrange("z", 0, -1, withscores=True)] == [("a", 1.5), ("b", 2.0)]
    assert client.zscore("z", "a") == 1.5
    assert client.type("z") == "zset"
    assert set(client.scan_iter(count=2)) == {"s", "l", "h", "t", "z"}
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.lpush("s", "x")
    assert client.delete("s", "l", "none") == 2
    assert client.info("server")["redis_version"].startswith("8.")


def test_pubsub_channels_and_patterns(client: redis.Redis) -> None:
    with client.pubsub(ignore_subscribe_messages=True) as subscriber:
        subscriber.subscribe("news", "weather")
        subscriber.psubscribe("n*")
        until(lambda: subscriber.get_message() is None and client.pubsub_numpat() == 1, "subscribed")
        assert dict(client.pubsub_numsub("news", "none")) == {"news": 1, "none": 0}
        assert client.publish("news", "hello") == 2
        assert client.publish("weather", "rain") == 1
        got = [until(lambda: subscriber.get_message(timeout=1), "a message") for _ in range(3)]
        assert [(m["type"], m["channel"], m["data"]) for m in got] == [
            ("message", "news", "hello"),
            ("pmessage", "news", "hello"),
            ("message", "weather", "rain"),
        ]
        subscriber.unsubscribe("news")
        until(lambda: dict(client.pubsub_numsub("news")) == {"news": 0}, "unsubscribed")
        assert client.publish("news", "again") == 1


def test_sharded_pubsub(client: redis.Redis) -> None:
    with client.pubsub(ignore_subscribe_messages=True) as subscriber:
        subscriber.ssubscribe("orders")
        until(lambda: subscriber.get_message() is None and client.pubsub_shardnumsub("orders"), "subscribed")
        until(lambda: client.spublish("orders", "one"), "a subscriber")
        message = until(lambda: subscriber.get_sharded_message(timeout=1), "a message")
        assert (message["type"], message["data"]) == ("smessage", "one")


def test_a_pubsub_thread(client: redis.Redis) -> None:
    seen: list[str] = []
    subscriber = client.pubsub(ignore_subscribe_messages=True)
    subscriber.subscribe(events=lambda message: seen.append(message["data"]))
    thread = subscriber.run_in_thread(sleep_time=0.05)
    try:
        until(lambda: client.publish("events", "first"), "a subscriber")
        for number in range(100):
            client.publish("events", str(number))
        until(lambda: len(seen) >= 101, "all messages")
        assert seen[-100:] == [str(number) for number in range(100)]
    finally:
        thread.stop()
        thread.join()


def test_stream_group_shares_and_acknowledges(client: redis.Redis) -> None:
    ids = [client.xadd("jobs", {"n": number}) for number in range(10)]
    assert client.xgroup_create("jobs", "g", id="0")
    with pytest.raises(redis.ResponseError, match="BUSYGROUP"):
        client.xgroup_create("jobs", "g", id="0")
    read = {}
    for consumer in ("a", "b"):
        reply = client.xreadgroup("g", consumer, {"jobs": ">"}, count=5)
        entries = reply["jobs"][0] if isinstance(reply, dict) else reply[0][1]
        read[consumer] = [entry_id for entry_id, fields in entries]
    assert read["a"] + read["b"] == ids
    assert client.xack("jobs", "g", *read["a"]) == 5
    pending = client.xpending("jobs", "g")
    assert pending["pending"] == 5
    claimed = client.xautoclaim("jobs", "g", "c", min_idle_time=0)
    assert [entry_id for entry_id, fields in claimed[1]] == read["b"]
    assert client.xack("jobs", "g", *read["b"]) == 5
    assert client.xpending("jobs", "g")["pending"] == 0
    group = client.xinfo_groups("jobs")[0]
    assert (group["entries-read"], group["lag"], group["consumers"]) == (10, 0, 3)
    assert client.xtrim("jobs", maxlen=4, approximate=False) == 6
    assert client.xlen("jobs") == 4
    assert [entry_id for entry_id, fields in client.xrange("jobs")] == ids[6:]


def test_a_blocked_group_reader_is_woken(client: redis.Redis) -> None:
    client.xgroup_create("jobs", "g", mkstream=True)
    got: list[object] = []
    reader = threading.Thread(target=lambda: got.append(client.xreadgroup("g", "c", {"jobs": ">"}, block=20_000)))
    reader.start()
    until(lambda: client.info("clients")["blocked_clients"], "a blocked reader")
    client.xadd("jobs", {"f": "v"})
    reader.join(20)
    assert "v" in str(got)


def test_pipelines(client: redis.Redis) -> None:
    with client.pipeline(transaction=False) as pipe:
        for number in range(5000):
            pipe.rpush("l", number)
        assert pipe.execute() == list(range(1, 5001))
    with client.pipeline() as pipe:
        pipe.set("k", 1).incr("k").lpush("k", "x").get("k")
        result = pipe.execute(raise_on_error=False)
    assert (result[0], result[1], result[3]) == (True, 2, "2")
    assert isinstance(result[2], redis.ResponseError)


def test_a_watched_key_aborts_the_transaction(client: redis.Redis) -> None:
    client.set("k", 1)
    with client.pipeline() as pipe:
        pipe.watch("k")
        client.set("k", 2)
        pipe.multi()
        pipe.incr("k")
        with pytest.raises(redis.WatchError):
            pipe.execute()

    def increase(pipe: "redis.client.Pipeline") -> None:
        value = int(pipe.get("k"))
        pipe.multi()
        pipe.set("k", value + 1)

    threads = [threading.Thread(target=client.transaction, args=(increase, "k")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.get("k") == "10"


def test_blocking_pops_are_served_in_order(client: redis.Redis) -> None:
    served: list[tuple[int, str]] = []

    def pop(number: int) -> None:
        served.append((number, client.blpop("queue", timeout=30)[1]))

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=pop, args=(number,)))
        threads[-1].start()
        until(lambda expected=number + 1: client.info("clients")["blocked_clients"] == expected, "blocked")
    client.rpush("queue", *range(5))
    for thread in threads:
        thread.join(30)
    assert sorted(served) == [(number, str(number)) for number in range(5)]
    assert client.blpop("queue", timeout=0.05) is None


def test_asyncio_pubsub_streams_and_pipelines(port: int, protocol: int) -> None:
    async def scenario() -> None:
        async with redis.asyncio.Redis(
            port=port, protocol=protocol, socket_timeout=60, decode_responses=True
        ) as client:
            async with client.pubsub(ignore_subscribe_messages=True) as subscriber:
                await subscriber.subscribe("news")
                while not await client.publish("news", "hello"):
                    await subscriber.get_message(timeout=0.05)
                message = None
                while message is None:
                    message = await subscriber.get_message(timeout=1)
                assert message["data"] == "hello"
            await client.xgroup_create("jobs", "g", mkstream=True)
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(client.xreadgroup("g", "c", {"jobs": ">"}, block=20_000))
                while not (await client.info("clients"))["blocked_clients"]:
                    await asyncio.sleep(0.01)
                await client.xadd("jobs", {"f": "v"})
            assert "v" in str(waiting.result())
            async with client.pipeline(transaction=True) as pipe:
                assert await pipe.set("k", 1).incr("k").get("k").execute() == [True, 2, "2"]

            async def count() -> None:
                for _ in range(20):
                    await client.incr("n")

            await asyncio.gather(*(count() for _ in range(50)))
            assert await client.get("n") == "1000"

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_monitor(client: redis.Redis) -> None:
    with client.monitor() as monitor:
        client.set("k", 'a "b"')
        commands = monitor.listen()
        seen = next(commands)
        while not seen["command"].startswith("SET"):
            seen = next(commands)
        assert (seen["command"], seen["db"], seen["client_type"]) == ('SET k a "b"', 0, "tcp")
        client.eval("return redis.call('get', 'k')", 0)
        kinds = [(seen["command"].split()[0], seen["client_type"]) for seen in (next(commands), next(commands))]
        assert kinds == [("EVAL", "tcp"), ("get", "lua")]


def test_slowlog_and_latency(client: redis.Redis) -> None:
    client.config_set("slowlog-log-slower-than", 0)
    try:
        client.slowlog_reset()
        client.get("k")
        assert client.slowlog_len() == 2
        newest = client.slowlog_get(2)[1]
        assert newest["command"] == b"GET k" and newest["duration"] >= 0
        assert client.slowlog_get()[0]["id"] > newest["id"]
    finally:
        client.config_set("slowlog-log-slower-than", 10000)
    assert client.latency_latest() == []
    assert client.latency_history("command") == []
    assert client.latency_reset() == 0
    assert client.info("commandstats")["cmdstat_get"]["calls"] >= 1
    assert "p50" in client.info("latencystats")["latency_percentiles_usec_get"]


def test_the_client_side_cache(port: int) -> None:
    with (
        redis.Redis(port=port, protocol=3, decode_responses=True, cache_config=CacheConfig()) as caching,
        redis.Redis(port=port, decode_responses=True) as other,
    ):
        cache = caching.get_cache()
        assert cache is not None
        other.set("k", "1")
        other.hset("h", "f", "1")
        assert (caching.get("k"), caching.get("k"), caching.hgetall("h")) == ("1", "1", {"f": "1"})
        assert cache.size == 2
        reads = other.info("commandstats")["cmdstat_get"]["calls"]
        assert caching.get("k") == "1"
        assert other.info("commandstats")["cmdstat_get"]["calls"] == reads
        other.set("k", "2")
        until(lambda: caching.get("k") == "2", "the change of k")
        caching.incr("k")
        until(lambda: caching.get("k") == "3", "the client's own change")
        other.hdel("h", "f")
        until(lambda: caching.hgetall("h") == {}, "the removal of h")
        other.flushall()
        until(lambda: caching.get("k") is None, "the removal of all keys")
