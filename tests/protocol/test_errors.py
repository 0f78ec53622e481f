"""Error texts that are built from what a client sent: cut, and unable to become a second reply."""

import pytest

from protocol import errors
from protocol.replies import error


def test_every_text_begins_with_a_code() -> None:
    for name, text in vars(errors).items():
        if name.isupper() and isinstance(text, bytes):
            code, space, sentence = text.partition(b" ")
            assert code.isalpha() and code.isupper() and space and sentence, name
            assert b"\r" not in text and b"\n" not in text, name


@pytest.mark.parametrize(
    "words, text",
    [
        ([b"nope"], b"ERR unknown command 'nope'"),
        ([b"nope", b"a", b""], b"ERR unknown command 'nope', with args beginning with: 'a' '' "),
        ([b"x" * 200], b"ERR unknown command '" + b"x" * 128 + b"'"),
        ([b"n", b"y" * 200, b"z"], b"ERR unknown command 'n', with args beginning with: '" + b"y" * 128 + b"' "),
        ([b"n", b"y" * 126, b"zzz"], b"ERR unknown command 'n', with args beginning with: '%b' " % (b"y" * 126)),
        ([b"n", b"y" * 123, b"zzz"], b"ERR unknown command 'n', with args beginning with: '%b' 'zz' " % (b"y" * 123)),
        ([b"a\0b", b"c\0d"], b"ERR unknown command 'a', with args beginning with: 'c' "),
    ],
)  # fmt: skip
def test_unknown_commands(words: list[bytes], text: bytes) -> None:
    assert errors.unknown_command(words) == text


def test_many_arguments_cost_little() -> None:
    assert len(errors.unknown_command([b"nope"] + [b""] * 1_000_000)) < 500


def test_unknown_subcommands() -> None:
    assert errors.unknown_subcommand([b"config", b"nope"]) == b"ERR unknown subcommand 'nope'. Try CONFIG HELP."
    assert errors.unknown_subcommand([b"x", b"y" * 200]) == b"ERR unknown subcommand '" + b"y" * 128 + b"'. Try X HELP."


def test_named_texts() -> None:
    assert errors.wrong_arity(b"xinfo|stream") == b"ERR wrong number of arguments for 'xinfo|stream' command"
    assert errors.invalid_expire(b"set") == b"ERR invalid expire time in 'set' command"
    assert errors.subscribed_mode(b"get").startswith(b"ERR Can't execute 'get': only ")


def test_a_refused_exec_names_the_reason_without_its_generic_code() -> None:
    assert errors.exec_abort(b"ERR x") == b"EXECABORT Transaction discarded because of: x"
    assert errors.exec_abort(b"OOM x") == b"EXECABORT Transaction discarded because of: OOM x"


def test_no_client_data_starts_a_second_reply() -> None:
    for text in (errors.unknown_command([b"a\r\n+OK\r\n", b"\n"]), errors.unknown_subcommand([b"a", b"\r\n+OK"])):
        encoded = error(text)
        assert encoded.count(b"\r\n") == 1 and encoded.endswith(b"\r\n") and encoded.count(b"\n") == 1


def test_a_command_error_keeps_its_text() -> None:
    assert errors.CommandError(b"ERR x").text == b"ERR x"
