"""Deadlines as clients give them."""

import pytest

from broker.commands.expire_options import deadline, deadline_option, has_passed
from protocol.errors import CommandError
from tests.broker.inprocess import running

NOW = 1_700_000_000_000
MOST = 2**63 - 1


@pytest.mark.parametrize(
    ("unit", "argument", "when"),
    [
        (b"EX", 10, NOW + 10_000),
        (b"PX", 10, NOW + 10),
        (b"EXAT", 10, 10_000),
        (b"PXAT", 10, 10),
        (b"PXAT", MOST, MOST),
        (b"PX", MOST - NOW, MOST),
        (b"EXAT", MOST // 1000, MOST // 1000 * 1000),
    ],
)
def test_deadline(unit: bytes, argument: int, when: int) -> None:
    assert deadline(unit, b"%d" % argument, b"set", NOW) == when


@pytest.mark.parametrize(
    ("unit", "argument"),
    [
        (b"EX", 0),
        (b"PXAT", -1),
        (b"PX", MOST - NOW + 1),
        (b"EXAT", MOST // 1000 + 1),
        (b"EX", MOST // 1000),
        (b"EX", MOST),
    ],
)
def test_out_of_range(unit: bytes, argument: int) -> None:
    with pytest.raises(CommandError, match="ERR invalid expire time in 'set' command"):
        deadline(unit, b"%d" % argument, b"set", NOW)


def test_no_number() -> None:
    with pytest.raises(CommandError, match="ERR value is not an integer or out of range"):
        deadline(b"EX", b"1.5", b"set", NOW)


def test_among_options() -> None:
    for unit in (b"", b"PERSIST", b"KEEPTTL"):
        assert deadline_option(unit, b"", b"getex", NOW) is None
    for unit in (b"EX", b"PX", b"EXAT", b"PXAT"):
        assert deadline_option(unit, b"10", b"getex", NOW) == deadline(unit, b"10", b"getex", NOW)
    with pytest.raises(CommandError, match="ERR value is not an integer or out of range"):
        deadline_option(b"EX", b"", b"getex", NOW)


async def test_has_passed() -> None:
    async with running() as broker:
        now = broker.broker.clock.now
        assert has_passed(broker.broker, -5)
        assert has_passed(broker.broker, now)
        assert not has_passed(broker.broker, now + 1000)
        broker.broker.state.loading = True
        assert not has_passed(broker.broker, 5)
