"""Devices: what the models run on, and how it fares."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.access.keys import Scope
from pipeline.models.devices import device_document
from webapp import documentation as docs
from webapp.json_answer import json_answer
from webapp.parts import Parts
from webapp.presentation import moment
from webapp.routes.calling import caller_of


class DeviceRoutes:
    """The handler of ``/v1/devices``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def install(self, app: FastAPI) -> None:
        """Add the route with its documentation."""
        app.get("/v1/devices", **docs.LIST_DEVICES)(self.list)

    async def list(self, request: Request) -> Response:
        """List the devices of every dispatcher."""
        parts = self._parts
        await caller_of(parts, request, Scope.READ_OWN)
        now_unix_ms = parts.clock.unix_ms()
        records = await parts.devices.all(now_unix_ms)
        documents = [
            device_document(record, now_unix_ms=now_unix_ms)
            | {"seen_at": moment(record.seen_unix_ms), "started_at": moment(record.started_unix_ms)}
            for record in records
        ]
        return json_answer({"devices": documents})
