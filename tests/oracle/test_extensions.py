"""Without `stream-extensions` nothing shows that there could be policies: their words get Redis's errors."""

import pytest

from tests.oracle import servers
from tests.oracle.conftest import skip_loudly
from tests.oracle.harness import requires, same

pytestmark = requires("8.10")

SETUP = ["XADD s 1-1 a 1", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c STREAMS s >"]


@pytest.mark.parametrize(
    "command",
    [
        "XGROUP CFGSET s g ACKWAIT 1",
        "XGROUP CFGSET",
        "XGROUP CFGGET s g",
        "XNACK s g FAIL IDS 1 1-1 DELAY 5",
        "XADD s DELAY 5 * a 1",
        "XADD s AT 5 * a 1",
        "XADD s MAXLEN 5 DELAY 5 * a 1",
        "XADD s NOMKSTREAM AT 5",
        "XDEL s @5-1",
        "XCALL 0 s * a 1",
        "XREPLY s g 1-1 v",
        "COMMAND INFO xcall xreply",
        "ACL SETUSER eve +xcall",
        "INFO none",
        "XDEL s 1-1 @5-1",
        "CONFIG SET notify-keyspace-events Kp",
        "COMMAND INFO xgroup|cfgset xgroup|cfgget",
        "COMMAND DOCS xgroup|cfgset",
        "COMMAND GETKEYS XGROUP CFGSET s g DEADLETTER d",
        "ACL SETUSER eve +xgroup|cfgset",
        "ACL SETUSER eve -xgroup|cfgget",
        "ACL SETUSER eve (+XGROUP|CFGGET)",
        "ACL DRYRUN default XGROUP CFGSET s g ACKWAIT 1",
        "XCFGSET s MAXLEN 1",
        "XCFGSET none MAXAGE 1",
        "XCFGSET s RETAIN WORKQUEUE",
        "COMMAND INFO xcfgset",
        "XINFO STREAM s",
    ],
)
def test_the_words_are_unknown(command: str) -> None:
    same([*SETUP, command, "XINFO GROUPS s"], cleanup=["ACL DELUSER eve"])


def test_the_class_of_events_has_a_letter_that_nobody_else_has() -> None:
    try:
        others = [servers.reference(), servers.valkey()]
    except servers.OracleMissing as missing:
        skip_loudly(str(missing))
    for server in others:
        connection = server.connect()
        reply = connection.call("CONFIG", "SET", "notify-keyspace-events", "Kp")
        connection.close()
        assert b"Invalid event class character" in reply
