"""Replacing the dataset by the one that the master has sent.

The file is complete by the time anything is removed. With `repl-diskless-load swapdb` it is loaded beside the old data,
which clients go on reading if both belong to one history, and takes their place at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Final

from broker.formats.rdb.target import KeyspaceTarget, StagingTarget
from broker.persistence.environment import LoadError
from broker.replication.incoming import LinkLost

if TYPE_CHECKING:
    from broker.clients.blocking import Blocking
    from broker.clients.tracking import Tracking
    from broker.config import Config
    from broker.execution.state import State
    from broker.keyspace.keyspace import Keyspace
    from broker.persistence.environment import FunctionLibraries
    from broker.persistence.persistence import Persistence
    from broker.process.log import Log

PAYLOAD: Final = "the RDB file received from the master"


class Loading:
    """Loads what masters send. `begin` and `finish` are called around what must happen within a tick."""

    def __init__(
        self,
        config: Config,
        log: Log,
        keyspace: Keyspace,
        functions: FunctionLibraries,
        blocking: Blocking,
        tracking: Tracking,
        state: State,
        persistence: Persistence,
    ) -> None:
        self._config = config
        self._log = log
        self._keyspace = keyspace
        self._functions = functions
        self._blocking = blocking
        self._tracking = tracking
        self._state = state
        self._persistence = persistence

    async def replace(
        self, file: IO[bytes], size: int, same_history: bool, begin: Callable[[], object], finish: Callable[[], None]
    ) -> dict[bytes, bytes]:
        """Load the file in place of all data and functions; returns what else it says.

        `same_history` is whether the old data are an earlier state of the new ones. Raises LinkLost; nothing is left
        then, except with `swapdb`, where the old data are.
        """
        state = self._state
        swaps = self._config.repl_diskless_load == "swapdb"
        target: KeyspaceTarget = StagingTarget(self._keyspace) if swaps else KeyspaceTarget(self._keyspace)
        self._log.notice("MASTER <-> REPLICA sync: Loading DB in memory")
        if swaps and same_history:
            state.async_loading = True
        else:
            state.loading = True
        state.restrict()
        try:
            # What is on the disk describes the old data. Until the new are there, no change must join it.
            await self._persistence.suspend_append_only()
            if not swaps:
                self._log.notice("MASTER <-> REPLICA sync: Flushing old data")
                begin()
                self._remove_all()
                finish()
            await self._load(file, size, target, begin, finish)
        finally:
            state.loading = state.async_loading = False
            state.restrict()
            self._keyspace.deadline_moved()
            self._persistence.resume_append_only()
        return target.facts

    async def _load(
        self,
        file: IO[bytes],
        size: int,
        target: KeyspaceTarget,
        begin: Callable[[], object],
        finish: Callable[[], None],
    ) -> None:
        keyspace = self._keyspace
        succeeded = False
        try:
            await self._persistence.recovery.load_received(PAYLOAD, file.read, size, target)
            begin()
            if isinstance(target, StagingTarget):
                self._log.notice("MASTER <-> REPLICA sync: Swapping active DB with loaded DB")
                self._functions.flush()
                self._remove_all()
                target.install()
            for code in target.functions:
                self._persistence.recovery.load_library(code)
            self._alert_all()
            succeeded = True
        except (LoadError, ValueError, OSError) as problem:
            self._log.warning(
                "Failed trying to load the MASTER synchronization DB from disk, check server logs.",
                reason=self._log.user_data(problem),
            )
            raise LinkLost("the data of the master can't be loaded", hopeless=True) from None
        finally:
            if not succeeded:
                begin()
                if isinstance(target, StagingTarget):
                    target.discard()
                else:
                    self._remove_all()
            # As many changes as there are keys: saves that are due after that are due now.
            keyspace.dirty = 0
            keyspace.changes += sum(len(database.data) for database in keyspace.databases)
            finish()

    def _remove_all(self) -> None:
        keyspace = self._keyspace
        self._functions.flush()
        for database in keyspace.databases:
            for name in database.listened_keys():
                if name in database.data:
                    database.alert(name)
            data = database.data
            database.clear()
            keyspace.release(data)
        self._tracking.flushed()
        self._blocking.serve()

    def _alert_all(self) -> None:
        """Tell clients that watch or wait for a key which is there now."""
        for database in self._keyspace.databases:
            for name in database.listened_keys():
                if name in database.data:
                    database.alert(name)
        self._blocking.serve()
