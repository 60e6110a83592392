"""Health: is the process alive, and would work that comes in now be done."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from webapp import documentation as docs
from webapp.json_answer import json_answer, json_text_answer
from webapp.parts import Parts


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
        return json_text_answer('{"status":"alive"}')

    async def ready(self, _request: Request) -> Response:
        """Say whether the stack can do work, and if not, every reason."""
        reasons = self._parts.not_ready_reasons()
        return json_answer(
            {"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200
        )
