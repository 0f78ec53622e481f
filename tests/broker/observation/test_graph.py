"""The picture of an event's spikes, as redis-server 8.10.2 drew it."""

from broker.observation.graph import graph

SPIKES = (3, 11, 27, 2, 44, 19, 6, 26, 31, 8, 8, 60)

DRAWN = (
    "command - high 60 ms, low 2 ms (all time high 99 ms)",
    "-" * 80,
    "           #",
    "    #   _  |",
    "  # |_ o|  |",
    "_o|_||_||oo|",
    "            ",
    "111987654321",
    "210sssssssss",
    "sss         ",
    "",
)


def test_the_picture() -> None:
    samples = list(enumerate(SPIKES, start=74))
    assert graph("command", samples, 99, 86).split("\n") == list(DRAWN)


def test_a_single_spike() -> None:
    assert graph("fork", [(100, 5)], 5, 100).splitlines()[2:] == [" ", " ", " ", "_", " ", "0", "s"]


def test_the_ages_have_units() -> None:
    picture = graph("fork", [(0, 1), (86_399, 1), (89_940, 1), (89_999, 1)], 1, 90_000)
    assert ["".join(column).strip() for column in zip(*picture.splitlines()[-3:], strict=True)] == [
        "1d", "1h", "1m", "1s",
    ]  # fmt: skip


def test_only_the_latest_are_drawn() -> None:
    picture = graph("fork", [(second, 500 - second) for second in range(100)], 500, 100)
    assert picture.startswith("fork - high 480 ms, low 401 ms (all time high 500 ms)\n")
    assert len(picture.splitlines()[2]) == 80
