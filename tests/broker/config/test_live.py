"""CONFIG GET and CONFIG SET: patterns, aliases, all or nothing, and listeners."""

from collections.abc import Sequence
from typing import Any

import pytest

from broker.config import Config
from protocol.errors import CommandError


def refusal(config: Config, *pairs: tuple[bytes, bytes], **circumstances: bool) -> bytes:
    with pytest.raises(CommandError) as caught:
        config.set(pairs, **circumstances)
    return caught.value.text


def names(config: Config, *patterns: bytes) -> Sequence[bytes]:
    return [name for name, _ in config.get(patterns)]


def test_get_by_pattern_is_case_insensitive_and_lists_once() -> None:
    config = Config()
    assert config.get([b"MAXMEMORY-P*", b"maxmemory-policy"]) == [(b"maxmemory-policy", b"noeviction")]
    assert len(names(config, b"*")) == len(set(names(config, b"*")))


def test_a_full_name_answers_as_it_was_written() -> None:
    assert Config().get([b"MaxMemory", b"maxmemory", b"nonsense"]) == [(b"MaxMemory", b"0")]


def test_aliases_answer_under_their_own_name() -> None:
    config = Config()
    config.set([(b"slave-priority", b"7")])
    assert config.get([b"slave-prior*", b"replica-priority"]) == [
        (b"slave-priority", b"7"),
        (b"replica-priority", b"7"),
    ]
    assert config.replica_priority == 7


def test_hidden_directives_need_their_full_name() -> None:
    config = Config()
    assert names(config, b"*watchdog*") == []
    assert names(config, b"watchdog-period") == [b"watchdog-period"]


def test_set_changes_several_at_once() -> None:
    config = Config()
    config.set([(b"MAXMEMORY", b"1mb"), (b"save", b"60 1 30 2"), (b"hz", b"20")])
    assert (config.maxmemory, config.save, config.hz) == (1024**2, ((60, 1), (30, 2)), 20)
    config.set([(b"save", b"")])
    assert config.save == ()


@pytest.mark.parametrize(
    ("pairs", "error"),
    [
        ([(b"nOnsense", b"1")], b"ERR Unknown option or number of arguments for CONFIG SET - 'nOnsense'"),
        (
            [(b"Daemonize", b"yes")],
            b"ERR CONFIG SET failed (possibly related to argument 'Daemonize') - can't set immutable config",
        ),
        (
            [(b"dir", b"/")],
            b"ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config",
        ),
        (
            [(b"replica-priority", b"1"), (b"slave-priority", b"1")],
            b"ERR CONFIG SET failed (possibly related to argument 'slave-priority') - duplicate parameter",
        ),
        (
            [(b"HZ", b"x")],
            b"ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer",
        ),
        (
            [(b"slave-read-only", b"x")],
            b"ERR CONFIG SET failed (possibly related to argument 'slave-read-only') - argument must be 'yes' or 'no'",
        ),
        (
            [(b"save", b"60  1")],
            b"ERR CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters",
        ),
        (
            [(b"oom-score-adj-values", b"")],
            b"ERR CONFIG SET failed (possibly related to argument 'oom-score-adj-values') - wrong number of arguments",
        ),
    ],
)
def test_refusals_leave_everything_as_it_was(pairs: list[tuple[bytes, bytes]], error: bytes) -> None:
    config = Config()
    before = config.get([b"*"])
    assert refusal(config, (b"maxmemory", b"5mb"), (b"timeout", b"9"), *pairs) == error
    assert config.get([b"*"]) == before


def test_protected_and_loading_circumstances(tmp_path: Any) -> None:
    config = Config()
    config.enable_protected_configs = "local"
    assert b"protected" in refusal(config, (b"dir", bytes(tmp_path)))
    assert refusal(config, (b"dir", bytes(tmp_path)), local=True, loading=True).startswith(b"LOADING ")
    config.set([(b"dir", bytes(tmp_path))], local=True)
    assert config.dir == str(tmp_path)


def test_listeners_hear_only_of_changes() -> None:
    config = Config()
    heard: list[Any] = []
    config.on_change("maxmemory", heard.append)
    config.set([(b"maxmemory", b"0")])
    config.set([(b"hz", b"20")])
    assert heard == []
    config.set([(b"maxmemory", b"1kb")])
    assert heard == [1024]


def test_a_veto_takes_everything_back() -> None:
    config = Config()
    heard: list[Any] = []

    def refuse(port: int) -> None:
        raise ValueError("Unable to listen on this port. Check server logs.")

    config.on_change("timeout", heard.append)
    config.on_change("port", refuse)
    error = refusal(config, (b"timeout", b"5"), (b"port", b"7000"), (b"hz", b"20"))
    assert error == (
        b"ERR CONFIG SET failed (possibly related to argument 'port')"
        b" - Unable to listen on this port. Check server logs."
    )
    assert heard == [5, 0]
    assert (config.timeout, config.port, config.hz) == (0, 6379, 10)


def test_a_listener_for_an_unknown_directive_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        Config().on_change("slave-priority", print)
