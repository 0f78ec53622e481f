"""Strings, counters, bits and HyperLogLogs."""

from tests.oracle.effects.cases import FIXED, PAST, SOON, Cases, after, silent

__all__ = ["STRINGS"]

SECONDS = SOON // 1000

STRINGS: Cases = {
    "set": [
        *after("", "SET k v", "SET k v NX", "SET k v GET", f"SET k v {FIXED}", f"SET k v EXAT {SECONDS}",
               "SET k v EX 1000 NX GET", "SET k v PX 100000000", "SET k v IFNE x", "SET k 12", 'SET "" ""'),
        *after(f"SET k old {FIXED}", "SET k v", "SET k v XX", "SET k v KEEPTTL", "SET k v XX KEEPTTL GET",
               "SET k v IFEQ old", "SET k v IFEQ old KEEPTTL", "SET k v IFNE other EX 5000 GET",
               ["SET", "k", "v", "IFDEQ", "{DIGEST k}"], "SET k v IFDNE 0000000000000000 KEEPTTL",
               f"SET k v PXAT {PAST}", "SET k v GET XX EX 1000"),
        *after("RPUSH k a", "SET k v", "SET k v XX"),
        *silent("SET k old", "SET k v NX", "SET k v IFEQ other"),
    ],
    "setnx": [*after("", "SETNX k v"), *silent("SET k v", "SETNX k w")],
    "setex": after("SET k v", "SETEX k 1000 w"),
    "psetex": after("RPUSH k v", "PSETEX k 100000000 w"),
    "getset": [*after("", "GETSET k v"), *after(f"SET k v {FIXED}", "GETSET k w")],
    "getdel": after("SET k v", "GETDEL k"),
    "getex": [
        *after("SET k v EX 10000", "GETEX k PERSIST", "GETEX k EX 1000", "GETEX k PX 100000000",
               f"GETEX k EXAT {SECONDS}", f"GETEX k PXAT {SOON}", f"GETEX k PXAT {PAST}"),
        *silent("SET k v", "GETEX k", "GETEX k PERSIST", "GETEX other EX 10000"),
    ],
    "mset": after(f"SET b 2 {FIXED}; RPUSH c x", "MSET a 1 b 3 c 4 a 5"),
    "msetnx": [*after("", "MSETNX a 1 b 2"), *silent("SET a 1", "MSETNX a 1 b 2")],
    "msetex": [
        *after(f"SET b old {FIXED}; RPUSH c x", "MSETEX 2 a 1 b 2", "MSETEX 2 a 1 b 2 KEEPTTL",
               "MSETEX 3 a 1 b 2 c 3 EX 1000", "MSETEX 2 a 1 b 2 PX 100000000", f"MSETEX 2 a 1 b 2 EXAT {SECONDS}",
               f"MSETEX 2 a 1 b 2 PXAT {SOON}", "MSETEX 1 b 2 XX", "MSETEX 1 b 2 XX KEEPTTL", "MSETEX 1 a 2 NX",
               f"MSETEX 2 a 1 b 2 PXAT {PAST}"),
        *silent("SET a 1", "MSETEX 2 a 1 b 2 NX", "MSETEX 2 a 1 b 2 XX"),
    ],
    "append": after(f"SET k v {FIXED}", "APPEND k w", "APPEND new w"),
    "setrange": after("SET k value", "SETRANGE k 2 xyz", "SETRANGE k 10 x", "SETRANGE new 3 x"),
    "incr": after("SET k 5 EX 1000", "INCR k", "INCR new"),
    "decr": after("SET k 5", "DECR k", "DECR new"),
    "incrby": after("SET k 5", "INCRBY k 7", "INCRBY k -7"),
    "decrby": after("SET k 5", "DECRBY k 7"),
    "incrbyfloat": after(f"SET k 5.1 {FIXED}", "INCRBYFLOAT k 0.1", "INCRBYFLOAT new 3e-20", "INCRBYFLOAT k -5.1"),
    "increx": [
        *after("", "INCREX k", "INCREX k BYINT 5", "INCREX k BYFLOAT 1.5", "INCREX k EX 1000",
               "INCREX k BYINT 5 UBOUND 3 SATURATE", "INCREX k BYINT -5 LBOUND -3 SATURATE EX 5000 ENX"),
        *after(f"SET k 10 {FIXED}", "INCREX k", "INCREX k BYINT 5 EX 10000 ENX", "INCREX k BYFLOAT 0.1 PX 100000000",
               f"INCREX k BYINT 2 EXAT {SECONDS}", f"INCREX k PXAT {SOON}", "INCREX k PERSIST",
               f"INCREX k PXAT {PAST}", "INCREX k BYINT 5 UBOUND 12 SATURATE"),
        *silent("SET k 10", "INCREX k BYINT 5 UBOUND 12"),
    ],
    "delex": [
        *after("SET k v", "DELEX k", "DELEX k IFEQ v", "DELEX k IFNE w", ["DELEX", "k", "IFDEQ", "{DIGEST k}"],
               "DELEX k IFDNE 0000000000000000"),
        *silent("SET k v", "DELEX k IFEQ w"),
    ],
    "delifeq": [*after("SET k v", "DELIFEQ k v"), *silent("SET k v", "DELIFEQ k w")],
    "setbit": after("SET k abc", "SETBIT k 5 1", "SETBIT new 100 1", "SETBIT k 1 0"),
    "bitop": [
        *after('SET a "\\xf0\\x0f\\xaa"; SET b "\\xff\\x00"; SET c "\\x33"', "BITOP AND d a b c", "BITOP OR d a b c",
               "BITOP XOR d a b", "BITOP NOT d a", "BITOP DIFF d a b c", "BITOP DIFF1 d a b c", "BITOP ANDOR d a b c",
               "BITOP ONE d a b c", "BITOP DIFF a a b", "BITOP ONE a none"),
        *after(f"SET d x {FIXED}", "BITOP DIFF d none nothing", "BITOP AND d none"),
    ],
    "bitfield": [
        *after("SET k abcdef", "BITFIELD k SET u8 0 255", "BITFIELD k INCRBY i5 #2 3 GET u4 0",
               "BITFIELD k OVERFLOW SAT INCRBY u4 0 100 OVERFLOW FAIL INCRBY u2 0 100 OVERFLOW WRAP INCRBY u2 3 9"),
        *silent("SET k abcdef", "BITFIELD k GET u8 0", "BITFIELD k OVERFLOW FAIL INCRBY u2 0 100"),
    ],
    "pfadd": after("PFADD h a b c; PFCOUNT h", "PFADD h d e f", "PFADD new", "PFADD new a"),
    "pfcount": [*after("PFADD h a b", "PFCOUNT h"), *silent("PFADD h a; PFADD i b; PFCOUNT h", "PFCOUNT h",
                       "PFCOUNT h i")],
    "pfmerge": after("PFADD h a b; PFADD i c d", "PFMERGE h i", "PFMERGE new h i", "PFMERGE new"),
    "pfdebug": [
        *after("PFADD h a b", "PFDEBUG TODENSE h", "PFDEBUG GETREG h"),
        *silent("PFADD h a b", "PFDEBUG ENCODING h", "PFDEBUG DECODE h"),
    ],
}  # fmt: skip
