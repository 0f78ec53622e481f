"""What clients have sent, as one line."""

from consumers.console.labels import label


def test_what_can_not_be_printed_is_escaped() -> None:
    assert label(b"a\nb\xff") == "a\\nb\\xff"
    assert label("\u202eevil\udcff") == "\\u202eevil\\udcff"
    assert label("é") == "é"


def test_long_texts_are_cut() -> None:
    assert label("x" * 200, 10) == "xxxxxxxxxx…"
    assert label("x" * 10, 10) == "xxxxxxxxxx"
    assert label(b"x" * 1_000_000, 10) == "xxxxxxxxxx…"
