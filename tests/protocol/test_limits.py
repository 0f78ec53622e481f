"""The limits agree with the directives that change them, and with each other."""

import pytest

from broker.config import Config
from protocol import limits
from protocol.errors import CommandError
from protocol.requests import RequestParser


def test_defaults_of_directives() -> None:
    config = Config()
    assert config.proto_max_bulk_len == limits.MAX_BULK == 536_870_912
    assert config.client_query_buffer_limit == limits.QUERY_BUFFER == 1_073_741_824


@pytest.mark.parametrize(
    ("directive", "least"),
    [(b"proto-max-bulk-len", limits.MAX_BULK_LEAST), (b"client-query-buffer-limit", limits.QUERY_BUFFER_LEAST)],
)
def test_lowest_values_of_directives(directive: bytes, least: int) -> None:
    config = Config()
    config.set([(directive, b"%d" % least)])
    with pytest.raises(CommandError):
        config.set([(directive, b"%d" % (least - 1))])


def test_a_parser_starts_with_them() -> None:
    parser = RequestParser()
    assert parser.max_args == limits.MAX_ARGS == 1_048_576
    assert parser.max_bulk == limits.MAX_BULK
    assert parser.max_inline == limits.MAX_INLINE == 65_536


def test_the_largest_request_before_auth_fits_its_buffer() -> None:
    largest = limits.MAX_ARGS_UNAUTHENTICATED * (limits.MAX_BULK_UNAUTHENTICATED + 100)
    assert largest + limits.READ_SIZE < limits.QUERY_BUFFER_UNAUTHENTICATED < limits.QUERY_BUFFER
