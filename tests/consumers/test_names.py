"""Names survive being text."""

import pytest

from consumers.names import decoded, encoded


@pytest.mark.parametrize("name", [b"", b"orders", "größe".encode(), b"\xffa\xfe", b"\xed\xa0\x80"])
def test_a_name_comes_back_as_it_was(name: bytes) -> None:
    assert encoded(decoded(name)) == name and encoded(name) == name
