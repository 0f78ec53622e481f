"""What is suggested for a mistyped word."""

import pytest

from broker.process.suggesting import MISTAKE, mistake, suggestion


@pytest.mark.parametrize(
    ("word", "meant"),
    [("serv", "; did you mean serve?"), ("promte", "; did you mean promote?"), ("dance", ""), ("", "")],
)
def test_the_most_alike_is_suggested(word: str, meant: str) -> None:
    assert suggestion(word, ["serve", "promote", "replicas"]) == meant


def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert mistake("check", ValueError("what is wrong")) == MISTAKE == 2
    assert capsys.readouterr().err == "trimaran check: what is wrong; see trimaran check --help\n"
