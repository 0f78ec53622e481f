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
