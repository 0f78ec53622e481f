"""The scripts whose EVALSHA is measured: one that does nothing, one that is typical, one that mostly calls."""

import hashlib
from typing import Final

TRIVIAL: Final = "return 1"

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


def sha(script: str) -> str:
    """The digest by which EVALSHA calls it."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
