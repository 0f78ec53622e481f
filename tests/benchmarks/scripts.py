"""The scripts whose EVALSHA is measured: from one that does nothing to one that mostly calls, and one of JSON."""

import hashlib
import json
from typing import Final

TRIVIAL: Final = "return 1"

ONE_CALL: Final = "return redis.call('GET', KEYS[1])"

RATE_LIMITER: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now - ARGV[1])
local used = redis.call('ZCARD', KEYS[1])
if used >= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[1], now, time[1] .. time[2])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return ARGV[2] - used
"""
"""A window of ARGV[1] milliseconds in which KEYS[1] may be used ARGV[2] times: five calls."""

LOOP: Final = """
for i = 1, 50 do
  redis.call('HSET', KEYS[1], i, ARGV[1])
  redis.call('HGET', KEYS[1], i)
end
"""
"""A hundred calls."""

JSON: Final = "return #cjson.encode(cjson.decode(ARGV[1]))"

_ORDER = {
    "id": 1234567,
    "customer": {"name": "Grace Hopper", "email": "grace@example.org", "since": 1952.5, "active": True},
    "items": [{"sku": f"item-{n:06}", "quantity": n, "price": n * 1.25, "gift": n % 2 == 0} for n in range(12)],
}
DOCUMENT: Final = json.dumps({**_ORDER, "note": "x" * (1024 - 12 - len(json.dumps(_ORDER)))})
"""What JSON is given: 1 KiB of objects in a list, strings and numbers."""


def sha(script: str) -> str:
    """The digest by which EVALSHA calls it."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
