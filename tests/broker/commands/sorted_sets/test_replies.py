"""Members and scores in the two protocol versions."""

from broker.broker import Client
from broker.commands.sorted_sets.replies import entries_reply
from protocol.replies import RESP2, RESP3, Dialect
from tests.broker.sessions import make_broker, make_session

ENTRIES = [(1.0, b"a"), (-0.5, b"")]


def _session(resp: Dialect) -> Client:
    session = make_session(make_broker())
    session.resp = resp
    return session


def test_without_scores() -> None:
    for resp in (RESP2, RESP3):
        assert entries_reply(_session(resp), ENTRIES, False) == b"*2\r\n$1\r\na\r\n$0\r\n\r\n"
        assert entries_reply(_session(resp), [], True) == b"*0\r\n"


def test_with_scores() -> None:
    flat = b"*4\r\n$1\r\na\r\n$1\r\n1\r\n$0\r\n\r\n$4\r\n-0.5\r\n"
    assert entries_reply(_session(RESP2), ENTRIES, True) == flat
    nested = b"*2\r\n*2\r\n$1\r\na\r\n,1\r\n*2\r\n$0\r\n\r\n,-0.5\r\n"
    assert entries_reply(_session(RESP3), ENTRIES, True) == nested
