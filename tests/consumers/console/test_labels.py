"""What clients have sent, as one line."""

from consumers.console.labels import label, size


def test_what_can_not_be_printed_is_escaped() -> None:
    assert label(b"a\nb\xff") == "a\\nb\\xff"
    assert label("\u202eevil\udcff") == "\\u202eevil\\udcff"
    assert label("é") == "é"


def test_long_texts_are_cut() -> None:
    assert label("x" * 200, 10) == "xxxxxxxxxx…"
    assert label("x" * 10, 10) == "xxxxxxxxxx"
    assert label(b"x" * 1_000_000, 10) == "xxxxxxxxxx…"


def test_sizes() -> None:
    assert [size(one) for one in (0, 1023, 1024, 150 * 1024, 5 << 20, 3 << 30, 2 << 40)] == [
        "0 B", "1023 B", "1.0 KiB", "150 KiB", "5.0 MiB", "3.0 GiB", "2.0 TiB",
    ]  # fmt: skip
