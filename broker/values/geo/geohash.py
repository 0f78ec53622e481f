"""Positions on the globe as scores of a sorted set.

Longitude and latitude are each cut into 2^26 steps, and the bits of the two step numbers alternate: 52 bits, which
a double holds exactly. Positions that share leading bits lie in the same cell of a grid, so a cell of any size is
one range of scores. The latitude ends at the limits of the Mercator projection (EPSG:3857), not at the poles.

Clients see the scores, and the positions decoded from them to the last digit, so the arithmetic follows Redis's
operation by operation. Splitting and joining the bits goes through texts: 0.4 us instead of 1.5 for shifts and masks.
"""

from typing import Final, NamedTuple

LONGITUDE_MIN: Final = -180.0
LONGITUDE_MAX: Final = 180.0
LATITUDE_MIN: Final = -85.05112878
LATITUDE_MAX: Final = 85.05112878
STEP_MAX: Final = 26
"""The number of bits for each of the two coordinates."""

_LONGITUDE_SCALE: Final = LONGITUDE_MAX - LONGITUDE_MIN
_LATITUDE_SCALE: Final = LATITUDE_MAX - LATITUDE_MIN
_FINEST: Final = 2.0**-STEP_MAX
_UNSIGNED: Final = (1 << 64) - 1
_HALF_MAX: Final = (1 << 32) - 1
_SIGNED_END: Final = 2.0**63
_UNSIGNED_END: Final = 2.0**64
_OUT_OF_RANGE: Final = 1 << 63

_ALPHABET: Final = b"0123456789bcdefghjkmnpqrstuvwxyz"
_TEXT_LENGTH: Final = 11
_LETTER_BITS: Final = 5

Position = tuple[float, float]
"""Longitude and latitude in degrees."""


class Cell(NamedTuple):
    """One cell of the grid with 2^step cells in either direction.

    `longitude` and `latitude` are its numbers, counted from the west and the south. A position at the upper limit
    itself lies in the cell with the number 2^step, just outside the grid.
    """

    longitude: int
    latitude: int
    step: int

    def neighbour(self, east: int, north: int) -> "Cell":
        """Returns the cell that many cells away; the grid wraps around at its edges."""
        last = (1 << self.step) - 1
        return Cell(
            (self.longitude + east) & last if east else self.longitude,
            (self.latitude + north) & last if north else self.latitude,
            self.step,
        )

    def scores(self) -> tuple[float, float]:
        """Returns the range of scores of the positions in it, including the first and excluding the second."""
        code = _interleave(self.longitude, self.latitude)
        shift = 2 * (STEP_MAX - self.step)
        return float(code << shift), float((code + 1) << shift)

    @property
    def west(self) -> float:
        return LONGITUDE_MIN + self.longitude / (1 << self.step) * _LONGITUDE_SCALE

    @property
    def east(self) -> float:
        return LONGITUDE_MIN + (self.longitude + 1) / (1 << self.step) * _LONGITUDE_SCALE

    @property
    def south(self) -> float:
        return LATITUDE_MIN + self.latitude / (1 << self.step) * _LATITUDE_SCALE

    @property
    def north(self) -> float:
        return LATITUDE_MIN + (self.latitude + 1) / (1 << self.step) * _LATITUDE_SCALE


def cell_of(longitude: float, latitude: float, step: int = STEP_MAX) -> Cell:
    """Returns the cell of a position within the limits."""
    return Cell(
        int((longitude - LONGITUDE_MIN) / _LONGITUDE_SCALE * (1 << step)),
        int((latitude - LATITUDE_MIN) / _LATITUDE_SCALE * (1 << step)),
        step,
    )


def score_of(longitude: float, latitude: float) -> int:
    """Returns the score of a position within the limits."""
    return _interleave(
        int((longitude - LONGITUDE_MIN) / _LONGITUDE_SCALE * (1 << STEP_MAX)),
        int((latitude - LATITUDE_MIN) / _LATITUDE_SCALE * (1 << STEP_MAX)),
    )


def position_of(score: float) -> Position:
    """Returns the middle of the finest cell that a score denotes; any score denotes a position within the limits."""
    bits = f"{int(score) if 0.0 <= score < _SIGNED_END else _converted(score):064b}"
    east = int(bits[::2], 2)
    north = int(bits[1::2], 2)
    # The numbers of the next cell wrap around like Redis's 32 bits.
    longitude = (
        LONGITUDE_MIN
        + east * _FINEST * _LONGITUDE_SCALE
        + (LONGITUDE_MIN + (east + 1 & _HALF_MAX) * _FINEST * _LONGITUDE_SCALE)
    ) / 2
    latitude = (
        LATITUDE_MIN
        + north * _FINEST * _LATITUDE_SCALE
        + (LATITUDE_MIN + (north + 1 & _HALF_MAX) * _FINEST * _LATITUDE_SCALE)
    ) / 2
    return (
        longitude if longitude <= LONGITUDE_MAX else LONGITUDE_MAX,
        latitude if latitude <= LATITUDE_MAX else LATITUDE_MAX,
    )


def text_of(longitude: float, latitude: float) -> bytes:
    """Returns the standard geohash, whose latitudes reach to the poles.

    It has 11 letters, 55 bits; Redis computes 52 and writes a 0 as the last letter.
    """
    code = _interleave(
        int((longitude - LONGITUDE_MIN) / _LONGITUDE_SCALE * (1 << STEP_MAX)),
        int((latitude + 90.0) / 180.0 * (1 << STEP_MAX)),
    )
    top = 2 * STEP_MAX - _LETTER_BITS
    letters = bytes(_ALPHABET[code >> shift & 31] for shift in range(top, 0, -_LETTER_BITS))
    return letters + _ALPHABET[:1] * (_TEXT_LENGTH - len(letters))


def _interleave(longitude: int, latitude: int) -> int:
    """Interleaves the bits, the longitude's first: reading base-2 digits as base 4 spreads them out."""
    return int(f"{longitude:b}", 4) << 1 | int(f"{latitude:b}", 4)


def _converted(score: float) -> int:
    """Converts a score that is not a 63-bit number to unsigned 64 bits as x86-64 does; C leaves it undefined."""
    if score >= _SIGNED_END:
        return int(score) if score < _UNSIGNED_END else 0
    return int(score) & _UNSIGNED if score > -_SIGNED_END else _OUT_OF_RANGE
