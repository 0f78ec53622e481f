"""Commands about keys of any type, databases, scripts and functions."""

from hashlib import sha1

from broker.formats.packed.crc64 import crc64
from tests.oracle.effects.cases import FIXED, PAST, SOON, Cases, after, silent

__all__ = ["KEYS"]

SECONDS = SOON // 1000

EVERY_TYPE = (
    f"SET k v {FIXED}; RPUSH l a b; SADD s a 1; ZADD z 1 a 2.5 b; HSET h a 1 b 2; XADD x 1-1 a 1;"
    " XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >; PFADD p a b"
)
EVERY_KEY = ("k", "l", "s", "z", "h", "x", "p")
EXPIRING = f"HSET h a 1 b 2; HPEXPIREAT h {SOON} FIELDS 1 a"

DEADLINES = {"expire": 1000, "pexpire": 100_000_000, "expireat": SECONDS - 5, "pexpireat": SOON - 5}

SCRIPT = (
    "redis.call('INCRBYFLOAT', KEYS[1], ARGV[1]) redis.call('SPOP', KEYS[2])"
    " return redis.call('SET', KEYS[3], 1, 'EX', 10000)"
)
LIBRARY = """#!lua name=lib
redis.register_function('f', function(keys, args)
    redis.call('HSET', keys[1], 'f', args[1])
    redis.call('RPUSH', keys[2], 1, 2)
    return redis.call('LMPOP', 1, keys[2], 'LEFT')
end)
redis.register_function{function_name='g', callback=function() return 1 end, flags={'no-writes'}}"""
SMALL = "#!lua name=lib\nredis.register_function('f', function() end)"
OTHER = "#!lua name=other\nredis.register_function('o', function() return redis.call('SET', 'o', 'x') end)"

# A function's opcode, the length in 14 bits, the code, and version 10.
_RECORD = b"\xf5" + (0x4000 | len(OTHER)).to_bytes(2, "big") + OTHER.encode() + b"\x0a\x00"
FUNCTIONS = _RECORD + crc64(_RECORD).to_bytes(8, "little")

RESTORED = [["RESTORE", f"new-{name}", 0, f"{{DUMP {name}}}"] for name in EVERY_KEY]

