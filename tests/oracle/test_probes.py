"""What clients, proxies and dashboards probe a server with: cluster support, modules, read-only mode."""

import pytest

from tests.oracle.harness import Each, requires, same

pytestmark = requires("8.4")


@pytest.mark.parametrize(
    "command",
    [
        "CLUSTER",
        "CLUSTER INFO",
        "CLUSTER NODES",
        "CLUSTER NODES x",
        "CLUSTER SHARDS",
        "CLUSTER SLOTS",
        "CLUSTER MYID",
        "CLUSTER KEYSLOT k",
        "CLUSTER KEYSLOT",
        "CLUSTER HELP",
        "CLUSTER RESET HARD",
        "CLUSTER SLOT-STATS SLOTSRANGE 0 1",
        "CLUSTER SLOT-STATS x",
        "CLUSTER MEET 127.0.0.1 1",
        "CLUSTER NOTHING",
        "READONLY",
        "READONLY x",
        "READWRITE",
        "ASKING",
        "TRIMSLOTS RANGES 1 0 5",
        "TRIMSLOTS RANGES",
        "MODULE",
        "MODULE LOAD /nowhere",
        "MODULE LOAD",
        "MODULE LOADEX /nowhere CONFIG a b ARGS c",
        "MODULE UNLOAD nothing",
        "MODULE NOTHING",
        "MODULE LIST x",
        "RESTORE-ASKING k 0 x",
        "RESTORE-ASKING k 0",
    ],
)
def test_probes(command: str) -> None:
    same([command])


def test_in_transactions_and_scripts() -> None:
    same(["MULTI", "CLUSTER INFO", "READONLY", "ASKING", "EXEC"])
    same(["EVAL \"return redis.pcall('CLUSTER', 'INFO')\" 0", "EVAL \"return redis.pcall('READONLY')\" 0"])
    same(["EVAL \"return redis.pcall('MODULE', 'LIST')\" 0"])


def test_an_asking_restore_restores() -> None:
    payload = b"\x00\x01v\n\x00\x91\x08\xce\xb2\x198\x8a\xce"
    same([["RESTORE-ASKING", "k", 0, payload], ["RESTORE-ASKING", "k", 0, payload]], state=True)


def test_there_are_no_modules() -> None:
    """Redis lists those that it was built with."""
    same([Each("LRANGE nothing 0 -1", "MODULE LIST")])
