"""Popping members off sorted sets against redis-server: at once, blocked, several clients, transactions."""

import pytest

from tests.oracle.harness import pair, same


@pytest.mark.parametrize("command", ["ZPOPMIN", "ZPOPMAX"])
def test_plain(command: str) -> None:
    same(
        [
            "ZADD z 1 a 2 b 2 c 3.5 d inf i -inf j",
            f"{command} z",
            f"{command} z 1",
            f"{command} z 2",
            f"{command} z 0",
            f"{command} z -1",
            f"{command} z x",
            f"{command} z 1 2",
            f"{command} z x y",
            f"{command} none",
            f"{command} none 1",
            f"{command} none 0",
            f"{command} none -1",
            f"{command} z 100",
            "EXISTS z",
            "ZADD z 1 a",
            f"{command} z",
            "EXISTS z",
            f"{command}",
        ],
        state=True,
    )


@pytest.mark.parametrize("where", ["MIN", "max"])
def test_several(where: str) -> None:
    same(
        [
            "ZADD y 1 a 2 b 3 c",
            "ZADD z 5 e",
            f"ZMPOP 2 none y {where}",
            f"ZMPOP 3 none y z {where} COUNT 1",
            f"ZMPOP 2 z y {where} count 10",
            f"ZMPOP 2 z y {where} COUNT 10",
            f"ZMPOP 2 z y {where} COUNT 10",
            f"ZMPOP 1 z {where}",
            f"ZMPOP 0 z {where}",
            f"ZMPOP -1 z {where}",
            f"ZMPOP x z {where}",
            f"ZMPOP 2 z {where}",
            f"ZMPOP 3 z {where}",
            "ZMPOP 1 z",
            "ZMPOP 1 z BAD",
            f"ZMPOP 1 z {where} COUNT",
            f"ZMPOP 1 z {where} COUNT 0",
            f"ZMPOP 1 z {where} COUNT -1",
            f"ZMPOP 1 z {where} COUNT x",
            f"ZMPOP 1 z {where} COUNT 1 COUNT 2",
            f"ZMPOP 1 z {where} BAD 1",
            f"ZMPOP 9223372036854775807 z {where}",
            "ZMPOP",
        ],
        state=True,
    )


def test_blocking_forms_that_need_not_wait() -> None:
    same(
        [
            "ZADD y 1 a 2.5 b 3 c",
            "ZADD z 5 e",
            "BZPOPMIN none y z 0",
            "BZPOPMAX none z y 1",
            "BZPOPMAX none z y 1.5",
            "BZMPOP 0 2 none y MIN COUNT 5",
            "EXISTS y z",
            "ZADD y 1 a 2.5 b",
            "BZMPOP 0.5 1 y MAX",
            "BZPOPMIN y x",
            "BZPOPMIN y -1",
            "BZPOPMIN y nan",
            "BZPOPMIN y inf",
            "BZPOPMIN y 1e400",
            "BZPOPMIN y 9223372036854775807",
            "BZPOPMIN y",
            "BZPOPMIN",
            "BZMPOP x 1 y MIN",
            "BZMPOP -1 1 y MIN",
            "BZMPOP 0 0 y MIN",
            "BZMPOP 0 x y MIN",
            "BZMPOP 0 2 y MIN",
            "BZMPOP 0 1 y BAD",
            "BZMPOP x 1 y MIN BAD",
            "BZMPOP x 1 y MIN COUNT 0",
            "BZMPOP 0 1 y MIN COUNT x",
            "BZMPOP 0 1 y",
            "BZPOPMIN none 0.01",
            "BZPOPMAX none none2 0.01",
            "BZMPOP 0.01 1 none MIN",
        ],
        state=True,
    )


def test_inside_a_transaction_nothing_waits() -> None:
    same(
        [
            "ZADD z 1 a",
            "MULTI",
            "BZPOPMIN none 0",
            "BZMPOP 0 1 none MAX",
            "BZPOPMAX z 0",
            "BZPOPMAX z 0",
            "EXEC",
        ],
        state=True,
    )


@pytest.mark.parametrize("resp", [2, 3])
def test_waiting_clients_are_served_in_order(resp: int) -> None:
    with pair() as p:
        first, second, third, writer = p.client(resp), p.client(resp), p.client(resp), p.client(resp)
        first.send("BZPOPMIN z 0")
        p.settle()
        second.send("BZPOPMAX y z 0")
        p.settle()
        third.send("BZMPOP 0 2 x z MIN COUNT 5")
        p.settle()
        writer.do("ZADD z 1 a 2 b 3 c 4 d")
        first.receive()
        second.receive()
        third.receive()
        writer.do("EXISTS z")


def test_one_member_serves_one_client() -> None:
    with pair() as p:
        first, second, writer = p.client(), p.client(), p.client()
        first.send("BZPOPMIN z 0")
        p.settle()
        second.send("BZPOPMIN z 0")
        p.settle()
        writer.do("ZADD z 1 a")
        first.receive()
        second.nothing()
        writer.do("ZINCRBY z 5 b")
        second.receive()
        writer.do("EXISTS z")


def test_other_types_wake_nobody() -> None:
    with pair() as p:
        waiting, writer = p.client(), p.client()
        waiting.send("BZPOPMIN z 0")
        p.settle()
        writer.do("SADD z a")
        waiting.nothing()
        writer.do("DEL z")
        writer.do("ZADD z 1 a")
        waiting.receive()


def test_other_ways_a_sorted_set_comes_about() -> None:
    with pair() as p:
        waiting, writer = p.client(), p.client()
        writer.do("ZADD source 1 a 2 b")
        for command in (
            "ZRANGESTORE z source 0 0",
            "ZUNIONSTORE z 1 source",
            "ZINTERSTORE z 2 source source",
            "ZDIFFSTORE z 1 source",
            "COPY source z",
            "RENAME source z",
        ):
            waiting.send("BZPOPMIN z 0")
            p.settle()
            writer.do(command)
            waiting.receive()
            writer.do("DEL z")


def test_a_transaction_that_removes_again_serves_nobody() -> None:
    with pair() as p:
        waiting, writer = p.client(), p.client()
        waiting.send("BZPOPMIN z 0")
        p.settle()
        for command in ("MULTI", "ZADD z 1 a", "DEL z", "EXEC"):
            writer.do(command)
        waiting.nothing()
        for command in ("MULTI", "ZADD z 1 a", "ZADD z 0 b", "EXEC"):
            writer.do(command)
        waiting.receive()


def test_timeout_and_unblock() -> None:
    with pair() as p:
        waiting, other = p.client(), p.client()
        waiting.send("BZPOPMIN z 0.05")
        waiting.receive()
        waiting.send("BZMPOP 0.05 1 z MIN")
        waiting.receive()
        waiting.do("PING")
        other.do("ZADD z 1 a")
        other.do("ZRANGE z 0 -1")
