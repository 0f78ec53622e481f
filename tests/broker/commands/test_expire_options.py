"""Deadlines as clients give them."""

import pytest

from broker.commands.expire_options import DEADLINE, UNITS, deadline, deadline_option, has_passed
from broker.table.arguments import Options
from protocol.errors import CommandError
from tests.broker.inprocess import running

NOW = 1_700_000_000_000
MOST = 2**63 - 1


@pytest.mark.parametrize(
    ("unit", "argument", "when"),
    [
        ("EX", 10, NOW + 10_000),
        ("PX", 10, NOW + 10),
        ("EXAT", 10, 10_000),
        ("PXAT", 10, 10),
        ("PXAT", MOST, MOST),
        ("PX", MOST - NOW, MOST),
        ("EXAT", MOST // 1000, MOST // 1000 * 1000),
    ],
)
def test_deadline(unit: str, argument: int, when: int) -> None:
    assert deadline(unit, b"%d" % argument, b"set", NOW) == when


@pytest.mark.parametrize(
    ("unit", "argument"),
    [("EX", 0), ("PXAT", -1), ("PX", MOST - NOW + 1), ("EXAT", MOST // 1000 + 1), ("EX", MOST // 1000), ("EX", MOST)],
)
def test_out_of_range(unit: str, argument: int) -> None:
    with pytest.raises(CommandError, match="ERR invalid expire time in 'set' command"):
        deadline(unit, b"%d" % argument, b"set", NOW)


def test_no_number() -> None:
    with pytest.raises(CommandError, match="ERR value is not an integer or out of range"):
        deadline("EX", b"1.5", b"set", NOW)


def test_among_options() -> None:
    options = Options(DEADLINE + "|PERSIST")
    assert deadline_option(options.parse([b"PERSIST"], 0), b"getex", NOW) is None
    for unit in UNITS:
        given = options.parse([unit.lower().encode(), b"10"], 0)
        assert deadline_option(given, b"getex", NOW) == deadline(unit, b"10", b"getex", NOW)


async def test_has_passed() -> None:
    async with running() as broker:
        now = broker.broker.clock.now
        assert has_passed(broker.broker, -5)
        assert has_passed(broker.broker, now)
        assert not has_passed(broker.broker, now + 1000)
        broker.broker.state.loading = True
        assert not has_passed(broker.broker, 5)
