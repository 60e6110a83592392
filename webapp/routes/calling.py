"""Who calls a route."""

from __future__ import annotations

from fastapi import Request

from pipeline.access.keys import Scope
from webapp.access import Caller
from webapp.idempotency import HEADER
from webapp.parts import Parts
from webapp.refusals import InvalidField


async def caller_of(parts: Parts, request: Request, scope: Scope | None = None) -> Caller:
    """Tell who calls; any valid key will do where *scope* is None.

    Raises AccessDenied, MissingScope, or Unavailable while Redis is away.
    """
    return await parts.access.caller(request.headers.get("authorization", ""), scope)


async def caller_of_repeatable(parts: Parts, request: Request, scope: Scope) -> Caller:
    """Tell who calls a route that is safe to repeat as it is."""
    caller = await caller_of(parts, request, scope)
    if HEADER in request.headers:
        raise InvalidField(
            "This request can be repeated as it is; a key is of use on POST /v1/jobs and"
            " POST /v1/batches only.",
            field=HEADER,
        )
    return caller
