"""What a script changes, and what other clients notice of it, beside redis-server."""

import hypothesis.strategies as st
from hypothesis import given

from tests.oracle.harness import Command, Skip, agree, examples, pair, requires, same
from tests.oracle.lua_scripts import script

pytestmark = requires("8.10")


def test_what_only_reads() -> None:
    same(
        [
            script("return redis.call('SET', 'a', 1)", by="EVAL_RO"),
            script("return redis.pcall('SET', 'a', 1)", by="EVAL_RO"),
            script("return redis.call('PUBLISH', 'a', 1)", by="EVAL_RO"),
            script("return redis.call('GET', 'a')", by="EVAL_RO"),
            script("return redis.call('PFCOUNT', 'a')", by="EVAL_RO"),
            script("return redis.call('SET', 'a')", by="EVAL_RO"),
            "MULTI",
            script("return redis.call('GET', 'a')", by="EVAL_RO"),
            script("return redis.call('SET', 'a', 1)", by="EVAL_RO"),
            script("return redis.call('SET', 'a', 1)"),
            "EXEC",
        ],
        state=True,
    )


def test_databases() -> None:
    same(
        [
            "SELECT 2",
            script("return redis.call('SET', 'a', 1)"),
            script("redis.call('SELECT', 3) redis.call('SET', 'b', 1) return redis.call('DBSIZE')"),
            "DBSIZE",
            script("return redis.call('DBSIZE')"),
            "SELECT 3",
            "KEYS *",
        ],
        state=True,
    )


def test_waiting_clients_are_served_after_the_script() -> None:
    with pair() as p:
        waiting, other, client = p.client(), p.client(), p.client()
        waiting.send("BLPOP k 0")
        p.settle()
        other.send("BRPOP k 0")
        p.settle()
        client.do(script("redis.call('RPUSH', 'k', 'a', 'b', 'c') return redis.call('LRANGE', 'k', 0, -1)"))
        waiting.receive()
        other.receive()
        client.do("LRANGE k 0 -1")
        waiting.send("BLPOP k 0")
        waiting.receive()
        waiting.send("BLPOP k 0")
        p.settle()
        client.do("MULTI")
        client.do(script("return redis.call('RPUSH', 'k', 'x')"))
        client.do(script("return redis.call('LPOP', 'k')"))
        client.do("RPUSH k y")
        client.do("EXEC")
        waiting.receive()


def test_watched_keys() -> None:
    with pair() as p:
        client, other = p.client(), p.client()
        for touched in ("k", "other"):
            client.do("WATCH k")
            other.do(script(f"return redis.call('SET', '{touched}', 1)"))
            client.do("MULTI")
            client.do("PING")
            client.do("EXEC")
        client.do("WATCH k")
        client.do(script("return redis.call('SET', 'k', 2)"))
        client.do("MULTI")
        client.do("PING")
        client.do("EXEC")


def test_messages_published() -> None:
    with pair() as p:
        listening, client = p.client(3), p.client()
        listening.do("SUBSCRIBE a")
        client.do(
            script("redis.call('PUBLISH', 'a', 1) redis.call('PUBLISH', 'b', 2) return redis.call('PUBLISH', 'a', 3)")
        )
        listening.drain()
        listening.do(script("return redis.call('PUBLISH', 'a', 'own')"))
        listening.drain()


def test_keyspace_events() -> None:
    with pair(cleanup=["CONFIG SET notify-keyspace-events ''"]) as p:
        listening, client = p.client(), p.client()
        client.do("CONFIG SET notify-keyspace-events AKE")
        listening.do("PSUBSCRIBE *")
        client.do(script("redis.call('SET', 'a', 1) redis.call('EXPIRE', 'a', 100) redis.call('DEL', 'a') return 1"))
        listening.drain()


def test_time_stands_still() -> None:
    same(
        [
            script(
                "local a = redis.call('TIME') local x = 0 for i = 1, 3000000 do x = x + 1 end "
                "local b = redis.call('TIME') return a[1] == b[1] and a[2] == b[2]"
            ),
            script(
                "redis.call('SET', 'k', 'v', 'PX', 5) local x = 0 for i = 1, 3000000 do x = x + 1 end "
                "return redis.call('GET', 'k')"
            ),
        ]
    )


def test_nothing_of_one_script_is_seen_by_the_next() -> None:
    same(
        [
            script("KEYS.hidden = 1 ARGV.hidden = 2 return 1", "a", keys=1),
            script("return {KEYS.hidden, ARGV.hidden}", "a", keys=1),
            script("redis.setresp(3) return true"),
            script("return true"),
            script("local t = redis.call('SET', 'a', 1) t.ok = 'changed' return t"),
            script("return redis.call('SET', 'a', 1)"),
            script("local ok, e = pcall(redis.call, 'GET') return e"),
            script("return pcall(function() mine = 1 end)"),
            script("return mine"),
            Skip("PING"),
        ]
    )


_keys = st.sampled_from(["a", "b"])
_writes = st.one_of(
    _keys.map(lambda key: f"redis.call('INCR', '{key}')"),
    _keys.map(lambda key: f"redis.pcall('LPUSH', '{key}', 'x')"),
    _keys.map(lambda key: f"redis.pcall('HSET', '{key}', 'f', 1.5)"),
    _keys.map(lambda key: f"redis.pcall('DEL', '{key}')"),
    _keys.map(lambda key: f"redis.call('APPEND', '{key}', KEYS[1] or 'none')"),
    _keys.map(
        lambda key: f"local r = redis.pcall('GET', '{key}') if r then redis.pcall('SET', '{key}', ARGV[1] or 1) end"
    ),
    st.sampled_from(["redis.setresp(3)", "redis.call('SELECT', 1)", "for i = 1, 3 do redis.pcall('INCR', 'a') end"]),
)
_endings = st.one_of(
    _keys.map(lambda key: f"return redis.call('GET', '{key}')"),
    _keys.map(lambda key: f"return {{redis.pcall('INCR', '{key}'), redis.pcall('HGETALL', '{key}')}}"),
    st.sampled_from(
        ["", "return {KEYS, ARGV}", "error('x')", "return redis.call('NOSUCH')", "return {1, {2, 'x'}, false}"]
    ),
)
_scripts = st.tuples(st.lists(_writes, max_size=4), _endings).map(lambda parts: " ".join([*parts[0], parts[1]]))
_evaluations = st.tuples(
    _scripts, st.sampled_from(["EVAL", "EVAL", "EVAL_RO"]), st.lists(_keys, max_size=3), _keys
).map(lambda drawn: [drawn[1], drawn[0], len(drawn[2]), *drawn[2], drawn[3]])
_ordinary = st.one_of(
    _keys.map(lambda key: f"GET {key}"),
    _keys.map(lambda key: f"SET {key} 5"),
    _keys.map(lambda key: f"DEL {key}"),
    _keys.map(lambda key: f"WATCH {key}"),
    _keys.map(lambda key: f"RPUSH {key} z"),
    st.sampled_from(["MULTI", "EXEC", "DISCARD", "SELECT 0", "SELECT 1", "SWAPDB 0 1", "FLUSHALL"]),
)


@examples(40)
@given(st.lists(st.one_of(_evaluations, _ordinary), max_size=20))
def test_generated_sequences(commands: list[Command]) -> None:
    agree([*commands, "DISCARD", "SELECT 0"], resp=(2, 3))
