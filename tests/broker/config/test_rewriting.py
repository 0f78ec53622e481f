"""CONFIG REWRITE keeps the operator's file and brings it up to date."""

import os
import stat
from pathlib import Path

import pytest

from broker.config import Config, load, rewrite
from broker.config.rewriting import SIGNATURE, rewritten


def config_with(*pairs: tuple[bytes, bytes]) -> Config:
    config = Config()
    config.dir = "/"
    config.set(pairs)
    return config


def test_comments_order_and_other_lines_stay() -> None:
    old = b"# mine\nport 7000\n\n\n\ninclude more.conf\nrename-command GET FETCH\ntimeout 5 # x\nhz 10\n"
    new = rewritten(config_with((b"timeout", b"7")), old)
    lines = new.split(b"\n")
    assert lines[:5] == [b"# mine", b"port 6379", b"", b"include more.conf", b"rename-command GET FETCH"]
    assert b"timeout 7" in lines
    assert b"hz 10" in lines


def test_new_values_go_to_the_end_below_the_signature() -> None:
    new = rewritten(config_with((b"maxmemory", b"2mb"), (b"requirepass", b'a" \n')), b"port 6379\n")
    head, tail = new.split(SIGNATURE + b"\n")
    assert head.startswith(b"port 6379\n")
    assert b"maxmemory 2mb\n" in tail
    assert b'requirepass "a\\" \\n"\n' in tail
    assert b"hz" not in tail
    assert rewritten(config_with((b"maxmemory", b"2mb")), new).count(SIGNATURE) == 1


def test_orphans_of_a_repeated_directive_go() -> None:
    old = b"save 1 1\nsave 2 2\n# between\nsave 3 3\nport 1\nport 2\n"
    new = rewritten(config_with((b"save", b"60 5")), old)
    assert new.startswith(b"save 60 5\n\n# between\n\nport 6379\n")
    assert new.count(b"save ") == 1
    assert rewritten(config_with((b"save", b"")), b"save 1 1\n").startswith(b'save ""\n')


def test_an_alias_is_replaced_by_its_directive() -> None:
    assert rewritten(config_with((b"replica-priority", b"5")), b"slave-priority 3\n").startswith(
        b"replica-priority 5\n"
    )


def test_an_unset_text_leaves_no_line() -> None:
    assert b"requirepass" not in rewritten(config_with(), b"requirepass x\n")
    assert b"bind" not in rewritten(config_with(), b"bind 127.0.0.1\n")


def test_what_can_not_be_read_becomes_a_comment() -> None:
    new = rewritten(config_with(), b'nonsense 1\nport "1\n')
    assert new.startswith(b'# ??? nonsense 1\n# ??? port "1\n')


def test_users() -> None:
    old = b"user a on\nuser b on\n"
    assert b"user a on\nuser b on\n" in rewritten(config_with(), old)
    assert rewritten(config_with(), old, []).count(b"user ") == 0
    assert rewritten(config_with(), old, [b"c off"]).startswith(b"user c off\n")


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    config = Config()
    changes = [
        (b"maxmemory", b"1gb"),
        (b"maxmemory-clients", b"5%"),
        (b"save", b"60 1 30 2"),
        (b"client-output-buffer-limit", b"normal 1mb 1000 5 replica 0 0 0"),
        (b"notify-keyspace-events", b"AnKE"),
        (b"requirepass", bytes(range(256))),
        (b"bind", b'127.0.0.1 -::1 a"b#c'),
        (b"shutdown-on-sigterm", b"now force"),
        (b"latency-tracking-info-percentiles", b"1.5 99"),
        (b"oom-score-adj-values", b"1 2 3"),
        (b"masteruser", b"x y"),
    ]
    config.set(changes)
    path = tmp_path / "redis.conf"
    rewrite(config, str(path))
    again = Config()
    load(again, [bytes(path)])
    assert again.get([b"*"]) == config.get([b"*"])
    assert again.notify_keyspace_events == config.notify_keyspace_events


def test_the_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "redis.conf"
    rewrite(Config(), str(path))
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0o044
    before = path.read_bytes()

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        rewrite(config_with((b"port", b"1")), str(path))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["redis.conf"]
