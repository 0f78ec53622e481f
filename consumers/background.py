"""An event loop for programs that have none: one in a thread of each process, started when it is first needed.

A forked child has a copy of its parent's memory, but not its threads. It forgets its parent's loop without touching it,
nor the connections, which the parent goes on using, and starts a loop of its own when it needs one.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar, cast

__all__ = ["Hosted"]

T = TypeVar("T")

EXIT_SECONDS = 5.0
"""How long the end of the process may be held up while connections are closed."""

logger = logging.getLogger("consumers")


class _Loop:
    """A running event loop in a thread of its own."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.blocks: set[_Block] = set()
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._stopping = asyncio.Event()
        # a daemon: the interpreter waits for other threads before it calls what atexit has
        self._thread = threading.Thread(target=self._main, name="consumers-loop", daemon=True)
        self._thread.start()
        self.loop = self._ready.result()

    def _main(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._ready.set_result(asyncio.get_running_loop())
        await self._stopping.wait()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        for one in list(self.blocks):
            one.close()
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(EXIT_SECONDS)


_lock = threading.Lock()
_loop: _Loop | None = None


def _close() -> None:
    if _loop is not None:
        _loop.close()


def _forget() -> None:
    """In a child: another thread of the parent may have held the lock, and would never release it here."""
    global _lock, _loop
    _lock, _loop = threading.Lock(), None
    atexit.unregister(_close)


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_forget)


class Hosted:
    """Runs functions in the block of an asynchronous context manager, in this process's loop.

    It is entered for the first call, and again after it failed, after close(), and in a child process. It is left by
    close(), and at the end of the process. All threads may use it at the same time.
    """

    def __init__(self, manager: Callable[[], AbstractAsyncContextManager[object]], name: str) -> None:
        """manager: returns it, to be entered once. name: what messages call it."""
        self._manager = manager
        self._name = name
        self._block: _Block | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has been entered, in this process."""
        return self._block is not None and self._block.is_usable

    def run(self, function: Callable[[], Awaitable[T]]) -> T:
        """Run a function in the loop and return its result, or raise what it raises. Ctrl-C here cancels it there.

        It runs in the caller's context (contextvars). If the context manager fails meanwhile this raises its error, or
        RuntimeError if it is closed.
        """
        block = self._block
        if block is None or not block.is_usable:
            block = self._entered()
        return block.run(function)

    def _entered(self) -> _Block:
        global _loop
        with _lock:
            if self._block is None or not self._block.is_usable:
                if _loop is None or not _loop.is_alive:
                    _loop = _Loop()
                    atexit.register(_close)
                self._block = _Block(_loop, self._manager(), self._name)
            return self._block

    def close(self) -> None:
        """Leave it, if it has been entered in this process. Calls that are not done raise RuntimeError."""
        block, self._block = self._block, None
        if block is not None:
            block.close()


class _Call(Generic[T]):
    """A function that runs in the loop for a thread that waits for its outcome.

    The task itself hands that over. The future of run_coroutine_threadsafe would do so a turn of the loop later, and
    costs another 15 us.
    """

    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self.function = function
        self.outcomes = SimpleQueue[tuple[T | None, BaseException | None]]()
        self.task: asyncio.Task[None]

    def cancel(self) -> None:
        self.task.cancel()


class _Block:
    """One time that a context manager is entered."""

    def __init__(self, home: _Loop, manager: AbstractAsyncContextManager[object], name: str) -> None:
        """Begin to enter it, without waiting."""
        self._home = home
        self._name = name
        self._calls: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self._entered: Future[None] = Future()
        self._is_open = False
        home.blocks.add(self)
        self._ended = asyncio.run_coroutine_threadsafe(self._host(manager), home.loop)

    @property
    def is_usable(self) -> bool:
        """Whether it belongs to this process and has not ended."""
        return not self._ended.done() and self._home.process == os.getpid()

    async def _host(self, manager: AbstractAsyncContextManager[object]) -> None:
        try:
            async with manager:
                self._is_open = True
                self._entered.set_result(None)
                try:
                    await self._closing.wait()
                finally:
                    self._is_open = False
                    calls = list(self._calls)
                    for call in calls:
                        call.cancel()
                # they still need what the block has
                await asyncio.gather(*calls, return_exceptions=True)
        except BaseException as error:
            if not self._entered.done():
                self._entered.set_exception(error)
            elif isinstance(error, Exception):
                logger.error("%s has been closed: %s", self._name, error)
            raise
        finally:
            self._home.blocks.discard(self)

    def run(self, function: Callable[[], Awaitable[T]]) -> T:
        if not self._is_open:
            self._entered.result()
        call = _Call(function)
        loop = self._home.loop
        try:
            loop.call_soon_threadsafe(self._start, call)
        except RuntimeError:
            # the loop has ended
            raise self._closed() from None
        try:
            result, error = call.outcomes.get()
        except BaseException:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(call.cancel)
            raise
        if error is None:
            return cast(T, result)
        try:
            if isinstance(error, asyncio.CancelledError) and not self._is_open:
                with suppress(CancelledError):
                    self._ended.result()
                raise self._closed() from None
            raise error
        finally:
            # its traceback holds this frame
            del error

    def _closed(self) -> RuntimeError:
        return RuntimeError(f"{self._name} has been closed")

    def _start(self, call: _Call[Any]) -> None:
        call.task = self._home.loop.create_task(self._call(call))

    async def _call(self, call: _Call[Any]) -> None:
        if not self._is_open:
            call.outcomes.put((None, asyncio.CancelledError()))
            return
        self._calls.add(call.task)
        try:
            call.outcomes.put((await call.function(), None))
        except BaseException as error:
            # KeyboardInterrupt and SystemExit, too: raised in a task, they would end the loop
            call.outcomes.put((None, error))
        finally:
            self._calls.discard(call.task)

    def close(self) -> None:
        if self._home.process == os.getpid():
            with suppress(RuntimeError):
                self._home.loop.call_soon_threadsafe(self._closing.set)
            with suppress(Exception, CancelledError):
                self._ended.result(EXIT_SECONDS)
