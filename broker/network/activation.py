"""Socket activation: listening sockets that the supervisor has opened and passes on (sd_listen_fds(3)).

Clients may connect while the broker is not running yet, or restarts.
"""

import os
import socket
from collections.abc import Mapping
from typing import Final

_FIRST: Final = 3


def passed_sockets(environment: Mapping[str, str], pid: int) -> list[socket.socket]:
    """The listening stream sockets passed to this process. Raises ValueError if one of them is something else."""
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(pid) or not (count.isascii() and count.isdigit()):
        return []
    passed: list[socket.socket] = []
    for descriptor in range(_FIRST, _FIRST + int(count)):
        os.set_inheritable(descriptor, False)
        try:
            sock = socket.socket(fileno=descriptor)
        except OSError as problem:
            raise ValueError(f"descriptor {descriptor} (LISTEN_FDS) is not a socket: {problem.strerror}") from None
        stream = sock.type == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if not stream or sock.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
            raise ValueError(f"descriptor {descriptor} (LISTEN_FDS) is not a listening TCP or Unix socket")
        sock.setblocking(False)
        passed.append(sock)
    return passed
