"""kill -9 at random moments under load, again and again on the same files."""

import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.histories import History
from tests.crash.process import Process
from tests.crash.work_queue import WorkQueue
from tests.oracle.wire import CLOSED, SILENT, Connection

ROUNDS = int(os.environ.get("TRIMARAN_CRASH_ROUNDS") or 12)
"""Kills in all, spread over the settings."""

SEED = int(os.environ.get("TRIMARAN_CRASH_SEED") or random.randrange(1 << 32))

LIFE = 12
"""Rounds on the same files; then a new folder, so that histories stay short."""

AT_RISK = 3.0
"""Seconds before the kill whose answered writes may be missing with everysec, on a disk whose syncs block writes: these
are postponed by two at most, and one more may pass until the next."""

WRITES_WAIT = "had to wait for its sync"
"""In the log: this is such a disk."""

KEYS = 20_000

SETTINGS = {
    "always": {"appendfsync": "always"},
    "everysec": {"appendfsync": "everysec"},
    "always, base of commands": {"appendfsync": "always", "aof_use_rdb_preamble": "no", "aof_timestamp_enabled": "yes"},
    "everysec, small": {
        "appendfsync": "everysec", "auto_aof_rewrite_min_size": "64kb", "no_appendfsync_on_rewrite": "yes",
    },
    "no": {"appendfsync": "no"},
}  # fmt: skip


class Load:
    """The clients of one folder's life, and what they know."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self.histories = [History(f"client{number}") for number in range(4)]
        self.queue = WorkQueue()
        self.lost = 0
        self.answered = 0

    def run(self, process: Process, round_number: int) -> float:
        """Work until the process is killed at a random moment; when that was."""
        works: list[Callable[[Connection, random.Random], None]] = [history.work for history in self.histories]
        works += [self.queue.produce, self.queue.produce, self.queue.consume, self.queue.consume, _disturb]
        connections = [process.connect() for _ in works]
        self.queue.create(connections[-1])
        threads = []
        for number, (work, connection) in enumerate(zip(works, connections, strict=True)):
            chance = random.Random(f"{self._seed}:{round_number}:{number}")
            threads.append(threading.Thread(target=work, args=(connection, chance)))
        for thread in threads:
            thread.start()
        time.sleep(random.Random(f"{self._seed}:{round_number}").expovariate(2) + 0.02)
        moment = time.monotonic()
        process.kill()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        for connection in connections:
            connection.close()
        return moment

    def verify(self, process: Process, moment: float, *, nothing_lost: bool) -> None:
        with closing(process.connect()) as connection:
            for history in self.histories:
                guaranteed = history.answered if nothing_lost else history.answered_before(moment - AT_RISK)
                self.answered += history.answered
                self.lost += history.settle(history.state(connection.call), guaranteed)
            self.queue.verify(connection, nothing_lost=nothing_lost)


def _disturb(connection: Connection, chance: random.Random) -> None:
    """Rewrites, saves and steps of backups at random, until the connection ends."""
    requests = ["BGREWRITEAOF", "BGSAVE", "BACKUP START", "BACKUP SEAL", "BACKUP CLEANUP"]
    while connection.usable:
        time.sleep(chance.expovariate(10))
        try:
            if connection.call(*chance.choice(requests).split()) in (CLOSED, SILENT):
                return
        except OSError:
            return


@pytest.mark.parametrize("name", SETTINGS)
def test_what_was_answered_is_there_after_a_kill(name: str, tmp_path: Path) -> None:
    print(f"TRIMARAN_CRASH_SEED={SEED}")
    rounds = max(1, ROUNDS // len(SETTINGS))
    answered = lost = 0
    for life in range(0, rounds, LIFE):
        folder = tmp_path / str(life)
        folder.mkdir()
        process = Process(folder, appendonly="yes", save="", **SETTINGS[name])
        load = Load(f"{SEED}:{name}:{life}")
        process.start()
        try:
            connection = process.connect()
            connection.call("SELECT", "1")
            assert connection.call("DEBUG", "POPULATE", KEYS) == b"+OK\r\n"
            connection.close()
            for number in range(min(LIFE, rounds - life)):
                moment = load.run(process, number)
                nothing_lost = "always" in name or WRITES_WAIT not in process.log()
                process.start()
                load.verify(process, moment, nothing_lost=nothing_lost)
        finally:
            process.kill()
        answered += load.answered
        lost += load.lost
    print(f"{name}: {rounds} kills, {answered} units answered, {lost} of them lost")
