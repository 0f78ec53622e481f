"""The one way in which the console takes forms."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import parse_qsl

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console.access.audit import audit
from consumers.console.access.guard import visit_of

__all__ = ["Form", "FormHandler", "form_route"]

FIELDS = 1000
"""Fields that a form may have."""

ARRIVAL_SECONDS = 30.0
"""How long a form may take to arrive, so that nobody holds connections with forms that never end."""

Form: TypeAlias = dict[str, str]
FormHandler: TypeAlias = Callable[[Request, Form], Awaitable[Response]]


def form_route(path: str, handler: FormHandler) -> Route:
    """Return a route for forms, which the handler gets only with the right CSRF token."""

    async def take(request: Request) -> Response:
        visit, form = visit_of(request), await _read(request)
        if not hmac.compare_digest(form.pop("csrf", "").encode("utf-8", "surrogateescape"), visit.csrf.encode()):
            audit(visit.user, visit.address, "refused: CSRF token", path=path)
            raise HTTPException(403, "This form is too old, or not from this console. Go back, reload, and try again.")
        return await handler(request, form)

    return Route(path, take, methods=["POST"])


async def _read(request: Request) -> Form:
    """Return the fields; of those with the same name, the last. Raises HTTPException."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(415, "Forms are sent as application/x-www-form-urlencoded.")
    try:
        with anyio.fail_after(ARRIVAL_SECONDS):
            text = (await request.body()).decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=FIELDS))
    except ValueError:
        raise HTTPException(400, "This form can't be read.") from None
    except TimeoutError:
        raise HTTPException(408, "This form took too long to arrive.") from None
    except ClientDisconnect:
        raise HTTPException(400, "This form has not arrived.") from None
