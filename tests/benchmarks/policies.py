"""What the policies of a group cost: the same work under each, on one broker of its own with stream-extensions.

A number of consumers read ten entries at a time, acknowledge them, and read again, all at once. Each entry has one of
many values, each as often as the others.
"""

import re
import select
import socket
import statistics
import sys
from collections.abc import Mapping, Sequence

from loads import Meter, Sample
from servers import LoadFailed, Server, encode
from tables import table

CONSUMERS = 8
COUNT = 10
POLICIES: Mapping[str, Sequence[str]] = {
    "none": (),
    "ACKWAIT": ("ACKWAIT", "60000"),
    "MAXINFLIGHT": ("ACKWAIT", "60000", "MAXINFLIGHT", "1000"),
    "ORDERBY": ("ACKWAIT", "60000", "ORDERBY", "value"),
}
_LAST = re.compile(rb"\$1\r\nn\r\n\$\d+\r\n\d+\r\n\Z")
_ID = re.compile(rb"\$\d+\r\n(\d+-1)\r\n")


def cost(rounds: int, values: int, entries: int) -> str:
    """The table. Entries of one value are as far apart as they can be, or next to each other in pairs."""
    settings = ("--port", "{port}", "--dir", "{dir}", "--bind", "127.0.0.1", "--save", "", "--stream-extensions", "yes")
    server = Server("ours", [sys.executable, "-m", "broker", "serve", *settings])
    rows = []
    try:
        for together in (1, 2):
            found: dict[str, list[Sample]] = {policy: [] for policy in POLICIES}
            for number in range(rounds):
                names = list(POLICIES)
                for place in range(len(names)):
                    policy = names[(place + number) % len(names)]
                    found[policy].append(_run(server, POLICIES[policy], values, entries, together))
            rows += [_row(policy, together, found) for policy in POLICIES]
    finally:
        server.stop()
    title = f"a group with a policy: {entries:,} entries of {values:,} values, {CONSUMERS} consumers"
    return table(title, ("policy", "neighbours of one value", "entries per second", "CPU us per entry", "ratio"), rows)


def _row(policy: str, together: int, found: Mapping[str, Sequence[Sample]]) -> Sequence[str]:
    samples = found[policy]
    ratio = statistics.median(one.cpu / other.cpu for one, other in zip(samples, found["none"], strict=True))
    rate = statistics.median(sample.rate for sample in samples)
    cpu = statistics.median(sample.cpu for sample in samples) * 1e6
    return policy, str(together), f"{rate:,.0f}", f"{cpu:.2f}", f"{ratio:.2f}"


def _run(server: Server, policy: Sequence[str], values: int, entries: int, together: int) -> Sample:
    server.call("FLUSHALL")
    server.fill(
        b"".join(
            encode("XADD", "s", f"{number + 1}-1", "value", f"value:{number // together % values}", "n", number)
            for number in range(entries)
        )
    )
    server.call("XGROUP", "CREATE", "s", "g", "0")
    if policy and server.call("XGROUP", "CFGSET", "s", "g", *policy) != b"+OK\r\n":
        raise LoadFailed(f"{server.name} refuses the policy")
    server.settle()
    return _consume(server, entries)


def _consume(server: Server, entries: int) -> Sample:
    """Consumers at work until everything is acknowledged."""
    socks = [server.connect() for _ in range(CONSUMERS)]
    by_fd: dict[int, tuple[socket.socket, bytes]] = {}
    poller = select.epoll()
    meter = Meter(server)
    for number, sock in enumerate(socks):
        read = encode("XREADGROUP", "GROUP", "g", f"c{number}", "COUNT", COUNT, "BLOCK", 0, "STREAMS", "s", ">")
        by_fd[sock.fileno()] = sock, read
        poller.register(sock, select.EPOLLIN)
        sock.sendall(read)
    left = entries
    buffered = dict.fromkeys(by_fd, b"")
    while left:
        ready = poller.poll(30)
        if not ready:
            raise LoadFailed(f"{server.name}: {left} entries are not delivered")
        for fd, _ in ready:
            sock, read = by_fd[fd]
            reply = buffered[fd] + sock.recv(1 << 16)
            announced = re.search(rb"\*1\r\n\*2\r\n\$1\r\ns\r\n\*(\d+)\r\n", reply)
            ids = _ID.findall(reply)
            if announced is None or len(ids) < int(announced[1]) or not _LAST.search(reply):
                buffered[fd] = reply
                continue
            buffered[fd] = b""
            left -= len(ids)
            sock.sendall(encode("XACK", "s", "g", *ids) + read)
    sample = meter.sample(entries)
    poller.close()
    for sock in socks:
        sock.close()
    return sample
