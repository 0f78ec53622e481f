"""Positions, distances and searches against redis-server: to the last digit, and in the same order."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.harness import AnyCommand, agree, examples, same

_SICILY = "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.758489 38.788135 a 17.241510 38.788135 b"

# The corners and edges of the grid, and positions at which something changes: cell borders, latitudes near the poles.
_CORNERS = [
    (longitude, latitude)
    for longitude in ("-180", "-179.9999", "-90", "-0.0000001", "0", "45", "90", "179.999999", "180")
    for latitude in ("-85.05112878", "-80.1", "-66", "-0.0000001", "0", "66.1", "80", "85", "85.05112878")
]
_GRID = ["GEOADD", "g", *(text for lon, lat in _CORNERS for text in (lon, lat, f"{lon}/{lat}"))]
_NAMES = [f"{lon}/{lat}" for lon, lat in _CORNERS]


def _random_members(count: int, seed: int, spread: float = 180.0) -> list[str]:
    """Words for GEOADD: positions all over the globe, or close to the null point; some of them shared."""
    rng = random.Random(seed)
    words: list[str] = []
    for number in range(count):
        if number % 10 == 9:
            words += [*words[-3:-1], f"m{number}"]
        else:
            longitude = rng.uniform(-spread, spread)
            latitude = rng.uniform(-min(spread, 85.05), min(spread, 85.05))
            words += [repr(longitude), repr(latitude), f"m{number}"]
    return words


def test_adding() -> None:
    same(
        [
            _SICILY,
            "ZRANGE g 0 -1 WITHSCORES",
            "GEOADD g 13.361389 38.115556 Palermo",
            "GEOADD g CH 13.5 38 Palermo 1 1 new",
            "GEOADD g NX 1 1 Palermo 2 2 c",
            "GEOADD g XX 1 1 Palermo 2 2 d",
            "GEOADD g XX CH 1 2 Palermo 2 2 d",
            "geoadd g nx ch 3 3 e 3 3 e",
            "GEOADD none XX 1 1 a",
            "EXISTS none",
            "ZRANGE g 0 -1 WITHSCORES",
            "TYPE g",
            "OBJECT ENCODING g",
        ],
        state=True,
    )


def test_scores_of_corners() -> None:
    same([_GRID, "ZRANGE g 0 -1 WITHSCORES", ["GEOPOS", "g", *_NAMES], ["GEOHASH", "g", *_NAMES]], state=True)


@pytest.mark.parametrize("seed", range(3))
def test_many_positions(seed: int) -> None:
    members = _random_members(2000, seed, spread=(180.0, 1.0, 0.00001)[seed])
    names = members[2::3]
    near = [["GEODIST", "g", *pair, unit] for *pair, unit in zip(names, names[1:], ["m", "KM", "ft", "mi"] * 500)]  # noqa: B905
    same(
        [
            ["GEOADD", "g", *members],
            "ZRANGE g 0 -1 WITHSCORES",
            ["GEOPOS", "g", *names],
            ["GEOHASH", "g", *names],
            *near[:400],
        ],
        resp=(2,) if seed else (2, 3),
    )


@pytest.mark.parametrize(
    "words",
    [
        "GEOADD g 1 1",
        "GEOADD g 1 1 a 2",
        "GEOADD g NX XX 1 1 a",
        "GEOADD g NX CH XX",
        "GEOADD g NX NX CH",
        "GEOADD g NX 1 1",
        "GEOADD g GT 1 1 a",
        "GEOADD g x 1 a",
        "GEOADD g 1 x a",
        "GEOADD g nan 1 a",
        "GEOADD g 1 nan a",
        "GEOADD g inf 1 a",
        "GEOADD g -inf inf a",
        "GEOADD g 180.0000001 1 a",
        "GEOADD g -180.0000001 1 a",
        "GEOADD g 1 85.05112879 a",
        "GEOADD g 1 -85.05112879 a",
        "GEOADD g 1 1 a 1 90 b",
        "GEOADD g 1e300 1 a",
        "GEOADD g 1e-400 1 a",
        "GEOADD g 0x10 1 a",
        "GEOADD g ' 1' 1 a",
        "GEOADD s 1 1 a",
        "GEOADD s 1 95 a",
        "GEOPOS",
        "GEOPOS g",
        "GEOPOS g nobody Palermo nobody",
        "GEOPOS none a b",
        "GEOPOS none",
        "GEOPOS s a",
        "GEOHASH",
        "GEOHASH g",
        "GEOHASH g nobody Palermo",
        "GEOHASH none a",
        "GEOHASH s a",
        "GEODIST g Palermo",
        "GEODIST g Palermo Catania",
        "GEODIST g Palermo Palermo",
        "GEODIST g Palermo Catania kM",
        "GEODIST g Palermo Catania yd",
        "GEODIST g Palermo Catania m m",
        "GEODIST g Palermo nobody",
        "GEODIST g nobody Palermo mi",
        "GEODIST none a b",
        "GEODIST none a b yd",
        "GEODIST s a b",
        "GEODIST s a b yd",
    ],
)
def test_single_commands(words: str) -> None:
    same([_SICILY, "SET s x", words], state=True)


@pytest.mark.parametrize(
    "score",
    [
        "0.5", "-0.5", "-1", "-5.7", "4503599627370495", "4503599627370496", "9007199254740992", "1e17", "1e18",
        "9223372036854774784", "9223372036854775808", "1.2e19", "18446744073709549568", "18446744073709551616", "1e300",
        "-9223372036854775808", "-9223372036854777856", "-1e300", "inf", "-inf", "3479099956230698.5",
    ],
)  # fmt: skip
def test_scores_that_are_no_positions(score: str) -> None:
    same(
        [
            _SICILY,
            ["ZADD", "g", score, "odd"],
            "GEOPOS g odd",
            "GEOHASH g odd",
            "GEODIST g odd Palermo",
            "GEOSEARCH g FROMMEMBER odd BYRADIUS 100 km ASC WITHDIST WITHHASH WITHCOORD",
            "GEOSEARCH g FROMMEMBER Palermo BYRADIUS 30000 km ASC WITHDIST WITHHASH WITHCOORD",
            "GEOSEARCH g FROMMEMBER Palermo BYBOX 50000 50000 km ASC WITHHASH",
            "GEORADIUSBYMEMBER g odd 5000 km STORE d",
            "ZRANGE d 0 -1 WITHSCORES",
        ]
    )


_SEARCHES = [
    "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km",
    "GEOSEARCH g FROMMEMBER Palermo BYRADIUS 200 km",
    "GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km",
    "GEOSEARCH g FROMMEMBER Palermo BYBOX 400 50 km",
    "GEORADIUS g 15 37 200 km",
    "GEORADIUS_RO g 15 37 200 km",
    "GEORADIUSBYMEMBER g Palermo 200 km",
    "GEORADIUSBYMEMBER_RO g Palermo 200 km",
]


@pytest.mark.parametrize("search", _SEARCHES)
def test_options(search: str) -> None:
    options = (
        "", "ASC", "desc", "ASC DESC", "COUNT 1", "COUNT 2 DESC", "COUNT 100", "COUNT 1 ANY", "ANY COUNT 2 ASC",
        "COUNT 0", "COUNT -1", "COUNT x", "COUNT", "COUNT 99999999999999999999", "ANY", "ANY ANY COUNT 1", "WITHDIST",
        "WITHHASH", "WITHCOORD", "WITHCOORD withdist WITHHASH ASC", "WITHDIST WITHDIST", "BAD", "STORE", "STOREDIST",
        "STORE d", "STOREDIST d", "STORE d STOREDIST e", "STOREDIST d STORE e", "STORE d WITHDIST", "STORE d WITHHASH",
        "STORE d WITHCOORD", "STORE d COUNT 1", "STORE d ANY", "STORE d COUNT 1 ANY DESC", "WITHDIST ANY BAD",
        "FROMMEMBER Catania", "FROMMEMBER nobody", "FROMMEMBER", "FROMLONLAT 1 1", "FROMLONLAT 1 100", "FROMLONLAT 1",
        "BYRADIUS 10 m", "BYRADIUS 10", "BYRADIUS -1 m", "BYRADIUS x m", "BYRADIUS 1 x", "BYRADIUS nan m",
        "BYRADIUS inf m",
        "BYBOX 1 1 m", "BYBOX 10 10", "BYBOX x 1 m", "BYBOX 1 x m", "BYBOX -1 1 m", "BYBOX 1 -1 m", "BYBOX 1 1 x",
    )  # fmt: skip
    script = [_SICILY]
    for option in options:
        script += [f"{search} {option}", "ZRANGE d 0 -1 WITHSCORES", "ZRANGE e 0 -1 WITHSCORES"]
    same(script, state=True)


@pytest.mark.parametrize("search", _SEARCHES)
def test_missing_keys_and_wrong_types(search: str) -> None:
    missing = search.replace(" g ", " none ")
    wrong = search.replace(" g ", " s ")
    same(
        [
            "SET s x",
            "SET d x",
            missing,
            f"{missing} COUNT x",
            f"{missing} COUNT 0",
            f"{missing} ANY",
            f"{missing} BAD",
            f"{missing} STORE d WITHDIST",
            f"{missing} STORE d",
            "EXISTS d",
            f"{missing} STORE d",
            wrong,
            f"{wrong} BAD",
            missing.replace(" 200 ", " x "),
            missing.replace(" km", " x"),
            missing.replace(" 37 ", " 137 "),
            wrong.replace(" 200 ", " x "),
        ],
        state=True,
    )


def test_errors_of_geosearch() -> None:
    same(
        [
            _SICILY,
            "SET s x",
            "GEOSEARCH g FROMLONLAT 15 37 ASC COUNT 1",
            "GEOSEARCH g FROMLONLAT 15 37 ANY ANY ANY",
            "geoSearch g BYRADIUS 10 km ASC COUNT 1",
            "GEOSEARCH g BYBOX 10 10 km ANY",
            "GEOSEARCH g ASC ASC ASC ASC ASC",
            "GEOSEARCH g FROMMEMBER Palermo FROMLONLAT 1 1 BYRADIUS 1 m",
            "GEOSEARCH g FROMLONLAT 1 1 FROMMEMBER Palermo BYRADIUS 1 m",
            "GEOSEARCH g FROMMEMBER Palermo FROMMEMBER Catania BYRADIUS 1 m",
            "GEOSEARCH g FROMLONLAT 1 1 FROMLONLAT 15 37 BYRADIUS 100 km BYRADIUS 200 km",
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 100 km BYBOX 1 1 km",
            "GEOSEARCH g FROMLONLAT 15 37 BYBOX 1 1 km BYRADIUS 100 km",
            "GEOSEARCH g FROMLONLAT 15 37 BYBOX 1 1 km BYBOX 400 400 km ASC",
            "GEOSEARCH g FROMMEMBER nobody BYRADIUS x m",
            "GEOSEARCH none FROMMEMBER nobody BYRADIUS x m",
            "GEOSEARCH none FROMMEMBER nobody BYRADIUS 1 m",
            "GEOSEARCH none FROMMEMBER nobody FROMLONLAT 1 1 BYRADIUS 1 m",
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 100 km STOREDIST",
            "GEOSEARCH g FROMLONLAT 15",
            "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 100",
            "GEOSEARCHSTORE d s FROMLONLAT 15 37 BYRADIUS 100 km",
            "GEOSEARCHSTORE s g FROMLONLAT 15 37 BYRADIUS 1000 km",
            "TYPE s",
        ],
        state=True,
    )


def test_storing() -> None:
    same(
        [
            _SICILY,
            "SET d x EX 100",
            "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km",
            "TTL d",
            "ZRANGE d 0 -1 WITHSCORES",
            "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST",
            "ZRANGE d 0 -1 WITHSCORES",
            "GEOSEARCHSTORE d g FROMMEMBER Palermo BYBOX 800 800 mi STOREDIST DESC COUNT 2",
            "ZRANGE d 0 -1 WITHSCORES",
            "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1 ANY",
            "ZRANGE d 0 -1 WITHSCORES",
            "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km WITHDIST",
            "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST STOREDIST ANY",
            "GEOSEARCHSTORE d g FROMLONLAT 0 0 BYRADIUS 1 m",
            "EXISTS d",
            "GEOSEARCHSTORE d none FROMLONLAT 0 0 BYRADIUS 1 m",
            "GEOSEARCHSTORE g g FROMLONLAT 15 37 BYRADIUS 200 km",
            "ZRANGE g 0 -1",
            "GEORADIUS g 15 37 100 km STORE g",
            "ZRANGE g 0 -1",
            "GEORADIUSBYMEMBER g Catania 100 ft STOREDIST g",
            "ZRANGE g 0 -1 WITHSCORES",
            "GEORADIUS g 15 37 1 m STORE g",
            "EXISTS g",
        ],
        state=True,
    )


def test_keys() -> None:
    same(
        [
            f"COMMAND GETKEYS {words}"
            for words in (
                "GEORADIUS g 1 1 1 m STORE a STOREDIST b STORE",
                "GEORADIUS g 1 1 1 STORE a",
                "GEORADIUS g 1 1 1 m ASC storedist a",
                "GEORADIUS g 1 1 1 m STORE STORE a",
                "GEORADIUSBYMEMBER g STORE 1 m",
                "GEORADIUSBYMEMBER g m 1 m STORE d COUNT 1",
                "GEORADIUS_RO g 1 1 1 m STORE a",
                "GEOSEARCHSTORE d g FROMLONLAT 1 1 BYRADIUS 1 m",
                "GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m",
                "GEOADD g 1 1 a",
            )
        ]
    )


_RADII = [
    "0",
    "1e-9",
    "1",
    "1000",
    "100000",
    "2500000",
    "5000000",
    "5009431.6",
    "10018863.2",
    "2e7",
    "1e8",
    "1e300",
    "inf",
]


@pytest.mark.parametrize("radius", _RADII)
def test_around_corners(radius: str) -> None:
    """Every cell of the search counts, with its order: neither COUNT nor ANY sorts what they find."""
    script: list[AnyCommand] = [_GRID]
    for longitude, latitude in _CORNERS:
        script += [
            f"GEOSEARCH g FROMLONLAT {longitude} {latitude} BYRADIUS {radius} m WITHDIST WITHHASH",
            f"GEOSEARCH g FROMLONLAT {longitude} {latitude} BYBOX {radius} {radius} m WITHDIST",
            f"GEOSEARCH g FROMLONLAT {longitude} {latitude} BYBOX {radius} 1000000 m",
            f"GEOSEARCH g FROMLONLAT {longitude} {latitude} BYBOX 3000 {radius} km",
            f"GEOSEARCH g FROMLONLAT {longitude} {latitude} BYRADIUS {radius} m COUNT 4 ANY",
            f"GEOSEARCH g FROMMEMBER {longitude}/{latitude} BYRADIUS {radius} m COUNT 5 ANY DESC",
        ]
    same(script, resp=(2,))


@pytest.mark.parametrize("seed", range(6))
def test_searches_among_many(seed: int) -> None:
    rng = random.Random(seed)
    spread = (180.0, 180.0, 20.0, 1.0, 0.01, 180.0)[seed]
    script: list[AnyCommand] = [["GEOADD", "g", *_random_members(4000, seed, spread)]]
    for _ in range(60):
        longitude = rng.uniform(-min(spread * 1.1, 180), min(spread * 1.1, 180))
        latitude = rng.uniform(-min(spread * 1.1, 85), min(spread * 1.1, 85))
        size = 10 ** rng.uniform(0, math.log10(spread * 111e3))
        unit = rng.choice(["m", "km", "ft", "mi"])
        size /= {"m": 1, "km": 1000, "ft": 0.3048, "mi": 1609.34}[unit]
        shape = f"BYRADIUS {size} {unit}" if rng.random() < 0.5 else f"BYBOX {size} {size * rng.uniform(0, 3)} {unit}"
        place = rng.choice([f"FROMLONLAT {longitude} {latitude}", f"FROMMEMBER m{rng.randrange(4000)}"])
        options = rng.choice(["", "ASC", "DESC", "COUNT 10", "COUNT 100 DESC", "COUNT 5 ANY", "COUNT 50 ANY DESC"])
        details = rng.choice(["", "WITHDIST", "WITHDIST WITHCOORD WITHHASH"])
        script.append(f"GEOSEARCH g {place} {shape} {options} {details}")
        script.append(f"GEOSEARCHSTORE d g {place} {shape} {options} {rng.choice(['', 'STOREDIST'])}")
        script.append("ZRANGE d 0 -1 WITHSCORES")
    same(script, resp=(2,) if seed else (3,))


@pytest.mark.parametrize("members", [3, 6, 7, 8, 39, 40, 41, 100, 1000])
def test_ties_come_in_the_same_order(members: int) -> None:
    rng = random.Random(members)
    places = [(rng.uniform(-1, 1), rng.uniform(-1, 1)) for _ in range(max(members // 5, 2))]
    words: list[str] = []
    for number in range(members):
        longitude, latitude = rng.choice(places)
        words += [repr(longitude), repr(latitude), f"m{number}"]
    script: list[AnyCommand] = [["GEOADD", "g", *words]]
    for count in {1, 2, 3, members // 3, members // 2, members - 2, members - 1, members, members + 1} - {0}:
        for order in ("", "ASC", "DESC", "ANY", "ANY ASC", "ANY DESC"):
            script.append(f"GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 500 km COUNT {count} {order}")
    same(script, resp=(2,))


_positions = st.tuples(
    st.one_of(st.sampled_from(["-180", "180", "0", "13.36", "181", "x"]), st.floats(-180, 180).map(repr)),
    st.one_of(st.sampled_from(["-85.05112878", "85.05112878", "0", "38.1", "86"]), st.floats(-85, 85).map(repr)),
)
_members = st.sampled_from(["a", "b", "c", "d", "e"])
_keys = st.sampled_from(["g", "g", "g", "h"])
_lengths = st.one_of(st.sampled_from(["0", "1", "1000", "10018863", "2e7", "inf"]), st.floats(0, 1e8).map(repr))
_units = st.sampled_from(["m", "km", "ft", "mi", "M", "x"])
_centres = st.one_of(
    st.tuples(st.just("FROMMEMBER"), _members), _positions.map(lambda position: ("FROMLONLAT", *position))
)
_shapes = st.one_of(
    st.tuples(st.just("BYRADIUS"), _lengths, _units), st.tuples(st.just("BYBOX"), _lengths, _lengths, _units)
)
_orders = st.sampled_from(
    [(), ("ASC",), ("DESC",), ("COUNT", "2"), ("COUNT", "2", "ANY"), ("COUNT", "3", "DESC"), ("ANY",)]
)
_details = st.sampled_from([(), ("WITHDIST",), ("WITHHASH", "WITHCOORD"), ("STOREDIST",), ("STORE", "h")])
_added = st.tuples(_positions, _members).map(lambda pair: (*pair[0], pair[1]))


def _words(*parts: str | tuple[str, ...]) -> list[str]:
    return [word for part in parts for word in ([part] if isinstance(part, str) else part)]


_commands: st.SearchStrategy[AnyCommand] = st.one_of(
    st.builds(_words, st.just("GEOADD"), _keys, st.sampled_from([(), ("NX",), ("XX", "CH"), ("CH",)]), _added),
    st.builds(_words, st.just("GEOADD"), _keys, _added, _added, _added),
    st.builds(_words, st.sampled_from(["GEOPOS", "GEOHASH"]), _keys, _members, _members),
    st.builds(_words, st.just("GEODIST"), _keys, _members, _members, _units),
    st.builds(_words, st.just("GEOSEARCH"), _keys, _centres, _shapes, _orders, _details),
    st.builds(_words, st.just("GEOSEARCHSTORE"), _keys, _keys, _centres, _shapes, _orders, _details),
    st.builds(_words, st.just("GEORADIUS"), _keys, _positions, _lengths, _units, _orders, _details),
    st.builds(_words, st.just("GEORADIUSBYMEMBER_RO"), _keys, _members, _lengths, _units, _orders, _details),
    st.builds(_words, st.just("GEORADIUSBYMEMBER"), _keys, _members, _lengths, _units, _orders, _details),
    st.builds(_words, st.just("ZREM"), _keys, _members),
)


@examples(50)
@given(st.lists(_commands, min_size=5, max_size=30))
def test_generated(script: list[AnyCommand]) -> None:
    agree(script)
