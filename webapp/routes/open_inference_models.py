"""The Open Inference Protocol: the server, its models, their repository and statistics."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from importlib import metadata
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.access.keys import Scope
from pipeline.errors import Unavailable
from pipeline.models.commands import CommandKind
from webapp import documentation as docs
from webapp.error_forms import open_inference_error
from webapp.json_answer import json_answer
from webapp.json_body import read_json_object
from webapp.model_commanding import give_command
from webapp.model_fields import CommandFields
from webapp.open_inference.documents import (
    EXTENSIONS,
    config_document,
    find_model,
    index_document,
    is_ready,
    metadata_document,
    statistics_document,
)
from webapp.parts import Parts
from webapp.refusals import InvalidField
from webapp.routes.calling import caller_of

#: How long loading is waited for; large models take a minute and more.
_LOAD_WAIT_S = 300.0
#: A model that still has accepted jobs leaves when they are through: nobody waits for that.
_UNLOAD_WAIT_S = 5.0

Handler = Callable[[Request], Awaitable[Response]]


class OpenInferenceModelRoutes:
    """The handlers of ``/v2`` but for inference."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        app.get("/v2", **docs.V2_SERVER)(self.server)
        app.get("/v2/health/live", **docs.V2_LIVE)(self.live)
        app.get("/v2/health/ready", **docs.V2_READY)(self.ready)
        # Before the models: "stats" is no model's name here.
        app.get("/v2/models/stats", **docs.V2_ALL_STATISTICS)(self.all_statistics)
        for path, documented, handler in (
            ("", docs.V2_METADATA, self.metadata),
            ("/ready", docs.V2_MODEL_READY, self.model_ready),
            ("/config", docs.V2_CONFIG, self.config),
            ("/stats", docs.V2_STATISTICS, self.statistics),
        ):
            plain, versioned = documented
            app.get(f"/v2/models/{{model}}{path}", **plain)(handler)
            app.get(f"/v2/models/{{model}}/versions/{{version}}{path}", **versioned)(handler)
        app.post("/v2/repository/index", **docs.V2_INDEX)(self.index)
        for kind in (CommandKind.LOAD, CommandKind.UNLOAD):
            documented_command = docs.V2_COMMANDS[kind]
            path = f"/v2/repository/models/{{model}}/{kind}"
            app.post(path, **documented_command)(self._command(kind))
        app.get("/v2/logging", **docs.V2_LOGGING)(self.logging)
        app.post("/v2/logging", **docs.V2_SET_LOGGING)(self.set_logging)

    async def server(self, _request: Request) -> Response:
        """Say what this server is."""
        return json_answer(
            {"name": "gw", "version": metadata.version("gw"), "extensions": list(EXTENSIONS)}
        )

    async def live(self, _request: Request) -> Response:
        """Say that the process answers."""
        return json_answer({"live": True})

    async def ready(self, _request: Request) -> Response:
        """Say whether work that comes in now would be done."""
        is_ready = not self._parts.not_ready_reasons()
        return json_answer({"ready": is_ready}, status=200 if is_ready else 503)

    async def metadata(self, request: Request) -> Response:
        """Describe a model; raises UnknownModel or UnknownVersion."""
        await caller_of(self._parts, request)
        entry = find_model(await self._parts.catalogue.models(), request.path_params["model"])
        return json_answer(metadata_document(entry, request.path_params.get("version", "")))

    async def config(self, request: Request) -> Response:
        """Give a model's configuration; raises UnknownModel or UnknownVersion."""
        await caller_of(self._parts, request)
        entry = find_model(await self._parts.catalogue.models(), request.path_params["model"])
        return json_answer(config_document(entry, request.path_params.get("version", "")))

    async def model_ready(self, request: Request) -> Response:
        """Say whether jobs for a model are accepted: by the status."""
        await caller_of(self._parts, request)
        name, version = request.path_params["model"], request.path_params.get("version", "")
        if not is_ready(await self._parts.catalogue.models(), name, version):
            return open_inference_error("Model version not ready", 400)
        return json_answer({"name": name, "ready": True})

    async def statistics(self, request: Request) -> Response:
        """Give what a model has done; raises UnknownModel."""
        await caller_of(self._parts, request)
        entry = find_model(await self._parts.catalogue.models(), request.path_params["model"])
        return json_answer(statistics_document([entry], request.path_params.get("version", "")))

    async def all_statistics(self, request: Request) -> Response:
        """Give what all models have done."""
        await caller_of(self._parts, request)
        return json_answer(statistics_document((await self._parts.catalogue.models()).values()))

    async def index(self, request: Request) -> Response:
        """List every version of every model with its state; raises InvalidField."""
        await caller_of(self._parts, request)
        only_ready = (await self._body(request)).get("ready", False)
        if not isinstance(only_ready, bool):
            raise InvalidField("ready must be true or false", field="ready")
        models = await self._parts.catalogue.models()
        return json_answer(index_document(models, only_ready=only_ready))

    def _command(self, kind: CommandKind) -> Handler:
        """Give the handler that loads or unloads a model."""

        async def command(request: Request) -> Response:
            parts, name = self._parts, request.path_params["model"]
            caller = await caller_of(self._parts, request, Scope.MANAGE_MODELS)
            _check_parameters(await self._body(request), kind)
            parts.monitor.check_service("dispatcher")
            wait_s = _LOAD_WAIT_S if kind is CommandKind.LOAD else _UNLOAD_WAIT_S
            outcome = await give_command(parts, caller, kind, name, CommandFields(wait_s=wait_s))
            if outcome.state == "failed":
                reasons = "; ".join(each.reason for each in outcome.answers if not each.done)
                return open_inference_error(f"failed to {kind} {name!r}: {reasons}", 400)
            if outcome.state != "done" and kind is CommandKind.LOAD:
                raise Unavailable(f"{name!r} is still loading")
            return Response(status_code=200, media_type="application/json")

        return command

    async def logging(self, request: Request) -> Response:
        """Tell how much is logged."""
        await caller_of(self._parts, request)
        return json_answer(_log_settings())

    async def set_logging(self, request: Request) -> Response:
        """Accept what is so already: the level is the operator's to set, for every service."""
        await caller_of(self._parts, request, Scope.ADMIN)
        settings = _log_settings()
        for name, value in (await self._body(request)).items():
            if name not in settings:
                raise InvalidField(
                    f"there is no log setting {name!r}", field=name, allowed=tuple(settings)
                )
            if value != settings[name]:
                raise InvalidField(
                    f"{name} is {settings[name]!r}: GW_LOG_LEVEL says how much every service logs",
                    field=name,
                )
        return json_answer(settings)

    async def _body(self, request: Request) -> dict[str, Any]:
        # Clients of this protocol seldom say what their JSON is.
        return await read_json_object(request, self._parts, may_be_empty=True, any_type=True)


def _check_parameters(document: dict[str, Any], kind: CommandKind) -> None:
    """Refuse what would change a model: its files are the operator's, on the disk."""
    parameters = document.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InvalidField("parameters must be an object", field="parameters")
    allowed = ("unload_dependents",) if kind is CommandKind.UNLOAD else ()
    for name in parameters:
        if name not in allowed:
            raise InvalidField(
                f"parameter {name!r} is not taken: a model is what lies in the model folder",
                field=name,
                allowed=allowed,
            )


def _log_settings() -> dict[str, Any]:
    root = logging.getLogger()
    return {
        "log_file": "",
        "log_info": root.isEnabledFor(logging.INFO),
        "log_warning": root.isEnabledFor(logging.WARNING),
        "log_error": root.isEnabledFor(logging.ERROR),
        "log_verbose_level": int(root.isEnabledFor(logging.DEBUG)),
        "log_format": "default",
    }
