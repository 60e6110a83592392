"""The endpoint that a path names, for whoever may manage it."""

from __future__ import annotations

from fastapi import Request

from pipeline.access.keys import Scope
from pipeline.deliveries.endpoints import Endpoint
from pipeline.errors import NotFound
from pipeline.ids import is_id
from webapp.access import Caller
from webapp.parts import Parts
from webapp.routes.calling import caller_of


async def webhooks_caller(parts: Parts, request: Request) -> Caller:
    """Tell who calls; raises AccessDenied unless it may manage its tenant's webhooks."""
    return await caller_of(parts, request, Scope.MANAGE_WEBHOOKS)


async def own_endpoint(parts: Parts, caller: Caller, request: Request) -> Endpoint:
    """Give the endpoint that the path names; raises NotFound unless it is the caller's."""
    endpoint_id: str = request.path_params["endpoint_id"]
    endpoint = await parts.endpoints.get(endpoint_id) if is_id(endpoint_id, "ep") else None
    if endpoint is None or endpoint.tenant != caller.tenant:
        raise unknown_endpoint()
    return endpoint


def unknown_endpoint() -> NotFound:
    """Say that there is no such endpoint."""
    return NotFound("There is no endpoint of this id.")
