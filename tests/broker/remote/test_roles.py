"""`trimaran promote`, `follow` and `replicas`, beside servers that answer as told."""

import pytest

from broker.remote import roles
from tests.broker.remote.fake_server import answering, info

MASTER = {"role": "master", "redis_version": "7.0.15", "master_replid": "ab", "master_repl_offset": 100}
REPLICA = {
    "role": "slave", "redis_version": "7.0.15", "master_host": "h", "master_port": 7, "master_link_status": "up",
    "slave_repl_offset": 90,
}  # fmt: skip


class Scripted:
    """INFO's answers in turn, the last one again and again; anything else is +OK, and kept in `asked`."""

    def __init__(self, *infos: bytes) -> None:
        self._infos = list(infos)
        self.asked: list[list[str]] = []

    def __call__(self, words: list[str]) -> bytes:
        if words == ["INFO"]:
            return self._infos.pop(0) if len(self._infos) > 1 else self._infos[0]
        self.asked.append(words)
        return b"+OK\r\n"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "POLL_SECONDS", 0)


def test_promoting(capsys: pytest.CaptureFixture[str]) -> None:
    server = Scripted(info(**REPLICA))
    with answering(server) as port:
        assert roles.promote(["--url", f"redis://127.0.0.1:{port}", "--save"]) == 0
    assert server.asked == [["REPLICAOF", "NO", "ONE"], ["CONFIG", "REWRITE"]]
    assert "it has followed h:7 up to byte 90" in capsys.readouterr().out


def test_promoting_one_that_had_no_link(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(Scripted(info(**REPLICA | {"master_link_status": "down"}))) as port:
        assert roles.promote(["--url", f"redis://127.0.0.1:{port}"]) == 0
    assert "its link was down" in capsys.readouterr().out


def test_promoting_a_master(capsys: pytest.CaptureFixture[str]) -> None:
    server = Scripted(info(**MASTER))
    with answering(server) as port:
        assert roles.promote(["--url", f"redis://127.0.0.1:{port}"]) == 0
    assert not server.asked and "is a master already" in capsys.readouterr().out


def test_following(capsys: pytest.CaptureFixture[str]) -> None:
    down = REPLICA | {"master_link_status": "down"}
    server = Scripted(
        info(**down),
        info(**down, master_sync_in_progress=1),
        info(**down, master_sync_in_progress=1, master_sync_total_bytes=4 << 20, master_sync_read_bytes=1 << 20),
        b"-LOADING Redis is loading the dataset in memory\r\n",
        info(**down, loading=1, loading_loaded_perc="12.5"),
        info(**REPLICA),
    )
    with answering(server) as port:
        assert roles.follow(["h", "7", "--url", f"redis://127.0.0.1:{port}"]) == 0
    assert server.asked == [["REPLICAOF", "h", "7"]]
    assert capsys.readouterr().out.splitlines() == [
        "  connecting",
        "  waiting for the master's snapshot",
        "  receiving the data: 25 % of 4 MiB",
        "  loading the data",
        "  loading the data: 12.5 %",
        f"127.0.0.1:{port} follows h:7",
    ]


def test_following_one_that_is_told_otherwise_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(Scripted(info(**MASTER))) as port:
        assert roles.follow(["h", "7", "--url", f"redis://127.0.0.1:{port}"]) == 1
    assert "it no longer follows h:7" in capsys.readouterr().err


def test_replicas_of_a_master(capsys: pytest.CaptureFixture[str]) -> None:
    master = info(
        **MASTER,
        slave0="ip=10.0.0.1,port=7,state=online,offset=90,lag=1",
        slave1="ip=10.0.0.2,port=7,state=wait_bgsave,offset=0,lag=0",
    )
    with answering(Scripted(master)) as port:
        assert roles.replicas(["--url", f"redis://127.0.0.1:{port}"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"127.0.0.1:{port}  Redis 7.0.15",
        "role     master, stream ab at byte 100",
        "replica  10.0.0.1:7  online, 10 bytes behind, acknowledged 1 s ago",
        "replica  10.0.0.2:7  wait_bgsave",
    ]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({}, 0, "link up, at byte 90"),
        ({"master_link_status": "down", "master_link_down_since_seconds": 5}, 1, "link down for 5 s"),
        ({"master_link_status": "down", "master_link_down_since_seconds": -1}, 1, "never yet up"),
        ({"master_link_status": "down", "master_sync_in_progress": 1}, 1, "down: receiving the data"),
    ],
)
def test_a_replica(change: dict[str, object], status: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(Scripted(info(**REPLICA | change))) as port:
        assert roles.replicas(["--url", f"redis://127.0.0.1:{port}"]) == status
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["h"], "PORT is missing"),
        ([], "HOST and PORT are missing"),
        (["h", "7", "x"], "unknown argument 'x'"),
        (["h", "7", "--timeout", "x"], "must be a number of seconds"),
    ],
)
def test_wrong_arguments(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert roles.follow(words) == 2
    assert text in capsys.readouterr().err


def test_failures(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(lambda words: b"-NOAUTH Authentication required.\r\n") as port:
        url = f"redis://127.0.0.1:{port}"
        assert roles.replicas(["--url", url]) == 1
        assert roles.follow(["h", "0", "--url", url]) == 1
    assert roles.promote(["--url", url]) == 1
    with answering(lambda words: b"") as port:
        assert roles.promote(["--url", f"redis://127.0.0.1:{port}", "--timeout", "0.05"]) == 1
    lines = capsys.readouterr().err.splitlines()
    for line, words in zip(lines, ("NOAUTH", "'0' is no port", "refused", "no answer in time"), strict=True):
        assert words in line


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (roles.promote, roles.follow, roles.replicas):
        assert command(["--help"]) == 0
    assert capsys.readouterr().out.count("usage: trimaran") == 3
