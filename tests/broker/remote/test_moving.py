"""`trimaran migrate`, beside a source and a target that answer as told; tests/replication/ has real ones."""

from collections.abc import Iterator

import pytest

from broker.remote import moving, roles
from tests.broker.remote.fake_server import answering, bulk, info


class Server:
    """A server that replicates at once: `fields` are INFO's, `asked` what changed something."""

    def __init__(self, run_id: str, **fields: object) -> None:
        self.fields = {"run_id": run_id, "redis_version": "7.0.15", "role": "master", "master_repl_offset": 100}
        self.fields |= fields
        self.directives = {"masteruser": "", "masterauth": "old"}
        self.refused = ""
        self.asked: list[str] = []

    def __call__(self, words: list[str]) -> bytes:
        line = " ".join(words)
        if line == "INFO":
            return info(**self.fields)
        if line.startswith("CONFIG GET"):
            value = self.directives.get(words[2])
            return b"*0\r\n" if value is None else b"*2\r\n" + bulk(words[2]) + bulk(value)
        self.asked.append(line)
        if self.refused and line.startswith(self.refused):
            return b"-NOPERM no\r\n"
        if line == "REPLICAOF NO ONE":
            self.fields["role"] = "master"
        elif words[0] == "REPLICAOF":
            self.fields |= {"role": "slave", "master_host": words[1], "master_port": words[2]}
            self.fields |= {"master_link_status": "up", "slave_repl_offset": self.fields.get("reaches", 100)}
        return b"+OK\r\n"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "POLL_SECONDS", 0)
    monkeypatch.setattr(moving, "POLL_SECONDS", 0)


@pytest.fixture
def source() -> Server:
    return Server("a", db0="keys=3,expires=0", db2="keys=4,expires=0")


@pytest.fixture
def target() -> Server:
    return Server("b")


@pytest.fixture
def urls(source: Server, target: Server) -> Iterator[list[str]]:
    with answering(source) as old, answering(target) as new:
        source.fields["port"], target.fields["port"] = old, new
        yield ["--from", f"redis://:secret@127.0.0.1:{old}", "--to", f"redis://127.0.0.1:{new}"]


def test_moving(source: Server, target: Server, urls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert moving.main(urls) == 0
    old, new = source.fields["port"], target.fields["port"]
    assert target.asked == [
        "CONFIG SET masteruser ",
        "CONFIG SET masterauth secret",
        f"REPLICAOF 127.0.0.1 {old}",
        "REPLICAOF NO ONE",
        "CONFIG SET masteruser ",
        "CONFIG SET masterauth old",
    ]
    assert source.asked == [
        "AUTH secret",
        "CLIENT PAUSE 10000 WRITE",
        "CONFIG SET masteruser ",
        "CONFIG SET masterauth ",
        f"REPLICAOF 127.0.0.1 {new}",
        "CLIENT UNPAUSE",
    ]
    shown = capsys.readouterr().out
    assert f"clients must now use redis://127.0.0.1:{new} instead of redis://127.0.0.1:{old}" in shown
    assert "secret" not in shown


def test_leaving_the_source_as_it_is(source: Server, urls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert moving.main([*urls, "--leave", "--pause", "3"]) == 0
    assert source.asked == ["AUTH secret", "CLIENT PAUSE 3000 WRITE"]
    assert "takes writes again when the pause is over" in capsys.readouterr().out


def test_other_addresses_between_the_servers(source: Server, target: Server, urls: list[str]) -> None:
    assert moving.main([*urls, "--source", "old:1", "--target", "[::1]:2"]) == 0
    assert "REPLICAOF old 1" in target.asked and "REPLICAOF ::1 2" in source.asked


@pytest.mark.parametrize(
    ("whose", "fields", "text"),
    [
        ("source", {"role": "slave", "master_host": "h", "master_port": 1}, "move from its master, h:1"),
        ("target", {"role": "slave", "master_host": "h", "master_port": 1}, "is a replica of h:1"),
        ("target", {"run_id": "a"}, "are the same server"),
        ("target", {"cluster_enabled": 1}, "is part of a cluster"),
        ("target", {"db0": "keys=1"}, "--replace allows that"),
    ],
)
def test_what_is_refused(
    whose: str, fields: dict[str, object], text: str, source: Server, target: Server, urls: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    {"source": source, "target": target}[whose].fields |= fields
    assert moving.main(urls) == 1
    assert text in capsys.readouterr().err
    assert not target.asked and source.asked == ["AUTH secret"]


def test_replacing_what_the_target_has(target: Server, urls: list[str]) -> None:
    target.fields["db0"] = "keys=1"
    assert moving.main([*urls, "--replace"]) == 0


def test_a_target_that_does_not_receive_everything(
    source: Server, target: Server, urls: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    target.fields["reaches"] = 99
    assert moving.main([*urls, "--pause", "0.05"]) == 1
    assert "nothing was moved" in capsys.readouterr().err
    assert source.asked[-1] == "CLIENT UNPAUSE"
    assert target.asked[-3:] == ["REPLICAOF NO ONE", "CONFIG SET masteruser ", "CONFIG SET masterauth old"]


def test_a_source_that_may_not_be_paused(
    source: Server, target: Server, urls: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source.refused = "CLIENT PAUSE"
    assert moving.main(urls) == 1
    assert "NOPERM" in capsys.readouterr().err and "REPLICAOF NO ONE" in target.asked


def test_a_source_that_can_not_follow(
    source: Server, target: Server, urls: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The switch has been made by then: going back could lose what clients have written to the target."""
    source.refused = "REPLICAOF"
    assert moving.main(urls) == 0
    assert "Stop it." in capsys.readouterr().out and target.fields["role"] == "master"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "--from is missing"),
        (["--from", "redis://h"], "--to is missing"),
        (["--from", "unix:///p", "--to", "redis://h"], "--source HOST:PORT must be given"),
        (["--from", "redis://h", "--to", "redis://h", "--target", "x"], "--target must be HOST:PORT"),
        (["--from", "redis://h", "--to", "redis://h", "--pause", "-1"], "--pause must be a number of seconds"),
    ],
)
def test_wrong_arguments(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert moving.main(words) == 2
    assert text in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert moving.main(["--help"]) == 0
    assert "usage: trimaran migrate" in capsys.readouterr().out
