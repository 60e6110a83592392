"""What Replicate's and Cog's clients ask for besides predictions: models, secrets, health."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.access.keys import Scope
from pipeline.errors import NotFound
from pipeline.models.entry import ModelEntry
from webapp import documentation as docs
from webapp.dialects.cog_answers import health_document, model_document, version_document
from webapp.dialects.desk import base_url_of
from webapp.dialects.inputs import parse_model_ref
from webapp.json_answer import json_answer
from webapp.parts import Parts
from webapp.refusals import UnsupportedContent
from webapp.routes.calling import caller_of


class ReplicateRoutes:
    """The handlers of models, versions, files and the webhooks' secret, and the health check."""

    def __init__(self, parts: Parts, *, version: str) -> None:
        self._parts = parts
        self._version = version

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        model = "/v1/models/{owner}/{name}"
        app.get("/health-check", **docs.COG["health"])(self.health)
        app.get(model, **docs.REPLICATE["model"])(self.model)
        app.get(f"{model}/versions", **docs.REPLICATE["versions"])(self.versions)
        app.get(f"{model}/versions/{{version}}", **docs.REPLICATE["version"])(self.version)
        app.get("/v1/webhooks/default/secret", **docs.REPLICATE["secret"])(self.secret)
        app.post("/v1/files", **docs.REPLICATE["files"])(self.files)

    async def health(self, _request: Request) -> Response:
        """Say whether predictions would be made; always 200, as Cog has it."""
        parts = self._parts
        return json_answer(
            health_document(
                parts.not_ready_reasons(),
                is_starting=parts.monitor.sample is None,
                version=self._version,
            )
        )

    async def model(self, request: Request) -> Response:
        """Give a model."""
        return json_answer(
            model_document(await self._entry(request), base_url=base_url_of(request, self._parts))
        )

    async def versions(self, request: Request) -> Response:
        """List a model's versions, newest first."""
        entry = await self._entry(request)
        results = [version_document(entry, version) for version in entry.versions]
        return json_answer({"previous": None, "next": None, "results": results})

    async def version(self, request: Request) -> Response:
        """Give a version; raises NotFound."""
        entry = await self._entry(request)
        ref = parse_model_ref(request.path_params["version"], name="version")
        version = ref.version or ref.model
        if (ref.version and ref.model != entry.name) or version not in entry.versions:
            raise NotFound("There is no version of this id.")
        return json_answer(version_document(entry, version))

    async def secret(self, request: Request) -> Response:
        """Give the secret that webhooks of predictions and of fal's requests are signed with."""
        caller = await caller_of(self._parts, request, Scope.MANAGE_WEBHOOKS)
        secret = await self._parts.jobs.secrets.get(caller.tenant)
        return json_answer({"key": secret}, headers={"Cache-Control": "no-store"})

    async def files(self, request: Request) -> Response:
        """Say that files are not kept, and what to do instead."""
        await caller_of(self._parts, request, Scope.SUBMIT)
        raise UnsupportedContent(
            "Files are not kept here: send the picture within the prediction, as a data URL"
            ' (file_encoding_strategy="base64").'
        )

    async def _entry(self, request: Request) -> ModelEntry:
        await caller_of(self._parts, request)
        entry = (await self._parts.catalogue.models()).get(request.path_params["name"])
        if entry is None:
            raise NotFound("There is no model of this name.")
        return entry
