"""Streams and their consumer groups."""

from tests.oracle.effects.cases import SOON, Case, Cases, after, served, silent

__all__ = ["STREAMS"]

GROUPS = (
    "XADD x 1-1 a 1; XADD x 1-2 a 2 b 3; XADD x 2-1 a 4; XADD x 3-1 c 5; XGROUP CREATE x g 0; XGROUP CREATE x other 0;"
    " XGROUP CREATECONSUMER x g idle"
)
"""A stream of four entries, with two groups that have read nothing."""

READ = (
    f"{GROUPS}; XREADGROUP GROUP g c1 COUNT 2 STREAMS x >; XREADGROUP GROUP g c2 COUNT 1 STREAMS x >;"
    " XREADGROUP GROUP other c COUNT 2 STREAMS x >"
)
"""1-1 and 1-2 are pending in both groups, 2-1 in g; 3-1 is unread."""

RELEASED = f"{READ}; XNACK x g FAIL IDS 1 1-1"

GOVERNED = f"{READ}; XGROUP CFGSET x g ACKWAIT 100000 MAXDELIVER 3 DEADLETTER dlq"
"""The same group under a policy; nothing is due."""

SINGLE = f"{READ}; XGROUP DESTROY x other; XCFGSET x RETAIN WORKQUEUE"
"""The stream is a work queue, with one group."""

OVERDUE = f"{GOVERNED}; XCLAIM x g c1 0 1-1 2-1 IDLE 500000 RETRYCOUNT 2"

CFGSET = "XGROUP CFGSET x g ACKWAIT 100000 MAXDELIVER 3 DEADLETTER dlq"

DYING = f"{READ}; XCLAIM x g c1 0 2-1 IDLE 500000 RETRYCOUNT 3"
"""With the policy, 2-1 dies at once."""

ORDERED = (
    "XADD x 1-1 v a; XADD x 2-1 v b; XADD x 3-1 v a; XADD x 4-1 v b; XADD x 5-1 v c; XADD x 6-1 v a; XADD x 7-1 w a;"
    " XGROUP CREATE x g 0; XGROUP CFGSET x g ORDERBY v MAXINFLIGHT 5 ACKWAIT 100000; XREADGROUP GROUP g c1 STREAMS x >"
)
"""In g, 3-1, 4-1 and 6-1 are parked, and the others in flight."""

PASSED_OVER = (
    f"{READ}; XACK x g 1-2; XACK x other 1-2; XREADGROUP GROUP g c2 STREAMS x >; XREADGROUP GROUP other c STREAMS x >;"
    " XACK x g 2-1; XACK x other 2-1"
)
"""Of the entries 1-1 and 3-1 are still referred to, 1-2 and 2-1 between them are not."""

MANY = [["EVAL", "for i = 1, 250 do redis.call('XADD', 'x', i .. '-1', 'a', i) end", 0]]

PRODUCED = "XADD x IDMP p i1 * a 1; XADD x IDMP p i2 * a 2"

ANSWER_ALL = [
    [
        "EVAL",
        "redis.call('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 'x', '>');"
        "for _, entry in ipairs(redis.call('XPENDING', 'x', 'g', '-', '+', 10)) do"
        " redis.call('XREPLY', 'x', 'g', entry[1], 'v') end",
        0,
    ]
]
"""Reads all that is new, and answers whoever has called for it."""

