"""Scripts and functions that are killed, beside redis-server: what the error says, and where it says that was.

A script that catches the error goes on in Redis until it reaches another line. Here whatever catches it raises it
again, which is another place if the rest of the script is on other lines: such scripts are not compared.
"""

import time

import pytest

from tests.oracle import servers
from tests.oracle.harness import requires
from tests.oracle.servers import Server
from tests.oracle.wire import encode

pytestmark = requires("8.10")

SECONDS = 60.0
LIBRARY = """#!lua name=endless
redis.register_function('plain', function(keys, args)
  while true do
  end
end)
redis.register_function('calling', function(keys, args)
  while true do redis.call('PING') end
end)
redis.register_function{function_name='reading', callback=function(keys, args)

  while true do pcall(redis.call, 'PING') end
end, flags={'no-writes'}}
"""
REQUESTS = [
    ("EVAL", "while true do end", "0"),
    ("EVAL_RO", "local x = 1\nwhile true do\n x = x + 1\nend", "0"),
    ("EVAL", "#!lua\nwhile true do end", "0"),
    ("EVAL", "while true do pcall(function() while true do end end) end", "0"),
    ("EVAL", "while true do pcall(pcall, pcall, function() while true do end end) end", "0"),
    ("EVAL", "while true do redis.pcall('PING') end", "0"),
    ("EVAL", "local function f()\n while true do end\nend\n\nlocal function g()\n f()\nend\ng()", "0"),
    ("EVAL", "local function f()\n while true do end\nend\nreturn f()", "0"),
    ("EVAL", "table.sort({3, 2, 1}, function()\n while true do end end)", "0"),
    ("EVAL", "string.gsub('abc', '.', function(c)\n while true do end end)", "0"),
    ("EVAL", "return setmetatable({}, {__index = function()\n while true do end end}).x", "0"),
    ("EVAL", "local f = loadstring('while true do end')\nf()", "0"),
    ("EVAL", "local f = loadstring('while true do end', '@mine')\nf()", "0"),
    ("EVAL", "local next = coroutine.wrap(function() while true do end end)\nnext()", "0"),
    ("FCALL", "plain", "0"),
    ("FCALL", "calling", "0"),
    ("FCALL_RO", "reading", "0"),
]


def killed(server: Server, *request: str) -> bytes:
    """The reply to a request that is killed as soon as that is possible."""
    looping, other = server.connect(), server.connect()
    kill = "FUNCTION" if request[0].startswith("FCALL") else "SCRIPT"
    try:
        assert other.call("FUNCTION", "LOAD", "REPLACE", LIBRARY) == b"$7\r\nendless\r\n"
        before = other.call("CONFIG", "GET", "busy-reply-threshold").split(b"\r\n")[4]
        other.call("CONFIG", "SET", "busy-reply-threshold", "10")
        looping.send(encode(request))
        deadline = time.monotonic() + SECONDS
        while (reply := other.call(kill, "KILL")) != b"+OK\r\n":
            assert reply.startswith((b"-NOTBUSY", b"-BUSY")) and time.monotonic() < deadline, reply
            time.sleep(0.01)
        reply = looping.receive()
        assert other.call("CONFIG", "SET", "busy-reply-threshold", before) == b"+OK\r\n"
        assert other.call("FUNCTION", "DELETE", "endless") == b"+OK\r\n"
        return reply
    finally:
        looping.close()
        other.close()


@pytest.mark.parametrize("request_", REQUESTS, ids=" ".join)
def test_the_error_says_where_it_was(request_: tuple[str, ...]) -> None:
    theirs, ours = killed(servers.reference(), *request_), killed(servers.broker(), *request_)
    assert theirs.startswith(b"-ERR Script killed by user with SCRIPT KILL... script: ")
    assert ours == theirs


def test_an_evaluated_sum_is_the_name() -> None:
    replies = []
    for server in (servers.reference(), servers.broker()):
        client = server.connect()
        digest = client.call("SCRIPT", "LOAD", "while true do end").split(b"\r\n")[1].decode()
        client.close()
        replies.append(killed(server, "EVALSHA", digest, "0"))
    theirs, ours = replies
    assert ours == theirs
    assert f"script: {digest}, on @user_script:1.".encode() in ours
