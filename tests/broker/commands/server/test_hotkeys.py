"""HOTKEYS on its own: its reply's form; everything else is compared with the reference in tests/oracle."""

from protocol.replies import RESP3
from tests.broker.sessions import StoppedClock, make_broker, make_session, run
from tests.oracle.wire import parse


def test_get_is_an_array_of_one_map() -> None:
    session = make_session(make_broker(StoppedClock()))
    session.resp = RESP3
    run(session, "HOTKEYS START METRICS 1 NET SAMPLE 1", "SET a 1")
    (found,) = parse(run(session, "HOTKEYS GET")).items
    fields = {name.text: value for name, value in zip(found.items[::2], found.items[1::2], strict=True)}
    assert found.kind == "%" and b"by-cpu-time-us" not in fields and b"total-cpu-time-sys-ms" not in fields
    assert [(part.text) for part in fields[b"by-net-bytes"].items] == [b"a", b"32"]
