"""Distances on the globe, and areas to search: circles and boxes around a position.

The globe is a sphere with the quadratic mean radius of WGS 84, and distances follow the haversine formula, in metres.
They are printed with four decimal places, so the arithmetic is exactly Redis's, operation by operation.

A search covers one cell of the geohash grid and those of its eight neighbours that the area reaches into.
"""

from math import asin, cos, inf, nan, pi, sin, sqrt
from typing import Final

from broker.values.geo.geohash import STEP_MAX, Cell, Position, cell_of

EARTH_RADIUS: Final = 6372797.560856
"""In metres."""

_RADIAN: Final = pi / 180.0
_DIAMETER: Final = 2.0 * EARTH_RADIUS

# Half the circumference in the Mercator projection, in metres: the grid's coarsest cell.
_MERCATOR_MAX: Final = 20037726.37
# Towards the poles cells cover less ground, so a search needs coarser ones.
_NARROW_LATITUDE: Final = 66
_NARROWEST_LATITUDE: Final = 80

# The cells around the middle one, in the order in which their members are found: (east, north).
_NEIGHBOURS: Final = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))


def distance(longitude: float, latitude: float, other_longitude: float, other_latitude: float) -> float:
    """Returns the distance between two positions in metres."""
    half_sine = sin((other_longitude * _RADIAN - longitude * _RADIAN) / 2)
    if half_sine == 0.0:
        return EARTH_RADIUS * abs(other_latitude * _RADIAN - latitude * _RADIAN)
    north = latitude * _RADIAN
    other_north = other_latitude * _RADIAN
    half_rise = sin((other_north - north) / 2)
    root = sqrt(half_rise * half_rise + cos(north) * cos(other_north) * half_sine * half_sine)
    return _DIAMETER * asin(root if root <= 1.0 else 1.0)  # rounding must not take antipodes out of asin's domain


class Area:
    """The area of a search: `centre` is its middle, `unit` the length of its unit in metres."""

    __slots__ = ("centre", "unit")

    def __init__(self, centre: Position, unit: float) -> None:
        self.centre = centre
        self.unit = unit

    def within(self, position: Position) -> float | None:
        """Returns the distance of a position from the centre in metres, None if it is outside."""
        raise NotImplementedError

    def reach(self) -> tuple[float, float, float]:
        """Returns in metres how far it reaches to the east, to the north, and at most in any direction."""
        raise NotImplementedError

    def score_ranges(self) -> list[tuple[float, float]]:
        """Returns the ranges of scores (each excluding its second number) that positions inside can have."""
        to_east, to_north, farthest = self.reach()
        longitude, latitude = self.centre
        west, south, east, north = _bounds(longitude, latitude, to_east, to_north)
        step = _step_for(farthest, latitude)
        middle = cell_of(longitude, latitude, step)
        if step > 1 and (
            middle.neighbour(0, 1).north < north
            or middle.neighbour(0, -1).south > south
            or middle.neighbour(1, 0).east < east
            or middle.neighbour(-1, 0).west > west
        ):
            step -= 1
            middle = cell_of(longitude, latitude, step)
        # If there are only two cells in each direction, none can be omitted.
        choose = step >= 2
        no_south = choose and middle.south < south
        no_north = choose and middle.north > north
        no_west = choose and middle.west < west
        no_east = choose and middle.east > east

        cells = [middle]
        previous: Cell | None = None
        for to_the_east, to_the_north in _NEIGHBOURS:
            if (
                (no_south and to_the_north < 0)
                or (no_north and to_the_north > 0)
                or (no_west and to_the_east < 0)
                or (no_east and to_the_east > 0)
            ):
                continue
            cell = middle.neighbour(to_the_east, to_the_north)
            if cell != previous:  # with only two cells in a direction, both neighbours are the same cell
                cells.append(cell)
                previous = cell
        return [cell.scores() for cell in cells]


class Circle(Area):
    """The positions up to `radius` units from the centre."""

    __slots__ = ("_metres",)

    def __init__(self, centre: Position, radius: float, unit: float) -> None:
        super().__init__(centre, unit)
        self._metres = radius * unit

    def within(self, position: Position) -> float | None:
        longitude, latitude = self.centre
        metres = distance(longitude, latitude, position[0], position[1])
        return None if metres > self._metres else metres

    def reach(self) -> tuple[float, float, float]:
        return self._metres, self._metres, self._metres


class Box(Area):
    """The positions up to half of `height` to the north or south and half of `width` to the east or west."""

    __slots__ = ("_farthest", "_height", "_width")

    def __init__(self, centre: Position, width: float, height: float, unit: float) -> None:
        super().__init__(centre, unit)
        self._width = width * unit
        self._height = height * unit
        self._farthest = sqrt(width / 2 * (width / 2) + height / 2 * (height / 2)) * unit

    def within(self, position: Position) -> float | None:
        longitude, latitude = self.centre
        east, north = position
        if EARTH_RADIUS * abs(latitude * _RADIAN - north * _RADIAN) > self._height / 2:
            return None
        if distance(east, north, longitude, north) > self._width / 2:
            return None
        return distance(longitude, latitude, east, north)

    def reach(self) -> tuple[float, float, float]:
        return self._width / 2, self._height / 2, self._farthest


def _bounds(longitude: float, latitude: float, to_east: float, to_north: float) -> tuple[float, float, float, float]:
    """Returns the degrees that an area reaches to: west, south, east, north.

    Meridians converge away from the equator, so the edge nearest to a pole counts.
    """
    rise = to_north / EARTH_RADIUS / _RADIAN
    edge = (latitude - rise if latitude < 0 else latitude + rise) * _RADIAN
    # An infinite area has no bounds; nan makes every comparison with it false.
    width = to_east / EARTH_RADIUS / (cos(edge) if abs(edge) != inf else nan) / _RADIAN
    return longitude - width, latitude - rise, longitude + width, latitude + rise


def _step_for(metres: float, latitude: float) -> int:
    """Returns the grid step at which an area of that reach fits into a cell and its neighbours."""
    if metres == 0:
        return STEP_MAX
    step = -1
    while metres < _MERCATOR_MAX:
        metres *= 2
        step += 1
    if abs(latitude) > _NARROW_LATITUDE:
        step -= 2 if abs(latitude) > _NARROWEST_LATITUDE else 1
    return min(max(step, 1), STEP_MAX)
