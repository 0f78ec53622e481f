"""Lists, sets, sorted sets, positions on the earth, and hashes."""

from tests.oracle.effects.cases import PAST, SOON, Cases, after, served, silent

__all__ = ["COLLECTIONS"]

SECONDS = SOON // 1000

THREE = "RPUSH l a b c; RPUSH m x y"

LISTS: Cases = {
    "lpush": after("", "LPUSH l a b"),
    "rpush": [*after("", "RPUSH l a b"), *served("", "BLPOP l 0", "RPUSH l a b")],
    "lpushx": [*after(THREE, "LPUSHX l a b"), *silent("", "LPUSHX l a")],
    "rpushx": after(THREE, "RPUSHX l a b"),
    "lpop": after(THREE, "LPOP l", "LPOP l 2", "LPOP l 10"),
    "rpop": after(THREE, "RPOP l", "RPOP l 2", "RPOP l 10"),
    "lset": after(THREE, "LSET l 1 v", "LSET l -1 v"),
    "ltrim": after(THREE, "LTRIM l 1 1", "LTRIM l 5 9"),
    "linsert": after(THREE, "LINSERT l BEFORE b v", "LINSERT l AFTER c v"),
    "lrem": after("RPUSH l a b a b a", "LREM l 2 a", "LREM l -1 b", "LREM l 0 a"),
    "blpop": [*after(THREE, "BLPOP none l m 0"), *served("", "BLPOP l m 0", "RPUSH m 1 2")],
    "brpop": [*after(THREE, "BRPOP none l m 0"), *served("", "BRPOP l m 0", "RPUSH m 1 2")],
    "lmpop": after(THREE, "LMPOP 2 none l LEFT", "LMPOP 1 l RIGHT COUNT 2", "LMPOP 1 l LEFT COUNT 10"),
    "blmpop": [
        *after(THREE, "BLMPOP 0 2 none l LEFT", "BLMPOP 0 1 l RIGHT COUNT 2"),
        *served("", "BLMPOP 0 2 l m RIGHT COUNT 2", "RPUSH m 1 2 3"),
    ],
    "lmove": after(THREE, "LMOVE l m LEFT RIGHT", "LMOVE l m RIGHT LEFT", "LMOVE l l LEFT RIGHT",
                   "LMOVE l n LEFT LEFT"),
    "rpoplpush": after(THREE, "RPOPLPUSH l m", "RPOPLPUSH l l"),
    "blmove": [
        *after(THREE, "BLMOVE l m LEFT RIGHT 0", "BLMOVE l m RIGHT LEFT 0"),
        *served("", "BLMOVE l m LEFT LEFT 0", "RPUSH l 1 2"),
        *served("", "BLMOVE l m RIGHT RIGHT 0", "MULTI; RPUSH l 1 2; RPUSH m z; EXEC"),
    ],
    "brpoplpush": [*after(THREE, "BRPOPLPUSH l m 0"), *served("", "BRPOPLPUSH l m 0", "RPUSH l 1 2")],
    "lmovem": after(
        THREE, "LMOVEM l m LEFT RIGHT", "LMOVEM l m LEFT LEFT COUNT 2 OBO", "LMOVEM l m LEFT LEFT COUNT 2 BULK",
        "LMOVEM l m RIGHT RIGHT COUNT 2 BULK", "LMOVEM l m RIGHT LEFT EXACTLY 3 BULK",
        "LMOVEM l m RIGHT LEFT EXACTLY 3 OBO", "LMOVEM l l LEFT RIGHT COUNT 2 BULK",
        "LMOVEM l n LEFT RIGHT COUNT 9 OBO",
    ),
    "blmovem": [
        *after(THREE, "BLMOVEM l m LEFT RIGHT 0 COUNT 2 OBO", "BLMOVEM l m RIGHT LEFT 0 EXACTLY 2 BULK",
               "BLMOVEM l m LEFT LEFT 0"),
        *served("", "BLMOVEM l m LEFT LEFT 0 COUNT 2 BULK", "RPUSH l 1 2 3"),
        *served("RPUSH l 1", "BLMOVEM l m RIGHT RIGHT 0 EXACTLY 3 OBO", "RPUSH l 2 3 4"),
    ],
}  # fmt: skip

