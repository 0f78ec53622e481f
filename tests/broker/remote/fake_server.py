"""A server in a thread that answers requests as a function says, for the commands that talk to servers."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Answer = Callable[[list[str]], bytes | None]
"""Returns the encoded reply to a request; None closes the connection."""


@contextmanager
def answering(answer: Answer) -> Iterator[int]:
    """Serve any number of clients, one after another or at once; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended = False
        threads: list[threading.Thread] = []
        clients: list[socket.socket] = []

        def serve(client: socket.socket) -> None:
            with client, client.makefile("rb") as incoming:
                while line := incoming.readline():
                    words = []
                    for _ in range(int(line[1:])):
                        size = int(incoming.readline()[1:])
                        words.append(incoming.read(size + 2)[:-2].decode())
                    reply = answer(words)
                    if reply is None:
                        return
                    client.sendall(reply)

        def accept() -> None:
            while True:
                client = listening.accept()[0]
                if ended:
                    client.close()
                    return
                clients.append(client)
                threads.append(threading.Thread(target=serve, args=[client], daemon=True))
                threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        port: int = listening.getsockname()[1]
        try:
            yield port
        finally:
            ended = True
            socket.create_connection(("127.0.0.1", port)).close()
            accepting.join()
            for thread in threads:
                thread.join(5)


def bulk(text: str) -> bytes:
    """A text as a reply."""
    return b"$%d\r\n%s\r\n" % (len(text.encode()), text.encode())


def info(**fields: object) -> bytes:
    """INFO's reply with these fields."""
    return bulk("# Section\r\n" + "".join(f"{name}:{value}\r\n" for name, value in fields.items()))
