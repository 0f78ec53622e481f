"""Calls with words left out, doubled, swapped, or replaced by others: each is answered, whatever was meant."""

import random
from collections.abc import Iterator

import pytest

from broker.table.command import DECLARED
from tests.hostile.calls import CALLS
from tests.hostile.exchange import assert_answered
from tests.oracle.servers import Server
from tests.oracle.wire import Connection

VARIANTS = 150
KNOWN = [call for call in CALLS if call[0].lower().encode() in DECLARED]
CONTAINERS = {name.partition(b"|")[0] for name in DECLARED if b"|" in name}
ODD_WORDS = [
    "", "*", "$", ">", "-", "+", "(", "[", "[a", "~", "=", "0", "0-0", "-1", "nosuchkey", "s", "l", "h", "t", "z", "x",
    "\r\n", "\0", "\xff", "x" * 1000,
]  # fmt: skip
WORDS = [*sorted({word for call in CALLS for word in call}), *ODD_WORDS]


def mangled(call: list[str], rng: random.Random) -> Iterator[list[str]]:
    """The call, and variants of it; the command's name stays."""
    yield call
    fixed = 2 if call[0].lower().encode() in CONTAINERS else 1
    for _ in range(VARIANTS):
        words = list(call)
        for _ in range(rng.randrange(1, 4)):
            i = rng.randrange(fixed, len(words) + 1)
            choice = rng.randrange(5)
            if choice == 0 or i == len(words):
                words.insert(i, rng.choice(WORDS))
            elif choice == 1:
                del words[i]
            elif choice == 2:
                words[i] = rng.choice(WORDS)
            elif choice == 3:
                j = rng.randrange(fixed, len(words))
                words[i], words[j] = words[j], words[i]
            else:
                words[i:i] = words[rng.randrange(fixed, len(words)) :]
        yield words


@pytest.mark.parametrize("call", KNOWN, ids=" ".join)
def test_mangled(process: Server, connection: Connection, call: list[str]) -> None:
    assert_answered(process, connection, list(mangled(call, random.Random(" ".join(call)))))
