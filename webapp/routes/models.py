"""Models: what can be asked for, how it is doing, and what operators say about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.access.keys import Scope
from pipeline.errors import NotFound
from pipeline.ids import is_id
from pipeline.models.command_outcome import CommandOutcome
from pipeline.models.commands import CommandKind
from webapp import documentation as docs
from webapp.json_answer import json_answer
from webapp.json_body import read_json_object
from webapp.model_commanding import give_command, outcome_of_command
from webapp.model_documents import command_document, model_document
from webapp.model_fields import check_model_name, parse_command_fields
from webapp.parts import Parts
from webapp.routes.calling import caller_of


class ModelRoutes:
    """The handlers of ``/v1/models``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        app.get("/v1/models", **docs.LIST_MODELS)(self.list)
        app.get("/v1/models/{name}", **docs.READ_MODEL)(self.read)
        for kind in CommandKind:
            documented = docs.COMMAND_MODEL[kind]
            app.post(f"/v1/models/{{name}}/{kind}", **documented)(self._command(kind))
        app.get("/v1/models/{name}/commands/{command_id}", **docs.READ_COMMAND)(self.follow)

    async def list(self, request: Request) -> Response:
        """List the models."""
        await caller_of(self._parts, request)
        models = await self._parts.catalogue.models()
        documents = [model_document(entry) for entry in models.values()]
        return json_answer({"models": documents})

    async def read(self, request: Request) -> Response:
        """Give one model; raises NotFound."""
        await caller_of(self._parts, request)
        entry = (await self._parts.catalogue.models()).get(request.path_params["name"])
        if entry is None:
            raise NotFound("There is no model of this name.")
        return json_answer(model_document(entry))

    async def follow(self, request: Request) -> Response:
        """Tell what became of a command; raises NotFound."""
        await caller_of(self._parts, request, Scope.MANAGE_MODELS)
        command_id = request.path_params["command_id"]
        if not is_id(command_id, "cmd"):
            raise NotFound("There is no command of this id.")
        outcome = await outcome_of_command(self._parts, command_id, wait_s=0.0)
        if outcome.command.model != request.path_params["name"]:
            raise NotFound("There is no command of this id.")
        return _told(outcome)

    def _command(self, kind: CommandKind) -> Callable[[Request], Awaitable[Response]]:
        """Give the handler that gives the dispatchers a command of *kind*."""

        async def command(request: Request) -> Response:
            parts = self._parts
            caller = await caller_of(self._parts, request, Scope.MANAGE_MODELS)
            name = check_model_name(request.path_params["name"])
            document = await read_json_object(request, parts, may_be_empty=True)
            fields = parse_command_fields(document)
            return _told(await give_command(parts, caller, kind, name, fields))

        return command


def _told(outcome: CommandOutcome) -> Response:
    return json_answer(command_document(outcome), status=200 if outcome.is_settled else 202)
