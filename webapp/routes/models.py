"""Models: what can be asked for."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.errors import NotFound
from webapp import documentation as docs
from webapp.parts import Parts
from webapp.presentation import model_document, to_json


class ModelRoutes:
    """The handlers of ``/v1/models``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        app.get("/v1/models", **docs.LIST_MODELS)(self.list)
        app.get("/v1/models/{name}", **docs.READ_MODEL)(self.read)

    async def list(self, request: Request) -> Response:
        """List the models."""
        await self._parts.access.tenant(request.headers.get("authorization", ""))
        models = await self._parts.catalogue.models()
        documents = [model_document(entry) for entry in models.values()]
        return Response(to_json({"models": documents}), media_type="application/json")

    async def read(self, request: Request) -> Response:
        """Give one model; raises NotFound."""
        await self._parts.access.tenant(request.headers.get("authorization", ""))
        entry = (await self._parts.catalogue.models()).get(request.path_params["name"])
        if entry is None:
            raise NotFound("There is no model of this name.")
        return Response(to_json(model_document(entry)), media_type="application/json")
