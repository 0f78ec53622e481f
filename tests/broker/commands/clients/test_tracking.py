"""CLIENT TRACKING, CACHING, GETREDIR, TRACKINGINFO, and where else a client's tracking shows."""

import pytest

from broker.broker import Broker
from tests.broker.direct import Client
from tests.broker.sessions import make_broker


@pytest.fixture
def broker() -> Broker:
    return make_broker()


@pytest.fixture
def client(broker: Broker) -> Client:
    return Client(broker)


def fields(client: Client) -> dict[bytes, bytes]:
    line = client.do("CLIENT INFO").split(b"\r\n")[1]
    return dict(field.split(b"=", 1) for field in line.split())  # type: ignore[misc]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("on REDIRECT 99", b"The client ID you want redirect to does not exist"),
        ("on PREFIX a", b"PREFIX option requires BCAST mode to be enabled"),
        ("on BCAST OPTIN", b"OPTIN and OPTOUT are not compatible with BCAST"),
        ("on OPTIN OPTOUT", b"You can't specify both OPTIN mode and OPTOUT mode"),
        ("on nonsense", b"syntax error"),
        ("maybe", b"syntax error"),
        (
            "on BCAST PREFIX ab PREFIX a",
            b"Prefix 'ab' overlaps with another provided prefix 'a'. Prefixes for a single client must not overlap.",
        ),
    ],
)
def test_refused_options_leave_tracking_off(client: Client, command: str, error: bytes) -> None:
    assert client.do(f"CLIENT TRACKING {command}") == b"-ERR " + error + b"\r\n"
    assert client.session.tracking is None
    assert client.session.flags == 0


def test_refused_options_leave_the_mode_as_it_was(client: Client) -> None:
    client.do("CLIENT TRACKING on BCAST PREFIX a NOLOOP")
    for command in ("on", "on BCAST PREFIX aa", "on BCAST PREFIX b PREFIX a", "on BCAST OPTIN", "on BCAST PREFIX ''"):
        assert client.do(f"CLIENT TRACKING {command}").startswith(b"-ERR")
    info = client.do("CLIENT TRACKINGINFO")
    assert b"noloop" in info and info.endswith(b"*1\r\n$1\r\na\r\n")


def test_getredir(broker: Broker, client: Client) -> None:
    receiver = Client(broker)
    assert client.do("CLIENT GETREDIR") == b":-1\r\n"
    client.do("CLIENT TRACKING on")
    assert client.do("CLIENT GETREDIR") == b":0\r\n"
    client.do(f"CLIENT TRACKING on REDIRECT {receiver.session.id}")
    assert client.do("CLIENT GETREDIR") == b":%d\r\n" % receiver.session.id


def test_what_client_info_shows(broker: Broker, client: Client) -> None:
    receiver = Client(broker)
    assert (fields(client)[b"flags"], fields(client)[b"redir"]) == (b"N", b"-1")
    client.do(f"CLIENT TRACKING on BCAST REDIRECT {receiver.session.id}")
    assert (fields(client)[b"flags"], fields(client)[b"redir"]) == (b"tB", b"%d" % receiver.session.id)
    broker.close_session(receiver.session)
    client.do("SET k 1")
    broker.tracking.broadcast()
    assert fields(client)[b"flags"] == b"tRB"
    client.do("RESET")
    assert fields(client)[b"redir"] == b"-1"


def test_what_info_shows(broker: Broker, client: Client) -> None:
    listener = Client(broker)
    client.do("CLIENT TRACKING on")
    listener.do("CLIENT TRACKING on BCAST PREFIX a PREFIX b")
    client.do("MGET k l")
    info = client.do("INFO clients") + client.do("INFO stats")
    for line in (
        b"tracking_clients:2",
        b"tracking_total_keys:2",
        b"tracking_total_items:2",
        b"tracking_total_prefixes:2",
    ):
        assert line + b"\r\n" in info


def test_a_renamed_client_command_keeps_caching_as_well(client: Client) -> None:
    table = client.broker.commands
    table.by_name[b"peer"] = table.by_name.pop(b"client")
    client.do("PEER TRACKING on OPTIN")
    client.do("PEER CACHING yes")
    client.do("PEER GETNAME")
    client.do("GET k")
    client.do("GET l")
    assert client.broker.tracking.keys == 1
