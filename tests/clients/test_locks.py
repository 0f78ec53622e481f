"""redis-py's Lock, sync and asyncio, register_script (scripts by SHA, loaded again once forgotten) and functions."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
import redis
import redis.asyncio
from redis.exceptions import LockError, LockNotOwnedError

from tests.clients.processes import until


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def protocol(request: pytest.FixtureRequest) -> int:
    version: int = request.param
    return version


@pytest.fixture
def client(port: int, protocol: int) -> Iterator[redis.Redis]:
    with redis.Redis(port=port, protocol=protocol, socket_timeout=60, decode_responses=True) as connected:
        yield connected


def test_a_lock_is_its_holders(client: redis.Redis) -> None:
    lock = client.lock("lock", timeout=60)
    other = client.lock("lock", timeout=60, blocking=False)
    with lock:
        assert lock.owned() and lock.locked()
        assert not other.acquire()
        assert not other.owned()
        with pytest.raises(LockError, match="already unlocked"):
            other.release()
        assert lock.extend(60)
        assert 60 < client.ttl("lock") <= 120
        assert lock.extend(30, replace_ttl=True)
        assert client.ttl("lock") <= 30
        assert lock.reacquire()
        assert 30 < client.ttl("lock") <= 60
    assert not client.exists("lock")
    assert other.acquire()
    client.set("lock", "somebody else's")
    with pytest.raises(LockNotOwnedError):
        other.reacquire()
    with pytest.raises(LockNotOwnedError):
        other.extend(1)
    with pytest.raises(LockNotOwnedError):
        other.release()
    assert client.get("lock") == "somebody else's"


def test_a_lock_that_expires_is_lost(client: redis.Redis) -> None:
    lock = client.lock("lock", timeout=0.02)
    assert lock.acquire()
    until(lambda: not client.exists("lock"), "the lock expires")
    with pytest.raises(LockNotOwnedError):
        lock.release()


def test_threads_take_turns(client: redis.Redis) -> None:
    balance = {"together": 0, "most": 0, "turns": 0}

    def work() -> None:
        for _ in range(10):
            with client.lock("lock", timeout=60, sleep=0.001):
                balance["together"] += 1
                balance["most"] = max(balance["most"], balance["together"])
                time.sleep(0.0005)
                balance["together"] -= 1
                balance["turns"] += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert balance == {"together": 0, "most": 1, "turns": 40}


def test_scripts_registered_and_forgotten(client: redis.Redis) -> None:
    transfer = client.register_script(
        """
        local left = tonumber(redis.call('GET', KEYS[1]) or 0) - ARGV[1]
        if left < 0 then return redis.error_reply('FUNDS only ' .. left + ARGV[1]) end
        redis.call('SET', KEYS[1], left)
        return {left, redis.call('INCRBY', KEYS[2], ARGV[1])}
        """
    )
    client.set("from", 100)
    client.script_flush()
    assert not client.script_exists(transfer.sha)[0]
    assert transfer(keys=["from", "to"], args=[30]) == [70, 30]
    assert client.script_exists(transfer.sha) == [True]
    client.script_flush()
    assert transfer(keys=["from", "to"], args=[30]) == [40, 60]
    with pytest.raises(redis.ResponseError, match="FUNDS only 40"):
        transfer(keys=["from", "to"], args=[50])
    client.script_flush("ASYNC")
    with client.pipeline() as pipe:
        transfer(keys=["from", "to"], args=[10], client=pipe)
        pipe.get("from")
        transfer(keys=["from", "to"], args=[30], client=pipe)
        assert pipe.execute() == [[30, 70], "30", [0, 100]]


def test_functions(client: redis.Redis) -> None:
    code = (
        "#!lua name=shop\nredis.register_function('sell', function(keys, args) return redis.call('INCR', keys[1]) end)"
    )
    assert client.function_load(code) == "shop"
    assert client.fcall("sell", 1, "sold") == 1
    with pytest.raises(redis.ResponseError, match="already exists"):
        client.function_load(code)
    assert client.function_load(code, replace=True) == "shop"
    assert "sell" in str(client.function_list(withcode=True))
    assert client.function_delete("shop")
    with pytest.raises(redis.ResponseError, match="Function not found"):
        client.fcall("sell", 1, "sold")


def test_asyncio_locks_and_scripts(port: int, protocol: int) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis(port=port, protocol=protocol, decode_responses=True) as client:
            add = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
            together = most = 0

            async def work() -> None:
                nonlocal together, most
                for _ in range(5):
                    async with client.lock("lock", timeout=60, sleep=0.001):
                        together += 1
                        most = max(most, together)
                        await add(keys=["turns"], args=[1])
                        together -= 1

            await asyncio.gather(*[work() for _ in range(5)])
            assert (most, await client.get("turns")) == (1, "25")
            lock = client.lock("lock", timeout=60)
            assert await lock.acquire()
            assert await lock.owned() and await lock.extend(60) and await lock.reacquire()
            await client.script_flush()
            await lock.release()
            with pytest.raises(LockError):
                await lock.release()
            async with client.pipeline(transaction=False) as pipe:
                await add(keys=["turns"], args=[5], client=pipe)
                assert await pipe.execute() == [30]

    asyncio.run(main())
