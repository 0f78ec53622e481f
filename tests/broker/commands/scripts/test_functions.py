"""FCALL and FUNCTION as a client sees them; what functions do is told by the oracle's tests."""

from tests.broker.sessions import make_broker, make_session, run

LIBRARY = b"""#!lua name=mine
redis.register_function{
  function_name='f', callback=function(keys, args) return {keys, args} end, flags={'no-writes'}, description='text'
}"""


def test_loading_calling_deleting() -> None:
    session = make_session(make_broker())
    assert run(session, [b"FUNCTION", b"LOAD", LIBRARY]) == b"$4\r\nmine\r\n"
    assert run(session, [b"FUNCTION", b"LOAD", LIBRARY]) == b"-ERR Library 'mine' already exists\r\n"
    assert run(session, [b"FUNCTION", b"LOAD", b"REPLACE", LIBRARY]) == b"$4\r\nmine\r\n"
    assert run(session, "FCALL f 1 k a", "FCALL_RO F 1 k a") == b"*2\r\n*1\r\n$1\r\nk\r\n*1\r\n$1\r\na\r\n" * 2
    assert run(session, "FUNCTION DELETE mine", "FCALL f 0") == b"+OK\r\n-ERR Function not found\r\n"


def test_refusals() -> None:
    session = make_session(make_broker())
    run(session, [b"FUNCTION", b"LOAD", LIBRARY])
    assert run(session, "FCALL f x") == b"-ERR Bad number of keys provided\r\n"
    assert run(session, "FCALL f 1") == b"-ERR Number of keys can't be greater than number of args\r\n"
    assert run(session, "FCALL f -1") == b"-ERR Number of keys can't be negative\r\n"
    assert run(session, "FUNCTION RESTORE x NOW").startswith(b"-ERR Wrong restore policy given")
    assert run(session, "FUNCTION RESTORE x") == b"-ERR DUMP payload version or checksum are wrong\r\n"
    assert run(session, "FUNCTION LOAD x y") == b"-ERR Unknown option given: x\r\n"
    assert run(session, "FUNCTION KILL") == b"-NOTBUSY No scripts in execution right now.\r\n"


def test_listing_in_resp3() -> None:
    session = make_session(make_broker())
    run(session, "HELLO 3", [b"FUNCTION", b"LOAD", LIBRARY])
    listed = run(session, "FUNCTION LIST LIBRARYNAME M* WITHCODE")
    assert listed.startswith(b"*1\r\n%4\r\n$12\r\nlibrary_name\r\n$4\r\nmine\r\n$6\r\nengine\r\n$3\r\nLUA\r\n")
    assert b"$5\r\nflags\r\n~1\r\n+no-writes\r\n" in listed and LIBRARY in listed
    assert run(session, "FUNCTION LIST LIBRARYNAME x") == b"*0\r\n"


def test_dumping_and_restoring() -> None:
    session, other = make_session(make_broker()), make_session(make_broker())
    run(session, [b"FUNCTION", b"LOAD", LIBRARY])
    dump = run(session, "FUNCTION DUMP")
    payload = dump[dump.index(b"\n") + 1 : -2]
    assert run(other, [b"FUNCTION", b"RESTORE", payload], "FUNCTION STATS").count(b":1\r\n") == 2
    assert run(other, "FUNCTION FLUSH ASYNC", "FUNCTION LIST") == b"+OK\r\n*0\r\n"
