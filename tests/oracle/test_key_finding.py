"""Where a command's keys are: COMMAND GETKEYS and GETKEYSANDFLAGS on odd numbers of keys."""

import pytest

from tests.oracle.harness import same


@pytest.mark.parametrize(
    "request_text",
    [
        "ZUNIONSTORE d 1 z",
        "ZUNIONSTORE d 2 y z WEIGHTS 1 2",
        "ZUNIONSTORE d x z",
        "ZUNIONSTORE d 3 z",
        "ZUNIONSTORE d 0 z",
        "ZUNIONSTORE d -1 z",
        "ZUNIONSTORE d 9223372036854775807 z",
        "SINTERCARD 0 a",
        "SINTERCARD 2 a b LIMIT 1",
        "LMPOP 2 a b LEFT",
        "LMPOP 9 a b LEFT",
        "BZMPOP 0 2 a b MIN",
        "MSETEX 2 a 1 b 2",
        "MSETEX 3 a 1 b 2",
        "XREADGROUP GROUP g c STREAMS a b 1 2",
        "XREAD COUNT 2 STREAMS a b 1 2",
        "SORT a BY x STORE b",
        "SORT a",
    ],
)
def test_keys_of(request_text: str) -> None:
    same([f"COMMAND GETKEYS {request_text}", f"COMMAND GETKEYSANDFLAGS {request_text}"])
