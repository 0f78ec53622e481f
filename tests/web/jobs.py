"""The queue of the Django and Flask applications, for `trimaran work`.

REDIS_URL names the server, JOURNAL the file in which the jobs that ran are noted.
"""

import os

from consumers.jobs import Backoff, Queue

queue = Queue("web")


@queue.job(backoff=Backoff(0.1))
def add(a: int, b: int) -> int:
    return a + b


@queue.job(backoff=Backoff(0.1))
def note(n: int) -> None:
    """Appends a line, in one system call."""
    journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(journal, f"{n}\n".encode())
    os.close(journal)


# gunicorn --preload imports this in the process that is forked: what is open then must not be used by its children
before_fork = add.sync.enqueue(1, 2)
