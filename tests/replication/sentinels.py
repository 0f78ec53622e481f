"""Three redis-sentinels that watch one set of servers, with short periods, so that a failover takes seconds.

Each server is behind a proxy, and announces the proxy's port: everybody, the other servers included, reaches it through
that, so the network around one server can fail.
"""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.oracle.conftest import skip_loudly
from tests.oracle.servers import free_port
from tests.oracle.wire import CLOSED, SILENT, Connection, parse
from tests.replication.nodes import Node, executable, require, until
from tests.replication.proxy import Proxy
from tests.replication.sentinel_logs import Promotion, aborts, promotions

__all__ = ["NAME", "Member", "Sentinels", "guarded_set"]

NAME = "main"
QUORUM = 2
DOWN_AFTER = 2000
"""Milliseconds without a valid answer after which a server counts as down. On a busy machine less leads to failovers
for no reason, also while no replica is in sync."""

# Not ping-period: a replica that has not answered for five of them can't be promoted, even if it alone has all writes.
PERIODS = (
    "info-period", "200", "ask-period", "200", "publish-period", "300",
    "election-timeout", "2000", "min-link-reconnect-period", "300", "slave-reconf-timeout", "3000",
)  # fmt: skip

SETTINGS = """port {port}
bind 127.0.0.1
dir {folder}
protected-mode no
sentinel monitor {name} 127.0.0.1 {master} {quorum}
sentinel down-after-milliseconds {name} {down_after}
sentinel failover-timeout {name} 3000
sentinel parallel-syncs {name} 2
"""


class Member:
    """A server of the set, and the proxy in front of it."""

    def __init__(self, node: Node, proxy: Proxy) -> None:
        self.node = node
        self.proxy = proxy

    @property
    def port(self) -> int:
        """Where everybody else reaches it."""
        return self.proxy.port


class Sentinels:
    """The three processes. They run within the block."""

    def __init__(self, folder: Path, members: Sequence[Member], program: Sequence[str]) -> None:
        """program: the words of its command line, before and after the name of the file with its settings."""
        self.members = members
        self._program = program
        self.ports = [free_port() for _ in range(3)]
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Sentinels":
        for port in self.ports:
            folder = self._folder / f"sentinel-{port}"
            folder.mkdir()
            settings = SETTINGS.format(
                port=port, folder=folder, name=NAME, master=self.members[0].port, quorum=QUORUM, down_after=DOWN_AFTER
            )
            (folder / "sentinel.conf").write_text(settings)
            with (folder / "log").open("wb") as log:
                self._processes.append(
                    subprocess.Popen(
                        [self._program[0], str(folder / "sentinel.conf"), *self._program[1:]],
                        cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    )
                )  # fmt: skip
        for port in self.ports:
            until(lambda port=port: self.call(port, "PING") == b"+PONG\r\n", self.logs)  # type: ignore[misc]
            assert self.call(port, "SENTINEL", "DEBUG", *PERIODS) == b"+OK\r\n"
        until(self._know_everybody, self.logs)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def call(self, port: int, *command: str) -> bytes:
        try:
            connection = Connection(("127.0.0.1", port))
        except OSError:
            return CLOSED
        with contextlib.closing(connection):
            return connection.call(*command)

    def logs(self) -> str:
        """The ends of what they and the servers say."""
        texts = [f"{path}\n{path.read_text(errors='replace')[-8000:]}" for path in self._folder.glob("*/log")]
        return "\n".join([f"members: {[(one.node.kind, one.node.port, one.port) for one in self.members]}", *texts])

    def _facts(self, port: int) -> dict[bytes, bytes]:
        reply = self.call(port, "SENTINEL", "MASTER", NAME)
        if reply in (CLOSED, SILENT) or reply.startswith(b"-"):
            return {}
        texts = [item.text for item in parse(reply).items]
        return dict(zip(texts[::2], texts[1::2], strict=True))

    def _know_everybody(self) -> bool:
        """Whether each knows the other two, and all replicas, and finds nothing wrong."""
        return all(
            facts.get(b"num-other-sentinels") == b"2"
            and facts.get(b"num-slaves") == b"%d" % (len(self.members) - 1)
            and facts.get(b"flags") == b"master"
            for facts in map(self._facts, self.ports)
        )

    def _agreed(self) -> Member | None:
        ports = {self._facts(port).get(b"port") for port in self.ports}
        return next((member for member in self.members if ports == {b"%d" % member.port}), None)

    def master(self) -> Member:
        """The member that all of them hold for the master, once they agree."""
        found: list[Member | None] = []

        def agreed() -> bool:
            found[:] = [self._agreed()]
            return found != [None]

        until(agreed, self.logs)
        assert found[0] is not None
        return found[0]

    def until_replaced(self, member: Member, since: float) -> Member:
        """Wait until a failover that ended since then has replaced this master; returns the one that there is now.

        That may be the same, if another failover has followed. The other replicas have been moved by then: a master
        that comes back before goes on with them for a moment, and what they confirm is lost.
        """

        def replaced() -> bool:
            found = self.promotions(since)
            back = bool(found) and found[-1].new == member.port
            return any(one.old == member.port for one in found) and (back or self._agreed() not in (None, member))

        until(replaced, self.logs)
        return self.master()

    def until_whole(self) -> Member:
        """Wait until all other members are replicas of the master, in sync, and all Sentinels are content."""
        found: list[Member] = []

        def whole() -> bool:
            master = self._agreed() if self._know_everybody() else None
            if master is None or master.node.info().get("role") != "master":
                return False
            found[:] = [master]
            infos = [member.node.info() for member in self.members if member is not master]
            return all(
                info.get("master_link_status") == "up" and info.get("master_port") == str(master.port) for info in infos
            )

        until(whole, lambda: f"{[member.node.info() for member in self.members]}\n{self.logs()}", 90)
        return found[0]

    def fail_over(self, *options: str) -> bool:
        """SENTINEL FAILOVER; False if another one has hardly ended, or if no replica is fit yet."""
        return self.call(self.ports[0], "SENTINEL", "FAILOVER", NAME, *options) == b"+OK\r\n"

    # What they have logged

    def _own_logs(self) -> list[str]:
        return [path.read_text(errors="replace") for path in self._folder.glob("sentinel-*/log")]

    def promotions(self, since: float) -> list[Promotion]:
        """The failovers that have succeeded since then (seconds since 1970), the earliest first."""
        return promotions(self._own_logs(), since)

    def aborts(self, since: float) -> list[str]:
        """The failovers that were given up since then."""
        return aborts(self._own_logs(), since)


def _program(valkey: bool) -> list[str]:
    if valkey:
        require("valkey")
        return [str(executable("valkey")), "--sentinel"]
    if shutil.which("redis-sentinel") is None:
        skip_loudly("no redis-sentinel on this machine")
    return ["redis-sentinel"]


@contextlib.contextmanager
def guarded_set(folder: Path, *kinds: str, valkey: bool = False) -> Iterator[Sentinels]:
    """Servers of these kinds under three Sentinels, Redis's or Valkey's; the first begins as the master."""
    require(*kinds)
    program = _program(valkey)
    with contextlib.ExitStack() as running:
        members = []
        for kind in kinds:
            node = Node(kind, folder, appendonly="no", repl_timeout="5")
            proxy = running.enter_context(Proxy(node.port))
            node.announce(proxy.port)
            members.append(Member(running.enter_context(node), proxy))
        for member in members[1:]:
            member.node.follow(members[0].port)
        for member in members[1:]:
            member.node.until_in_sync()
        yield running.enter_context(Sentinels(folder, members, program))
