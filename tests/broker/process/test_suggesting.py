"""What is suggested for a mistyped word."""

import pytest

from broker.process.suggesting import suggestion


@pytest.mark.parametrize(
    ("word", "meant"),
    [("serv", "; did you mean serve?"), ("promte", "; did you mean promote?"), ("dance", ""), ("", "")],
)
def test_the_most_alike_is_suggested(word: str, meant: str) -> None:
    assert suggestion(word, ["serve", "promote", "replicas"]) == meant
