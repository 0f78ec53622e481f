"""What is read from INFO."""

import pytest

from broker.remote.info import Follower, Info


def test_a_master() -> None:
    info = Info(
        {
            "role": "master",
            "master_repl_offset": "100",
            "slave0": "ip=10.0.0.1,port=7,state=online,offset=90,lag=1",
            "slave_priority": "100",
            "db0": "keys=3,expires=0,avg_ttl=0",
            "db12": "keys=4,expires=0",
        }
    )
    assert info.is_master and info.offset == 100
    assert info.followers == [Follower("10.0.0.1:7", "online", 90, 1)]
    assert info.keys == {"db0": 3, "db12": 4}


def test_a_replica() -> None:
    info = Info(
        {"role": "slave", "master_host": "h", "master_port": "7", "master_link_status": "up", "slave_repl_offset": "5"}
    )
    assert not info.is_master and info.master == "h:7" and info.link_is_up and info.offset == 5
    assert info.number("slave_repl_offset") == 5 and info.number("role", 7) == 7 and info.number("none") == 0


@pytest.mark.parametrize(
    ("fields", "product"),
    [
        ({"redis_version": "7.0.15"}, "Redis 7.0.15"),
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.1.2"}, "Valkey 9.1.2"),
        ({"redis_version": "8.10.0", "trimaran_version": "0.1.0"}, "Trimaran 0.1.0"),
    ],
)
def test_products(fields: dict[str, str], product: str) -> None:
    assert Info(fields).product == product
