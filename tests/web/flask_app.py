"""A Flask application that enqueues jobs, for any WSGI server with threads."""

import threading

from flask import Flask, request

from tests.web.jobs import add, before_fork, note

app = Flask(__name__)


@app.get("/add")
def sum_of() -> dict[str, int]:
    a, b = int(request.args["a"]), int(request.args["b"])
    job = add.sync.enqueue(a, b, job_id=f"{a}+{b}")
    return {"sum": job.result(timeout=60), "process": threading.get_ident()}


@app.get("/order")
def order() -> dict[str, str]:
    job = note.sync.enqueue(int(request.args["n"]), job_id=f"note-{request.args['n']}")
    return {"job": job.id}


@app.get("/early")
def early() -> dict[str, int]:
    return {"sum": before_fork.result(timeout=60)}
