"""Parsing of positions, units and lengths, and encoding of distances."""

from typing import Final

from broker.table.arguments import double
from broker.values.geo.geohash import LATITUDE_MAX, LATITUDE_MIN, LONGITUDE_MAX, LONGITUDE_MIN, Position
from protocol.errors import CommandError
from protocol.replies import bulk

UNIT: Final = b"ERR unsupported unit provided. please use M, KM, FT, MI"
RADIUS_NUMBER: Final = b"ERR need numeric radius"
RADIUS_NEGATIVE: Final = b"ERR radius cannot be negative"
WIDTH_NUMBER: Final = b"ERR need numeric width"
HEIGHT_NUMBER: Final = b"ERR need numeric height"
BOX_NEGATIVE: Final = b"ERR height or width cannot be negative"
POSITION: Final = b"ERR invalid longitude,latitude pair %f,%f"

_METRES: Final = {b"M": 1.0, b"KM": 1000.0, b"FT": 0.3048, b"MI": 1609.34}

_FRACTION: Final = 10_000


def position(longitude_text: bytes, latitude_text: bytes) -> Position:
    """Parses a position and checks its limits; raises Redis's errors."""
    longitude = double(longitude_text)
    latitude = double(latitude_text)
    if not (LONGITUDE_MIN <= longitude <= LONGITUDE_MAX and LATITUDE_MIN <= latitude <= LATITUDE_MAX):
        raise CommandError(POSITION % (longitude, latitude))
    return longitude, latitude


def unit(text: bytes) -> float:
    """Returns the length of a unit in metres."""
    metres = _METRES.get(text.upper())
    if metres is None:
        raise CommandError(UNIT)
    return metres


def radius(length_text: bytes, unit_text: bytes) -> tuple[float, float]:
    """Returns a radius, and the length of its unit in metres."""
    length = double(length_text, RADIUS_NUMBER)
    if length < 0:
        raise CommandError(RADIUS_NEGATIVE)
    return length, unit(unit_text)


def box(width_text: bytes, height_text: bytes, unit_text: bytes) -> tuple[float, float, float]:
    """Returns the width and the height of a box, and the length of their unit in metres."""
    width = double(width_text, WIDTH_NUMBER)
    height = double(height_text, HEIGHT_NUMBER)
    if height < 0 or width < 0:
        raise CommandError(BOX_NEGATIVE)
    return width, height, unit(unit_text)


def distance_reply(distance: float) -> bytes:
    """Encodes a distance with four decimal places, as text in both versions of the protocol."""
    return bulk(b"%d.%04d" % divmod(round(distance * _FRACTION), _FRACTION))