ADDING: Cases = {
    "xadd": [
        *after("", "XADD x * a 1", "XADD x 5-* a 1 b 2", "XADD x 5-1 a 1", "XADD x 5 a 1", "XADD x MAXLEN 5 * a 1"),
        *silent("", "XADD x NOMKSTREAM * a 1"),
        *after(READ, "XADD x NOMKSTREAM * a 1", "XADD x MAXLEN 2 * a 1", "XADD x MAXLEN = 2 * a 1",
               "XADD x MAXLEN ~ 2 * a 1", "XADD x MINID 2-1 * a 1", "XADD x MINID = 2 9-9 a 1",
               "XADD x KEEPREF MAXLEN 2 * a 1", "XADD x DELREF MAXLEN 2 * a 1", "XADD x ACKED MAXLEN 2 * a 1",
               "XADD x DELREF MINID = 2-1 * a 1", "XADD x MAXLEN 0 * a 1"),
        *after(PASSED_OVER, "XADD x ACKED MAXLEN 2 * a 1", "XADD x MAXLEN 2 * a 1", "XADD x ACKED MINID 2-1 * a 1"),
        *after(f"{PASSED_OVER}; XADD x 4-1 a 1; XDEL x 4-1", "XADD x ACKED MAXLEN 2 * a 1"),
        *after(MANY, "XADD x MAXLEN ~ 100 * a 1", "XADD x MAXLEN ~ 100 LIMIT 100 * a 1", "XADD x MINID ~ 150-1 * a 1",
               "XADD x KEEPREF MAXLEN ~ 10 LIMIT 0 * a 1"),
        *after(PRODUCED, "XADD x IDMP p i3 * a 3", "XADD x IDMPAUTO p * a 3", "XADD x IDMP q i1 MAXLEN 2 * a 3"),
        *silent(PRODUCED, "XADD x IDMP p i1 * a 1"),
        *after(f"{READ}; XCFGSET x MAXLEN 2", "XADD x * a 1", "XADD x MAXLEN 1 * a 1", "XADD x 9-* a 1",
               "XADD x MAXLEN ~ 100 * a 1", "XADD x IDMP p i3 * a 3"),
        *after(f"{READ}; XCFGSET x MAXBYTES 100", "XADD x * a 1"),
        *after("XCFGSET x MAXAGE 1000", "XADD x 1-1 a 1"),
        *after("", "XADD x DELAY 100000000 * a 1", f"XADD x AT {SOON} * a 1 b 2", "XADD x DELAY 0 * a 1"),
        *after(READ, f"XADD x NOMKSTREAM MAXLEN ~ 2 AT {SOON} * a 1", "XADD x AT 1 MAXLEN 2 * a 1"),
        # Added while the client waits.
        *served("", "XREAD BLOCK 0 STREAMS x $", "XADD x DELAY 1 MAXLEN 1 * a 1"),
    ],
    # Nobody reads the first entry, so it is removed again.
    "xcall": [*after(READ, "XCALL 1 x * a 1"), *served(READ, "XCALL 0 x * a 1", ANSWER_ALL)],
    "xtrim": [
        *after(READ, "XTRIM x MAXLEN 2", "XTRIM x MAXLEN = 1", "XTRIM x MINID 2", "XTRIM x MAXLEN 2 KEEPREF",
               "XTRIM x MAXLEN 2 DELREF", "XTRIM x MINID = 2-1 DELREF", "XTRIM x MAXLEN 0 DELREF", "XTRIM x MAXLEN 0"),
        *after(PASSED_OVER, "XTRIM x MAXLEN 1 ACKED", "XTRIM x MINID 3 ACKED", "XTRIM x MAXLEN 3 ACKED"),
        *after(f"{PASSED_OVER}; XADD x 4-1 a 1; XDEL x 4-1", "XTRIM x MAXLEN 0 ACKED"),
        *after(f"{READ}; XACK x g 1-1; XACK x other 1-1", "XTRIM x MAXLEN 0 ACKED"),
        *silent(READ, "XTRIM x MAXLEN 3 ACKED", "XTRIM x MAXLEN ~ 2"),
        *after(MANY, "XTRIM x MAXLEN ~ 100", "XTRIM x MINID ~ 150-1", "XTRIM x MAXLEN ~ 0 LIMIT 100"),
    ],
    "xdel": [
        *after(READ, "XDEL x 1-2 3-1", "XDEL x 1-1 9-9", "XDEL x 1-1 1-2 2-1 3-1"),
        *after(READ, ["XDEL", "x", "1-1", f"{{XADD x AT {SOON} * a 1}}"]),
        *after(f"XADD x AT {SOON} * a 1", ["XDEL", "x", f"{{XADD x AT {SOON} * a 1}}"]),
    ],
    "xdelex": [
        *after(READ, "XDELEX x IDS 2 1-2 3-1", "XDELEX x KEEPREF IDS 1 1-1", "XDELEX x DELREF IDS 2 1-2 3-1",
               "XDELEX x DELREF IDS 4 1-1 1-2 2-1 3-1"),
        *after(PASSED_OVER, "XDELEX x ACKED IDS 3 1-1 1-2 2-1"),
        *after(f"{READ}; XDEL x 1-1", "XDELEX x DELREF IDS 1 1-1"),
        *silent(READ, "XDELEX x ACKED IDS 1 1-2"),
    ],
    "xsetid": after(READ, "XSETID x 9-9", "XSETID x 9-9 ENTRIESADDED 50 MAXDELETEDID 2-5"),
    "xcfgset": [
        *after(PRODUCED, "XCFGSET x IDMP-DURATION 50", "XCFGSET x IDMP-MAXSIZE 50 IDMP-DURATION 10"),
        *after(READ, "XCFGSET x MAXLEN 2 DISCARD NEW", "XCFGSET x MAXAGE 100000", "XCFGSET x MAXBYTES 60",
               "XCFGSET x RETAIN INTEREST", "XCFGSET new MAXLEN 5", "XCFGSET x CHANNELS 2 a* b"),
        *after(f"{READ}; XCFGSET x MAXLEN 2 MAXBYTES 5000", "XCFGSET x MAXLEN 0", "XCFGSET x MAXLEN 0 MAXBYTES 0"),
        *after(f"{READ}; XGROUP DESTROY x other; XACK x g 2-1", "XCFGSET x RETAIN WORKQUEUE"),
    ],
    "xidmprecord": after(f"XADD x {SOON}-1 a 1", f"XIDMPRECORD x p i {SOON}-1"),
}  # fmt: skip

