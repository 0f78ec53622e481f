"""django-redis as Django's cache: times to live, counters, locks' building blocks, deleting by pattern, its options.

cache.lock() and incr with a version of a missing key need Lua scripts (EVAL), and are not called.
"""

from collections.abc import Iterator

import pytest
import redis

pytest.importorskip("django_redis")

import django
from django.conf import settings
from django_redis.cache import RedisCache

COMPRESSOR = "django_redis.compressors.zlib.ZlibCompressor"
JSON = "django_redis.serializers.json.JSONSerializer"


@pytest.fixture(scope="module", autouse=True)
def _configured() -> None:
    if not settings.configured:
        settings.configure(USE_TZ=True, DJANGO_REDIS_CLOSE_CONNECTION=True)
        django.setup()


@pytest.fixture(params=[{}, {"COMPRESSOR": COMPRESSOR}, {"SERIALIZER": JSON}], ids=["pickle", "zlib", "json"])
def cache(url: str, request: pytest.FixtureRequest) -> Iterator["RedisCache"]:
    made = RedisCache(url, {"KEY_PREFIX": "shop", "TIMEOUT": 300, "OPTIONS": request.param})
    yield made
    made.close()


def test_values(cache: "RedisCache") -> None:
    assert cache.get("nothing") is None
    assert cache.get("nothing", "default") == "default"
    assert cache.set("a", {"list": [1, 2.5, "x"], "none": None, "long": "y" * 10_000})
    assert cache.get("a")["long"] == "y" * 10_000
    cache.set_many({"b": 1, "c": [2]}, timeout=60)
    assert cache.get_many(["b", "c", "nothing"]) == {"b": 1, "c": [2]}
    assert "b" in cache and cache.has_key("c") and "nothing" not in cache
    assert cache.delete("b") and not cache.delete("b")
    cache.delete_many(["a", "c"])
    assert cache.get_many(["a", "b", "c"]) == {}


def test_only_once(cache: "RedisCache") -> None:
    assert cache.add("a", 1, timeout=60)
    assert not cache.add("a", 2)
    assert cache.set("a", 3, nx=True) is False or cache.get("a") == 1
    calls = []
    for _ in range(2):
        assert cache.get_or_set("slow", lambda: calls.append(1) or "made", timeout=60) == "made"
    assert calls == [1]


def test_times_to_live(cache: "RedisCache") -> None:
    cache.set("default", 1)
    cache.set("forever", 1, timeout=None)
    cache.set("ten", 1, timeout=10)
    cache.set("at once", 1, timeout=0)
    assert 290 < cache.ttl("default") <= 300
    assert cache.ttl("forever") is None
    assert 9_000 < cache.pttl("ten") <= 10_000
    assert cache.get("at once") is None and cache.ttl("at once") == 0
    assert cache.expire("forever", 100) and 90 < cache.ttl("forever") <= 100
    assert cache.persist("forever") and cache.ttl("forever") is None
    assert cache.touch("ten", 1000) and cache.ttl("ten") > 900
    assert not cache.touch("nothing", 1000)


def test_counters(cache: "RedisCache") -> None:
    cache.set("hits", 1, timeout=100)
    assert cache.incr("hits") == 2
    assert cache.incr("hits", 10) == 12
    assert cache.decr("hits", 2) == 10
    assert cache.get("hits") == 10
    assert 90 < cache.ttl("hits") <= 100


def test_patterns(cache: "RedisCache") -> None:
    cache.set_many({f"user:{number}": number for number in range(2500)} | {"other": 1})
    assert len(cache.keys("user:*")) == 2500
    assert set(cache.iter_keys("user:1?", itersize=50)) == {f"user:{number}" for number in range(10, 20)}
    assert cache.delete_pattern("user:*", itersize=100) == 2500
    assert cache.keys("*") == ["other"]
    cache.clear()
    assert cache.get("other") is None


def test_versions(cache: "RedisCache", port: int) -> None:
    cache.set("a", "old", version=1)
    cache.set("a", "new", version=2)
    assert (cache.get("a"), cache.get("a", version=2)) == ("old", "new")
    with redis.Redis(port=port) as client:
        assert sorted(client.keys("*")) == [b"shop:1:a", b"shop:2:a"]


def test_hashes_and_sets(cache: "RedisCache") -> None:
    if not hasattr(cache, "hset"):
        pytest.skip("this django-redis has no hashes")
    cache.hset("h", "f", "v")
    assert cache.hkeys("h") == ["f"] and cache.hexists("h", "f") and cache.hlen("h") == 1
    cache.sadd("s", "a", "b")
    assert cache.scard("s") == 2 and cache.sismember("s", "a")
