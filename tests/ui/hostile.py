"""Data that clients may store, and that would run or spoil a page which does not escape it."""

from __future__ import annotations

import coredis
import pytest
import redis

from consumers.jobs import Flow, JobFailed, Queue, Reject, Worker

__all__ = ["MARK", "NAME", "WORD", "be_slow", "fill"]

MARK = "hacked"
"""The variable that is set if any of this runs."""

WORD = f"<script>{MARK}=1</script><svg/onload={MARK}=1>"
"""For names that may not have blanks."""

NAME = f"\"'><img src=/nosuch onerror={MARK}=1>{WORD}"
CONTROLS = "\x1b[31m\x00\x07\r\n\u202e\u2028 &lt; {{ 1234*5678 }}"
LONG = "x" * 600


async def fill(url: str) -> None:
    """Put jobs in every state, keys of every type, users and slow commands into a server."""
    async with coredis.Redis.from_url(url) as client:
        await _jobs(client)
    with redis.Redis.from_url(url) as client:
        _keys(client)
        _users(client)
        be_slow(client)


async def _jobs(client: coredis.Redis[bytes]) -> None:
    async with Queue(NAME).open(client) as queue:

        @queue.job()
        async def work(text: str) -> None:
            raise Reject(text)

        jobs = [await work.enqueue(NAME), await work.enqueue(CONTROLS + LONG)]
        async with Worker(queue, name=WORD).open():
            for job in jobs:
                with pytest.raises(JobFailed):
                    await job.result(timeout=30)
        flow = Flow(queue, id="hostile<i>", on_failure=work.call(NAME))
        first = flow.add(work.call(NAME), name=NAME)
        flow.add(work.call(NAME), after=[first], name=WORD)
        await flow.start()
        await work.enqueue(NAME, delay=86400)
        await work.enqueue(NAME)
        await work.enqueue(CONTROLS)


def _keys(client: redis.Redis) -> None:
    client.sadd("rq:queues", f"rq:queue:{NAME}")
    client.rpush(f"rq:queue:{NAME}", NAME)
    client.hset(
        f"rq:job:{NAME}", mapping={"description": NAME + CONTROLS, "status": NAME, "data": b"\xff\x00" + b"<b>"}
    )
    client.set(f"string {NAME}", NAME + CONTROLS + LONG)
    client.hset(f"hash {NAME}", NAME, CONTROLS)
    client.rpush(f"list {NAME}", NAME, CONTROLS, b"\xff\xfe")
    client.sadd(f"set {NAME}", NAME, CONTROLS)
    client.zadd(f"sorted {NAME}", {NAME: 1.5, CONTROLS: float("inf")})
    client.set(b"binary \xff\x00\n", b"\x00\x01\xff")
    client.set(f"long {LONG}", "1")
    client.set(f"divided {WORD}:partitions", "2")
    client.xadd(f"divided {WORD}:{{0}}", {"a": NAME})
    client.xgroup_create(f"divided {WORD}:{{0}}", NAME, "0")
    stream = f"stream {NAME}"
    client.xadd(stream, {NAME: CONTROLS})
    client.xadd(stream, {"json": '{"text": "</pre><script>hacked=1</script>"}'})
    client.xgroup_create(stream, NAME, "0")
    client.xreadgroup(NAME, NAME, {stream: ">"}, count=1)


def _users(client: redis.Redis) -> None:
    client.acl_setuser(WORD, enabled=True, nopass=True, keys=["<i>*"], categories=["+@read"])
    with pytest.raises(redis.AuthenticationError):
        client.execute_command("AUTH", WORD + CONTROLS, NAME)


def be_slow(client: redis.Redis) -> None:
    """Have entries in the slow log, and a spike of latency."""
    client.config_set("latency-monitor-threshold", 1)
    client.config_set("slowlog-log-slower-than", 0)
    client.set(f"string {NAME}", NAME + CONTROLS)
    # long enough for any server to notice
    client.eval("for i = 1, 2000000 do end", 0)
    client.config_set("slowlog-log-slower-than", 10_000)
    client.config_set("latency-monitor-threshold", 0)
