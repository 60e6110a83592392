"""Health: is the process alive, and would work that comes in now be done."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from webapp import documentation as docs
from webapp.monitor import not_ready_reasons
from webapp.parts import Parts
from webapp.presentation import to_json

_STOPPING = "the service is stopping"


class HealthRoutes:
    """The handlers of ``/healthz`` and ``/readyz``. Both cost a look into memory."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        app.get("/healthz", **docs.HEALTHZ)(self.alive)
        app.get("/readyz", **docs.READYZ)(self.ready)
        # Some probers only ask for the head.
        app.head("/healthz", include_in_schema=False)(self.alive)
        app.head("/readyz", include_in_schema=False)(self.ready)

    async def alive(self, _request: Request) -> Response:
        """Say that the process answers."""
        return Response('{"status":"alive"}', media_type="application/json")

    async def ready(self, _request: Request) -> Response:
        """Say whether the stack can do work, and if not, every reason."""
        parts = self._parts
        reasons = not_ready_reasons(
            parts.monitor.sample,
            now_ms=parts.clock.monotonic_ms(),
            now_unix_ms=parts.clock.unix_ms(),
            watermarks=parts.monitor.watermarks,
        )
        if parts.stopping.is_set():
            reasons = [_STOPPING, *reasons]
        return Response(
            to_json({"ready": not reasons, "reasons": reasons}),
            status_code=503 if reasons else 200,
            media_type="application/json",
        )
