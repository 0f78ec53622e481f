"""A Django application that enqueues jobs, for `gunicorn`."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from tests.web.jobs import add, before_fork, note

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY="tests", MIDDLEWARE=[])


def sum_of(request: HttpRequest) -> JsonResponse:
    a, b = int(request.GET["a"]), int(request.GET["b"])
    job = add.sync.enqueue(a, b, job_id=f"{a}+{b}")
    return JsonResponse({"sum": job.result(timeout=60), "process": os.getpid()})


def order(request: HttpRequest) -> JsonResponse:
    job = note.sync.enqueue(int(request.GET["n"]), job_id=f"note-{request.GET['n']}")
    return JsonResponse({"job": job.id})


def early(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"sum": before_fork.result(timeout=60)})


urlpatterns = [path("add", sum_of), path("order", order), path("early", early)]
app = get_wsgi_application()
