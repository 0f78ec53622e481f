"""Readiness: what is reported of which descriptor, waiting for it, and signals meanwhile."""

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

import pytest

from broker.process.poller import GONE, READABLE, WRITABLE, Poller, Watches, create_poller
from tests.twins import both

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="epoll is Linux's")
pollers = both("broker.process.poller", "broker.process._epoll", attribute="EpollPoller", argument="create")


@pollers
def test_what_is_ready_is_reported(create: Callable[[], Poller]) -> None:
    poller = create()
    one, other = socket.socketpair()
    with one, other:
        poller.register(one.fileno(), READABLE)
        assert poller.poll(0) == []
        other.send(b"x")
        assert poller.poll(0) == [(one.fileno(), READABLE)]
        poller.modify(one.fileno(), WRITABLE)
        assert poller.poll(0) == [(one.fileno(), WRITABLE)]
        poller.modify(one.fileno(), 0)
        assert poller.poll(0) == []
        other.close()
        ((descriptor, events),) = poller.poll(0)
        assert descriptor == one.fileno() and events & GONE
        poller.unregister(one.fileno())
        assert poller.poll(0) == []
    poller.close()


@pollers
def test_its_own_descriptor_is_readable_when_something_is_ready(create: Callable[[], Poller]) -> None:
    poller = create()
    receiving, sending = os.pipe()
    poller.register(receiving, READABLE)
    assert select.select([poller.fileno()], [], [], 0)[0] == []
    os.write(sending, b"x")
    assert select.select([poller.fileno()], [], [], 0)[0] == [poller.fileno()]
    poller.close()
    os.close(receiving)
    os.close(sending)


@pollers
def test_many_at_once(create: Callable[[], Poller]) -> None:
    poller = create()
    pairs = [socket.socketpair() for _ in range(300)]
    for one, other in pairs:
        poller.register(one.fileno(), READABLE)
        other.send(b"x")
    assert sorted(poller.poll(0)) == sorted((one.fileno(), READABLE) for one, _ in pairs)
    poller.close()
    for one, other in pairs:
        one.close()
        other.close()


@pollers
def test_waiting_lets_other_threads_run(create: Callable[[], Poller]) -> None:
    poller = create()
    receiving, sending = os.pipe()
    poller.register(receiving, READABLE)
    thread = threading.Thread(target=os.write, args=(sending, b"x"))
    thread.start()
    assert poller.poll(20_000) == [(receiving, READABLE)]
    thread.join()
    poller.close()
    os.close(receiving)
    os.close(sending)


@pollers
def test_a_signal_while_waiting(create: Callable[[], Poller]) -> None:
    """Its handler runs, and may raise; without that, nothing is ready."""
    poller = create()
    caught: list[int] = []

    def handler(number: int, frame: object) -> None:
        caught.append(number)
        if len(caught) == 2:
            raise KeyError

    def soon() -> None:
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        thread = threading.Thread(target=soon)
        thread.start()
        assert poller.poll(300) == [] and caught == [signal.SIGUSR1]
        thread.join()
        thread = threading.Thread(target=soon)
        thread.start()
        with pytest.raises(KeyError):
            poller.poll(20_000)
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
        poller.close()


@pollers
def test_a_closed_one(create: Callable[[], Poller]) -> None:
    poller = create()
    poller.close()
    with pytest.raises((OSError, ValueError)):
        poller.poll(0)
    with pytest.raises(ValueError, match="closed"):
        poller.register(0, READABLE)


def test_watches_are_called_by_descriptor() -> None:
    watches = Watches(create_poller())
    receiving, sending = os.pipe()
    watches.watch(receiving, lambda: None)
    os.write(sending, b"x")
    assert watches.poller.poll(0) == [(receiving, READABLE)] and receiving in watches.calls
    watches.unwatch(receiving)
    assert watches.poller.poll(0) == [] and not watches.calls
    watches.poller.close()
    os.close(receiving)
    os.close(sending)