KEYS: Cases = {
    **{
        name: after(
            f"SET k v; SET t v {FIXED}",
            *(f"{name.upper()} k {when}{rest}" for rest in ("", " NX", " LT")),
            f"{name.upper()} t {when} XX",
            f"{name.upper()} t {when + 10_000_000_000_000 // (1 if name[0] == 'p' else 1000)} GT",
            f"{name.upper()} k 0",
            f"{name.upper()} t -1",
        )
        for name, when in DEADLINES.items()
    },
    "persist": [*after(f"SET k v {FIXED}", "PERSIST k"), *silent("SET k v", "PERSIST k")],
    "del": after(EVERY_TYPE, "DEL k none l x"),
    "unlink": after(EVERY_TYPE, "UNLINK k none l x"),
    "rename": after(EVERY_TYPE, "RENAME k new", "RENAME h l", "RENAME x k"),
    "renamenx": [*after(EVERY_TYPE, "RENAMENX k new"), *silent(EVERY_TYPE, "RENAMENX k l")],
    "copy": [
        *after(EVERY_TYPE, *(f"COPY {name} new" for name in EVERY_KEY), "COPY x k REPLACE", "COPY k k DB 2"),
        *after(EXPIRING, "COPY h new"),
    ],
    "move": after(EVERY_TYPE, *(f"MOVE {name} 3" for name in EVERY_KEY)),
    "migrate": [
        *after(EVERY_TYPE, "MIGRATE 127.0.0.1 {PORT} k 9 10000 REPLACE",
               "MIGRATE 127.0.0.1 {PORT} '' 9 10000 REPLACE KEYS k l h",
               "MIGRATE 127.0.0.1 {PORT} l 9 10000 REPLACE AUTH2 default x"),
        *silent(EVERY_TYPE, "MIGRATE 127.0.0.1 {PORT} k 9 10000 COPY REPLACE"),
    ],
    "restore": [
        *after(EVERY_TYPE, *RESTORED, ["RESTORE", "k", 100_000_000, "{DUMP l}", "REPLACE"],
               ["RESTORE", "k", SOON, "{DUMP l}", "ABSTTL", "REPLACE", "IDLETIME", 50],
               ["RESTORE", "k", PAST, "{DUMP l}", "ABSTTL", "REPLACE"], ["RESTORE", "new", 0, "{DUMP l}", "FREQ", 5],
               *(["RESTORE", "new", 0, f"{{NEWER DUMP {name}}}"] for name in EVERY_KEY)),
        *after(EXPIRING, ["RESTORE", "new", 0, "{DUMP h}"], ["RESTORE", "h", SOON, "{DUMP h}", "ABSTTL", "REPLACE"],
               ["RESTORE", "h", 5_000_000, "{DUMP h}", "REPLACE", "FREQ", 5]),
        *after(f"{EVERY_TYPE}; XREADGROUP GROUP g idle STREAMS x >", ["RESTORE", "new", 0, "{DUMP x}"]),
        *after("XADD x IDMP p i * a 1", ["RESTORE", "new", 0, "{DUMP x}"]),
        *after("XADD x 1-1 a 1; XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >; XNACK x g FAIL IDS 1 1-1",
               ["RESTORE", "new", 0, "{DUMP x}"]),
    ],
    "restore-asking": after(EVERY_TYPE, ["RESTORE-ASKING", "new", 0, "{DUMP z}"],
        ["RESTORE-ASKING", "k", SOON, "{DUMP l}", "ABSTTL", "REPLACE", "IDLETIME", 50],
        ["RESTORE-ASKING", "new", 100_000_000, "{DUMP l}", "FREQ", 5],
    ),
    "sort": [
        *after("RPUSH l 3 1 2; SADD s 3 1 2; SET w1 9; SET w2 8; SET w3 7; SET v1 x; HSET h1 f y",
               "SORT l STORE d", "SORT l DESC LIMIT 0 2 STORE d", "SORT s BY w* GET # GET v* GET h*->f STORE d",
               "SORT s BY nosort STORE d", "SORT l ALPHA ASC STORE l", "SORT none STORE l"),
        *silent("RPUSH l 3 1 2", "SORT l"),
    ],
    "flushdb": after(f"{EVERY_TYPE}; MOVE k 1", "FLUSHDB", "FLUSHDB ASYNC", "FLUSHDB SYNC"),
    "flushall": after(f"{EVERY_TYPE}; MOVE k 1", "FLUSHALL", "FLUSHALL ASYNC", "FLUSHALL SYNC"),
    "swapdb": after(f"{EVERY_TYPE}; COPY k new DB 1; MOVE k 1", "SWAPDB 0 1", "SWAPDB 0 5"),
    "trimslots": silent("SET k v", "TRIMSLOTS RANGES 1 0 5"),
    "publish": silent("", "PUBLISH c m"),
    "spublish": silent("", "SPUBLISH c m"),
    "eval": after(
        EVERY_TYPE, ["EVAL", SCRIPT, 3, "n", "s", "k", "0.1"],
        ["EVAL", "return redis.call('XADD', KEYS[1], '*', 'a', 1)", 1, "x"],
        ["EVAL", "redis.call('SELECT', 2) return redis.call('SET', 'k', 1)", 0],
    ),
    "evalsha": after(
        [*EVERY_TYPE.split("; "), ["SCRIPT", "LOAD", SCRIPT]],
        ["EVALSHA", sha1(SCRIPT.encode()).hexdigest(), 3, "n", "s", "k", "0.1"],
    ),
    "function|load": [
        *after("", ["FUNCTION", "LOAD", LIBRARY]),
        *after([["FUNCTION", "LOAD", SMALL]], ["FUNCTION", "LOAD", "REPLACE", LIBRARY]),
    ],
    "function|delete": after([["FUNCTION", "LOAD", LIBRARY]], "FUNCTION DELETE lib"),
    "function|flush": after(
        [["FUNCTION", "LOAD", LIBRARY]], "FUNCTION FLUSH", "FUNCTION FLUSH ASYNC", "FUNCTION FLUSH SYNC"
    ),
    "function|restore": [
        *after([["FUNCTION", "LOAD", LIBRARY], ["FUNCTION", "LOAD", OTHER]],
               ["FUNCTION", "RESTORE", "{FUNCTION DUMP}", "FLUSH"], ["FUNCTION", "RESTORE", "{FUNCTION DUMP}",
               "REPLACE"],
               ["FUNCTION", "RESTORE", "{NEWER FUNCTION DUMP}", "REPLACE"]),
        *after("", ["FUNCTION", "RESTORE", FUNCTIONS], ["FUNCTION", "RESTORE", FUNCTIONS, "APPEND"]),
    ],
    "fcall": after([["FUNCTION", "LOAD", LIBRARY]], "FCALL f 2 h l v"),
}  # fmt: skip
