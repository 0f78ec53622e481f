"""The GEORADIUS family: what it leaves for the journal, and where its keys are."""

import pytest

from broker.table.command import DECLARED
from tests.broker.effects import effects_of

_SICILY = "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania"


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        ("GEORADIUS g 15 37 200 km", []),
        ("GEORADIUS g 15 37 200 km STORE d", ["GEORADIUS g 15 37 200 km STORE d"]),
        ("GEORADIUS g 15 37 1 m STORE d", []),
        ("GEORADIUS g 15 37 1 m STORE g", ["GEORADIUS g 15 37 1 m STORE g"]),
        ("GEORADIUSBYMEMBER g Palermo 1 m STOREDIST d", ["GEORADIUSBYMEMBER g Palermo 1 m STOREDIST d"]),
        ("GEORADIUSBYMEMBER none Palermo 1 m STOREDIST g", ["GEORADIUSBYMEMBER none Palermo 1 m STOREDIST g"]),
        ("GEORADIUS_RO g 15 37 200 km STORE d", []),
        ("GEORADIUSBYMEMBER_RO g Palermo 200 km", []),
    ],
)
async def test_effects(command: str, effects: list[str]) -> None:
    assert await effects_of([_SICILY], command) == effects


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (b"GEORADIUS g 1 1 1 m", [1]),
        (b"GEORADIUS g 1 1 1 m STORE a storedist b STORE", [1, 9]),
        (b"GEORADIUSBYMEMBER g m 1 m STORE d COUNT 1", [1, 6]),
        (b"GEORADIUSBYMEMBER_RO g m 1 m STORE d", [1]),
    ],
)
def test_keys(words: bytes, keys: list[int]) -> None:
    args = words.split()
    assert DECLARED[args[0].lower()].key_positions(args) == keys
