"""XCFGSET and XIDMPRECORD: what they propagate."""

from tests.broker.direct import Client
from tests.broker.effects import journal, lines
from tests.broker.sessions import make_broker


def test_only_changes_propagate() -> None:
    broker = make_broker()
    client = Client(broker)
    client.do("XADD s 1-1 f v")
    seen = journal(broker)
    for command in ("XCFGSET s IDMP-DURATION 100", "XCFGSET s IDMP-DURATION 7", "XIDMPRECORD s p i 1-1",
                    "XIDMPRECORD s p i 1-1", "XIDMPRECORD s p i 1-2"):  # fmt: skip
        client.do(command)
    assert lines(seen) == ["XCFGSET s IDMP-DURATION 7", "XIDMPRECORD s p i 1-1"]


def test_servers_without_producers_get_nothing() -> None:
    broker = make_broker()
    client = Client(broker)
    broker.config.set([(b"replication-compat", b"7.0")])
    seen = journal(broker)
    for command in ("XADD s IDMP p j MAXLEN 5 1-* f v", "XADD s 1-1 f v", "XCFGSET s IDMP-DURATION 7",
                    "XIDMPRECORD s p i 1-1", "XDEL s 1-1"):  # fmt: skip
        client.do(command)
    assert lines(seen) == ["XADD s 1-1 f v", "XDEL s 1-1"]
    assert broker.keyspace.changes == 4
    client.do("XADD s IDMP p j * f v")
    assert [line.split()[0] for line in lines(seen)[2:]] == ["XADD"]
