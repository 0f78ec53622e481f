"""What commands on groups propagate and signal."""

from tests.broker.direct import Client
from tests.broker.effects import journal, lines
from tests.broker.sessions import make_broker


def test_effects_and_events() -> None:
    broker = make_broker()
    broker.config.set([(b"notify-keyspace-events", b"Etn")])
    client, listener = Client(broker), Client(broker)
    listener.do("PSUBSCRIBE *")
    seen = journal(broker)
    commands = [
        "XGROUP CREATE s g $ MKSTREAM",
        "XGROUP CREATECONSUMER s g c",
        "XGROUP SETID s g 5",
        "XGROUP DELCONSUMER s g c",
        "XGROUP DESTROY s g",
    ]
    for command in commands:
        client.do(command)
        client.do(command.replace("MKSTREAM", "FOO").replace("SETID s g 5", "SETID s g x"))
    assert lines(seen) == commands
    names = [part.split(b":")[1].split(b"\r\n")[0] for part in listener.take().split(b"__keyevent@0__")[1:]]
    assert names == [
        b"new", b"xgroup-create", b"xgroup-createconsumer", b"xgroup-setid", b"xgroup-delconsumer", b"xgroup-destroy",
    ]  # fmt: skip


def test_those_who_wait_in_a_destroyed_group_are_told() -> None:
    broker = make_broker()
    client, worker = Client(broker), Client(broker)
    client.do("XGROUP CREATE s g $ MKSTREAM")
    broker.dispatcher.execute(worker.session, [b"XREADGROUP GROUP g c BLOCK 0 STREAMS s >".split()])
    client.do("XGROUP DESTROY s g")
    assert worker.take().startswith(b"-NOGROUP No such key 's' or consumer group 'g'")


def test_counters_propagate_as_bounded() -> None:
    broker = make_broker()
    client = Client(broker)
    seen = journal(broker)
    for command in ("XADD s 1-1 f v", "XGROUP CREATE s g 0 ENTRIESREAD 5", "XGROUP CREATE s h 0 entriesread 1",
                    "XGROUP SETID s g 0 EntriesRead 7", "XGROUP SETID s g 0 ENTRIESREAD -1",
                    "XGROUP CREATE t g $ ENTRIESREAD 3 MKSTREAM"):  # fmt: skip
        assert client.do(command)[:1] != b"-"
    assert lines(seen)[1:] == [
        "XGROUP CREATE s g 0 ENTRIESREAD 1", "XGROUP CREATE s h 0 entriesread 1", "XGROUP SETID s g 0 EntriesRead 1",
        "XGROUP SETID s g 0 ENTRIESREAD -1", "XGROUP CREATE t g $ ENTRIESREAD 0 MKSTREAM",
    ]  # fmt: skip
