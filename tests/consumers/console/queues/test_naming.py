"""Names of queues with another prefix."""

from consumers.console.queues.naming import joined, parted


def test_the_usual_prefix_is_left_out() -> None:
    assert joined("bull", "work", "bull") == "work"
    assert parted("work", "bull") == ("bull", "work")


def test_another_one_is_part_of_the_name() -> None:
    for prefix in ("shop", "a:b", "{tag}"):
        assert parted(joined(prefix, "work", "bull"), "bull") == (prefix, "work")