SETS: Cases = {
    "sadd": after("", "SADD s a b c", "SADD s 1 2 3", "SADD s 1 2 a"),
    "srem": after("SADD s a b c", "SREM s a z", "SREM s a b c"),
    "spop": after("SADD s a b c d", "SPOP s", "SPOP s 2", "SPOP s 3", "SPOP s 10"),
    "smove": after("SADD s a b; SADD t x", "SMOVE s t a", "SMOVE s new b"),
    "sinterstore": after("SADD s a b; SADD t b c; SADD d x", "SINTERSTORE d s t", "SINTERSTORE d s none"),
    "sunionstore": after("SADD s a b; SADD t b c; SADD d x", "SUNIONSTORE d s t", "SUNIONSTORE d none"),
    "sdiffstore": after("SADD s a b; SADD t b c; SADD d x", "SDIFFSTORE d s t", "SDIFFSTORE d s s"),
}

TWO = "ZADD z 1 a 2 b 2.5 c; ZADD y 10 b 0.1 d -inf e"

SORTED_SETS: Cases = {
    "zadd": after(
        TWO, "ZADD z 5 n", "ZADD z NX 5 a 6 n", "ZADD z XX CH 5 a 6 n", "ZADD z GT 0 a 9 b", "ZADD z LT CH 0 a 9 b",
        "ZADD z INCR 0.1 a", "ZADD z XX INCR -1 a", "ZADD z 1.1e300 x inf y",
    ),
    "zincrby": after(TWO, "ZINCRBY z 0.3 a", "ZINCRBY z 1e-7 new", "ZINCRBY y inf b"),
    "zrem": after(TWO, "ZREM z a q", "ZREM z a b c"),
    "zpopmin": after(TWO, "ZPOPMIN z", "ZPOPMIN z 2", "ZPOPMIN z 9"),
    "zpopmax": after(TWO, "ZPOPMAX z", "ZPOPMAX z 2"),
    "bzpopmin": [*after(TWO, "BZPOPMIN none z 0"), *served("", "BZPOPMIN z 0", "ZADD z 1 a 2 b")],
    "bzpopmax": [*after(TWO, "BZPOPMAX none z 0"), *served("", "BZPOPMAX z 0", "ZADD z 1 a 2 b")],
    "zmpop": after(TWO, "ZMPOP 2 none z MIN", "ZMPOP 1 z MAX COUNT 2", "ZMPOP 1 z MIN COUNT 9"),
    "bzmpop": [
        *after(TWO, "BZMPOP 0 2 none z MIN", "BZMPOP 0 1 z MAX COUNT 2"),
        *served("", "BZMPOP 0 1 z MIN COUNT 2", "ZADD z 1 a 2 b 3 c"),
    ],
    "zrangestore": after(
        TWO, "ZRANGESTORE d z 0 1", "ZRANGESTORE d z 0 1 REV", "ZRANGESTORE d z (1 +inf BYSCORE LIMIT 0 1",
        "ZRANGESTORE d z - [b BYLEX", "ZRANGESTORE z z 5 9",
    ),
    "zremrangebyrank": after(TWO, "ZREMRANGEBYRANK z 0 1", "ZREMRANGEBYRANK z 0 -1"),
    "zremrangebyscore": after(TWO, "ZREMRANGEBYSCORE z 1 2", "ZREMRANGEBYSCORE z (1 +inf"),
    "zremrangebylex": after("ZADD z 0 a 0 b 0 c", "ZREMRANGEBYLEX z [b +"),
    **{
        f"z{operation}store": after(
            f"{TWO}; SADD s b q; ZADD d 1 x", f"Z{operation.upper()}STORE d 2 z y",
            f"Z{operation.upper()}STORE d 3 z y s WEIGHTS 0.1 0.2 3 AGGREGATE SUM",
            f"Z{operation.upper()}STORE d 2 z y AGGREGATE MIN", f"Z{operation.upper()}STORE d 2 z y AGGREGATE MAX",
            f"Z{operation.upper()}STORE d 2 z y AGGREGATE COUNT", f"Z{operation.upper()}STORE z 2 z s AGGREGATE COUNT",
            f"Z{operation.upper()}STORE d 2 z y WEIGHTS 2 3 AGGREGATE COUNT",
            f"Z{operation.upper()}STORE d 2 none nothing AGGREGATE COUNT",
        )
        for operation in ("union", "inter")
    },
    "zdiffstore": after(TWO, "ZDIFFSTORE d 2 z y", "ZDIFFSTORE z 2 z z"),
}  # fmt: skip