CONSUMING: Cases = {
    "xreadgroup": [
        *after(GROUPS, "XREADGROUP GROUP g c STREAMS x >", "XREADGROUP GROUP g c COUNT 2 STREAMS x >",
               "XREADGROUP GROUP g c COUNT 2 NOACK STREAMS x >", "XREADGROUP GROUP g c MAXCOUNT 3 STREAMS x >",
               "XREADGROUP GROUP g c MAXSIZE 1 STREAMS x >", "XREADGROUP GROUP g c BLOCK 10 STREAMS x >",
               "XREADGROUP GROUP g c STREAMS x 0"),
        *after(f"{GROUPS}; XADD y 7-1 a 1; XGROUP CREATE y g 0", "XREADGROUP GROUP g c COUNT 2 STREAMS x y > >",
               "XREADGROUP GROUP g idle MAXCOUNT 3 STREAMS x y > >", "XREADGROUP GROUP g c STREAMS x y > 0"),
        *after(READ, "XREADGROUP GROUP g c3 CLAIM 0 STREAMS x >", "XREADGROUP GROUP g c1 CLAIM 0 COUNT 2 STREAMS x >",
               "XREADGROUP GROUP g c3 STREAMS x 0"),
        *after(RELEASED, "XREADGROUP GROUP g c3 CLAIM 0 STREAMS x >",
               "XREADGROUP GROUP g c1 CLAIM 100000 COUNT 1 STREAMS x >"),
        *after(OVERDUE, "XREADGROUP GROUP g c3 STREAMS x >", "XREADGROUP GROUP g c1 COUNT 1 STREAMS x >",
               "XREADGROUP GROUP g c2 MAXSIZE 1 STREAMS x >", "XREADGROUP GROUP g c3 NOACK STREAMS x >"),
        *after(f"{OVERDUE}; XDEL x 1-1", "XREADGROUP GROUP g c1 STREAMS x >"),
        *after(SINGLE, "XREADGROUP GROUP g c NOACK STREAMS x >", "XREADGROUP GROUP g c NOACK MAXCOUNT 1 STREAMS x >"),
        Case((*DYING.split("; "), "XGROUP CREATE dlq w 0 MKSTREAM"), "XREADGROUP GROUP w c BLOCK 0 STREAMS dlq >",
             (CFGSET,)),
        *after(f"{READ}; XDEL x 2-1 3-1", "XREADGROUP GROUP g c3 STREAMS x >"),
        *after(f"{ORDERED}; XACK x g 1-1 5-1; XADD x 8-1 v c; XADD x 9-1 v a", "XREADGROUP GROUP g c2 STREAMS x >",
               "XREADGROUP GROUP g c2 COUNT 1 STREAMS x >", "XREADGROUP GROUP g c2 NOACK STREAMS x >",
               "XREADGROUP GROUP g c2 CLAIM 0 STREAMS x >", "XREADGROUP GROUP g c2 MAXSIZE 1 STREAMS x >"),
        *after(f"{ORDERED}; XACK x g 1-1; XDEL x 3-1", "XREADGROUP GROUP g c2 STREAMS x >"),
        *after(f"{ORDERED}; XCLAIM x g c1 0 1-1 3-1 IDLE 500000 RETRYCOUNT 2", "XREADGROUP GROUP g c2 STREAMS x >"),
        *after(f"{ORDERED}; XGROUP SETID x g 0; XACK x g 1-1", "XREADGROUP GROUP g c2 STREAMS x >"),
        *served(ORDERED, "XREADGROUP GROUP g c2 BLOCK 0 STREAMS x >", "XACK x g 1-1"),
        *served(ORDERED, "XREADGROUP GROUP g c2 BLOCK 0 STREAMS x >", "XNACK x g FATAL IDS 1 2-1"),
        *served("XGROUP CREATE x g $ MKSTREAM", "XREADGROUP GROUP g c BLOCK 0 STREAMS x >",
                "XADD x * a 1; XADD x * b 2"),
        *served("XGROUP CREATE x g $ MKSTREAM", "XREADGROUP GROUP g c BLOCK 0 NOACK STREAMS x >",
                "MULTI; XADD x * a 1; XADD x * b 2; EXEC"),
        *served(f"{READ}; XREADGROUP GROUP g c2 STREAMS x >",
                "XREADGROUP GROUP g c3 BLOCK 0 CLAIM 10000000 STREAMS x >", "XNACK x g FAIL IDS 1 1-1"),
    ],
    "xack": [
        *after(READ, "XACK x g 1-1 1-2 9-9"),
        *after(RELEASED, "XACK x g 1-1"),
        *silent(READ, "XACK x g 3-1"),
        *after(SINGLE, "XACK x g 1-1", "XACK x g 1-2 2-1", "XACK x g 2-1 1-1"),
    ],
    "xreply": [
        *after(READ, "XREPLY x g 1-1 v", "XREPLY x g 1-2 v DEADLETTER"),
        *silent(READ, "XREPLY x g 3-1 v"),
    ],
    "xackdel": [
        *after(READ, "XACKDEL x g IDS 2 1-1 3-1", "XACKDEL x g KEEPREF IDS 1 1-2", "XACKDEL x g DELREF IDS 2 1-1 2-1",
               "XACKDEL x g ACKED IDS 2 1-1 2-1"),
        *after(f"{READ}; XDEL x 1-1", "XACKDEL x g DELREF IDS 1 1-1"),
    ],
    "xnack": [
        *after(READ, "XNACK x g FAIL IDS 2 1-2 1-1", "XNACK x g SILENT IDS 2 1-1 2-1", "XNACK x g FATAL IDS 1 2-1",
               "XNACK x g FAIL IDS 2 3-1 1-1 FORCE", "XNACK x g FAIL IDS 1 3-1 RETRYCOUNT 5 FORCE"),
        *after(f"{RELEASED}; XGROUP DELCONSUMER x g c1", "XNACK x g FAIL IDS 1 2-1"),
        *silent(READ, "XNACK x g FAIL IDS 1 3-1"),
        *after(GOVERNED, "XNACK x g FATAL IDS 2 1-1 2-1", "XNACK x g FATAL IDS 2 2-1 1-1 RETRYCOUNT 1",
               "XNACK x g FAIL IDS 1 2-1 DELAY 5000", "XNACK x g SILENT IDS 2 3-1 1-1 FORCE DELAY 0",
               "XNACK x g FAIL IDS 2 1-1 2-1"),
        *after(f"{SINGLE}; XGROUP CFGSET x g DEADLETTER dlq; XCFGSET dlq MAXLEN 1", "XNACK x g FATAL IDS 2 1-1 2-1"),
    ],
    "xclaim": [
        *after(READ, "XCLAIM x g c2 0 1-1 1-2", "XCLAIM x g new 0 1-1 JUSTID",
               "XCLAIM x g c2 0 1-1 IDLE 5000 RETRYCOUNT 7",
               "XCLAIM x g c2 0 1-1 TIME 5000", "XCLAIM x g c2 0 3-1 FORCE", "XCLAIM x g c2 0 1-1 LASTID 3-1",
               "XCLAIM x g new 100000000 1-1", "XCLAIM x g c2 100000000 1-1 LASTID 3-1"),
        *after(SINGLE, "XCLAIM x g c2 0 1-1 LASTID 3-1"),
        *after(f"{READ}; XDEL x 1-1", "XCLAIM x g c2 0 1-1 1-2"),
        *after(RELEASED, "XCLAIM x g c2 100000000 1-1"),
        *silent(READ, "XCLAIM x g c1 0 3-1"),
    ],
    "xautoclaim": [
        *after(READ, "XAUTOCLAIM x g c2 0 0", "XAUTOCLAIM x g c2 0 1-2 COUNT 1", "XAUTOCLAIM x g new 0 - JUSTID",
               "XAUTOCLAIM x g new 10000000 0"),
        *after(f"{READ}; XDEL x 1-1", "XAUTOCLAIM x g c2 0 0"),
        *after(RELEASED, "XAUTOCLAIM x g c2 100000000 0"),
    ],
    "xgroup|create": [
        *after("", "XGROUP CREATE x g 0 MKSTREAM", "XGROUP CREATE x g $ MKSTREAM ENTRIESREAD 5"),
        *after(GROUPS, "XGROUP CREATE x new $", "XGROUP CREATE x new 2", "XGROUP CREATE x new 1-1 ENTRIESREAD 1"),
        *after("XADD x 1-1 a 1; XADD x 2-1 a 1; XCFGSET x RETAIN INTEREST", "XGROUP CREATE x new 1"),
    ],
    "xgroup|cfgset": [
        *after(READ, CFGSET, "XGROUP CFGSET x g BACKOFF 2 1000 2000"),
        *after(GOVERNED, "XGROUP CFGSET x g ACKWAIT 0 MAXDELIVER 0", "XGROUP CFGSET x other ACKWAIT 5000"),
        *after(ORDERED, "XGROUP CFGSET x g MAXINFLIGHT 0", ["XGROUP", "CFGSET", "x", "g", "ORDERBY", ""]),
        *after(f"{READ}; XGROUP CFGSET x g ACKWAIT 1000000", "XGROUP CFGSET x g ACKWAIT 0"),
    ],
    "xgroup|setid": [
        *after(READ, "XGROUP SETID x g 1-1", "XGROUP SETID x g $", "XGROUP SETID x g 2-1 ENTRIESREAD 3"),
        *after(SINGLE, "XGROUP SETID x g $", "XGROUP SETID x g $ ENTRIESREAD 100"),
    ],
    "xgroup|destroy": [
        *after(READ, "XGROUP DESTROY x g"),
        *after(f"{READ}; XACK x other 1-1 1-2; XCFGSET x RETAIN INTEREST", "XGROUP DESTROY x g"),
        Case(("XGROUP CREATE x g $ MKSTREAM",), "XREADGROUP GROUP g c BLOCK 0 STREAMS x >", ("XGROUP DESTROY x g",)),
    ],
    "xgroup|createconsumer": after(READ, "XGROUP CREATECONSUMER x g new"),
    "xgroup|delconsumer": [
        *after(READ, "XGROUP DELCONSUMER x g c1", "XGROUP DELCONSUMER x g idle"),
        *after(RELEASED, "XGROUP DELCONSUMER x g c1"),
        *after(SINGLE, "XGROUP DELCONSUMER x g c1", "XGROUP DELCONSUMER x g c2"),
    ],
}  # fmt: skip

CAPTURING: Cases = {
    "publish": [
        *after("XCFGSET x CHANNELS 1 a*; XCFGSET y CHANNELS 1 *b MAXLEN 1; XADD y 1-1 a 1", "PUBLISH ab message"),
        *silent("XCFGSET x CHANNELS 1 a*", "PUBLISH b message"),
    ],
    "spublish": [
        *after("XCFGSET x CHANNELS 1 a", "SPUBLISH a message"),
        *silent("XCFGSET x CHANNELS 1 a*", "SPUBLISH ab message"),
    ],
}

STREAMS: Cases = {**ADDING, **CONSUMING, **CAPTURING}
