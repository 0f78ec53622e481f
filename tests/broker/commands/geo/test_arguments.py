"""Positions, units and lengths as arguments, and how distances are written."""

import pytest

from broker.commands.geo import arguments as geo_arguments
from broker.commands.geo.arguments import box, distance_reply, position, radius, unit
from protocol.errors import NOT_FLOAT, CommandError


@pytest.mark.parametrize(
    ("longitude", "latitude", "error"),
    [
        (b"x", b"100", NOT_FLOAT),
        (b"200", b"x", NOT_FLOAT),
        (b"nan", b"0", NOT_FLOAT),
        (b"180.1", b"0", b"ERR invalid longitude,latitude pair 180.100000,0.000000"),
        (b"0", b"-85.06", b"ERR invalid longitude,latitude pair 0.000000,-85.060000"),
        (b"inf", b"-inf", b"ERR invalid longitude,latitude pair inf,-inf"),
    ],
)
def test_positions_that_are_refused(longitude: bytes, latitude: bytes, error: bytes) -> None:
    with pytest.raises(CommandError) as raised:
        position(longitude, latitude)
    assert raised.value.text == error


def test_positions() -> None:
    assert position(b"-180", b"85.05112878") == (-180.0, 85.05112878)


def test_units() -> None:
    assert [unit(text) for text in (b"m", b"KM", b"Ft", b"mi")] == [1, 1000, 0.3048, 1609.34]
    with pytest.raises(CommandError, match="unsupported unit"):
        unit(b"yd")


def test_lengths() -> None:
    assert radius(b"2.5", b"km") == (2.5, 1000)
    assert box(b"1", b"2", b"m") == (1, 2, 1)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((b"x", b"x"), geo_arguments.RADIUS_NUMBER),
        ((b"-1", b"x"), geo_arguments.RADIUS_NEGATIVE),
        ((b"1", b"x"), geo_arguments.UNIT),
        ((b"x", b"x", b"m"), geo_arguments.WIDTH_NUMBER),
        ((b"-1", b"x", b"m"), geo_arguments.HEIGHT_NUMBER),
        ((b"-1", b"1", b"x"), geo_arguments.BOX_NEGATIVE),
        ((b"1", b"-1", b"x"), geo_arguments.BOX_NEGATIVE),
        ((b"1", b"1", b"x"), geo_arguments.UNIT),
    ],
)
def test_lengths_that_are_refused(words: tuple[bytes, ...], error: bytes) -> None:
    with pytest.raises(CommandError) as raised:
        (radius if len(words) == 2 else box)(*words)
    assert raised.value.text == error


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (0.0, b"0.0000"),
        (0.00004, b"0.0000"),
        (0.775, b"0.7750"),
        (166274.15156960033, b"166274.1516"),
        (0.00005, b"0.0000"),  # a half goes to the even neighbour
        (0.00025, b"0.0002"),
        (20015086.79, b"20015086.7900"),
    ],
)
def test_distances(distance: float, text: bytes) -> None:
    assert distance_reply(distance) == b"$%d\r\n%b\r\n" % (len(text), text)