SICILY = "GEOADD g 13.361389 38.115556 palermo 15.087269 37.502669 catania 13.583333 37.316667 agrigento"
RADIUS = "15 37 200 km COUNT 2 ASC STORE d", "15 37 200000 m COUNT 2 ANY STOREDIST d", "15 37 200 mi DESC STORE d"
SHAPES = (
    "FROMLONLAT 15 37 BYRADIUS 200 km ASC", "FROMMEMBER catania BYBOX 400 400 km DESC COUNT 2 STOREDIST",
    "FROMMEMBER catania BYRADIUS 900000 ft COUNT 1 ANY", "FROMLONLAT 15 37 BYBOX 400000 400000 m",
    "FROMLONLAT 15 37 BYBOX 200 300 mi STOREDIST",
)  # fmt: skip

POSITIONS: Cases = {
    "geoadd": after(SICILY, "GEOADD g 1 2 new", "GEOADD g NX 1 2 palermo 3 4 new",
                    "GEOADD g XX CH 1 2 palermo 3 4 new"),
    "georadius": [
        *after(SICILY, *(f"GEORADIUS g {rest}" for rest in RADIUS), "GEORADIUS g 15 37 900000 ft STOREDIST d"),
        *silent(SICILY, "GEORADIUS g 15 37 200 km WITHCOORD WITHDIST WITHHASH"),
    ],
    "georadiusbymember": [
        *after(SICILY, *(f"GEORADIUSBYMEMBER g catania {rest[6:]}" for rest in RADIUS),
               "GEORADIUSBYMEMBER g catania 900000 ft STOREDIST d"),
        *silent(SICILY, "GEORADIUSBYMEMBER g catania 200 km WITHCOORD WITHDIST WITHHASH"),
    ],
    "geosearchstore": after(SICILY, *(f"GEOSEARCHSTORE d g {shape}" for shape in SHAPES)),
}  # fmt: skip

PLAIN = "HSET h a 1 b 2 c 3"
FIELDS = f"{PLAIN}; HPEXPIREAT h {SOON} FIELDS 2 b c"

