"""Commands of Redis Cluster: all refused alike."""

from broker.commands.server.cluster import DISABLED
from broker.table.command import DECLARED
from tests.broker.sessions import make_broker, make_session, run


def test_every_command_says_that_there_is_no_cluster_support() -> None:
    session = make_session(make_broker())
    commands = [name for name, command in DECLARED.items() if command.group == "cluster" and name != b"cluster"]
    assert len(commands) > 30
    for name in commands:
        least = DECLARED[name].min_args
        words = name.split(b"|")
        assert run(session, words + [b"1"] * (least - len(words))) == b"-" + DISABLED + b"\r\n", name