HASHES: Cases = {
    "hset": [*after(PLAIN, "HSET h a 5 n 7"), *after(FIELDS, "HSET h a 5 b 6 n 7", "HSET new a 1")],
    "hmset": [*after(PLAIN, "HMSET h a 5 n 7"), *after(FIELDS, "HMSET h a 5 b 6 n 7")],
    "hsetnx": [*after(PLAIN, "HSETNX h n 1"), *after(FIELDS, "HSETNX h n 1"), *silent(FIELDS, "HSETNX h a 1")],
    "hdel": [*after(PLAIN, "HDEL h a b q"), *after(FIELDS, "HDEL h a b q", "HDEL h a b c")],
    "hincrby": [*after(PLAIN, "HINCRBY h a 5"), *after(FIELDS, "HINCRBY h a 5", "HINCRBY h b -5", "HINCRBY h n 5")],
    "hincrbyfloat": [
        *after(FIELDS, "HINCRBYFLOAT h a 0.1", "HINCRBYFLOAT h b 0.1", "HINCRBYFLOAT h n 1e-9"),
        *after(PLAIN, "HINCRBYFLOAT h a 0.1", "HINCRBYFLOAT new a 0.1"),
    ],
    "hpersist": after(FIELDS, "HPERSIST h FIELDS 3 a b q"),
    **{
        name: [
            *after(FIELDS, f"{name.upper()} h {soon} FIELDS 3 a b q", f"{name.upper()} h {soon} NX FIELDS 3 a b q",
                   f"{name.upper()} h {soon} XX FIELDS 3 a b q", f"{name.upper()} h {late} GT FIELDS 2 a b",
                   f"{name.upper()} h {soon} LT FIELDS 2 a b", f"{name.upper()} h 0 FIELDS 2 a b"),
            *after(PLAIN, f"{name.upper()} h 0 FIELDS 2 a b", f"{name.upper()} h 0 FIELDS 3 a b c"),
        ]
        for name, (soon, late) in {
            "hexpire": (1000, SECONDS), "hpexpire": (100_000_000, SOON), "hexpireat": (SECONDS - 5, SECONDS + 5),
            "hpexpireat": (SOON - 5, SOON + 5),
        }.items()
    },
    "hgetex": [
        *after(FIELDS, "HGETEX h PERSIST FIELDS 2 a b", "HGETEX h EX 1000 FIELDS 2 a q",
               "HGETEX h PX 100000000 FIELDS 1 b", f"HGETEX h EXAT {SECONDS} FIELDS 1 a",
               f"HGETEX h PXAT {SOON} FIELDS 1 a",
               f"HGETEX h PXAT {PAST} FIELDS 1 b"),
        *after(PLAIN, f"HGETEX h PXAT {PAST} FIELDS 2 a q"),
        *silent(FIELDS, "HGETEX h FIELDS 1 a"),
    ],
    "hsetex": [
        *after("HSET h a 1 b 2", "HSETEX h FIELDS 2 a 5 n 6", "HSETEX h FXX FIELDS 1 a 5", "HSETEX h FNX FIELDS 1 n 5",
               "HSETEX h KEEPTTL FIELDS 1 a 5", f"HSETEX h PXAT {PAST} FIELDS 1 a 5",
               f"HSETEX h PXAT {PAST} FIELDS 2 a 5 b 6"),
        *after(FIELDS, "HSETEX h FIELDS 2 a 5 b 6", "HSETEX h KEEPTTL FIELDS 3 a 5 b 6 n 7",
               "HSETEX h EX 1000 FIELDS 1 a 5",
               "HSETEX h PX 100000000 FIELDS 2 a 5 n 6", f"HSETEX h EXAT {SECONDS} FIELDS 1 b 5",
               f"HSETEX h FXX PXAT {SOON} FIELDS 2 a 5 b 6", "HSETEX h FIELDS 3 b 1 b 2 b 3",
               "HSETEX h KEEPTTL FIELDS 2 b 1 b 2"),
        *silent("HSET h a 1", "HSETEX h FNX FIELDS 2 a 5 n 6"),
    ],
    "hgetdel": [*after(PLAIN, "HGETDEL h FIELDS 2 a q"), *after(FIELDS, "HGETDEL h FIELDS 2 a b",
                       "HGETDEL h FIELDS 3 a b c"), *silent(FIELDS, "HGETDEL h FIELDS 1 q")],
    "himport|set": after(f"HIMPORT PREPARE f b a; {FIELDS}", "HIMPORT SET new f 1 2", "HIMPORT SET h f 5 6")
    + after(f"HIMPORT PREPARE f b a; {PLAIN}", "HIMPORT SET h f 5 6"),
}  # fmt: skip

COLLECTIONS: Cases = {**LISTS, **SETS, **SORTED_SETS, **POSITIONS, **HASHES}
