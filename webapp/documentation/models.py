"""Models: the list, one model, and what operators say about it."""

from __future__ import annotations

from typing import Any

from pipeline.models.command_outcome import COMMAND_TTL_S
from pipeline.models.commands import CommandKind
from webapp import model_schemas as schemas
from webapp.documentation.shapes import WITH_KEY, answer, parameter, problem, problems

_NAME = parameter("name", "path", "The model's name.")

LIST_MODELS: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["models"],
    "operation_id": "listModels",
    "summary": "List the models",
    "responses": {200: answer("All models.", schemas.ModelsDocument), **problems(401, 503)},
}

READ_MODEL: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["models"],
    "operation_id": "readModel",
    "summary": "Read a model",
    "responses": {
        200: answer("The model.", schemas.ModelDocument),
        **problems(401, 503),
        404: problem(404, "There is no model of this name."),
    },
    "openapi_extra": {"parameters": [_NAME]},
}

_MEANING = {
    CommandKind.LOAD: "Jobs for it are accepted, and it is put on the device now.",
    CommandKind.UNLOAD: (
        "Jobs for it are refused with `model_not_ready` from now on, also after a restart; once the"
        " accepted ones are through it leaves the device."
    ),
    CommandKind.RELOAD: (
        "Its files are read anew, what failed before is tried again, and it is put on the device."
    ),
}

_BODY = {
    "required": False,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "version": {
                        "type": "string",
                        "pattern": "^[1-9][0-9]{0,8}$",
                        "description": "One version; the model, or its default, where absent.",
                    },
                    "wait": {
                        "type": "number",
                        "minimum": 0,
                        "maximum": COMMAND_TTL_S,
                        "default": 0,
                        "description": "Seconds to wait for every dispatcher's answer.",
                    },
                },
            },
            "examples": {"waited": {"value": {"version": "2", "wait": 60}}},
        }
    },
}


def _command(kind: CommandKind) -> dict[str, Any]:
    return {
        **WITH_KEY,
        "tags": ["models"],
        "operation_id": f"{kind}Model",
        "summary": f"{kind.capitalize()} a model",
        "description": f"{_MEANING[kind]} Needs the scope `manage_models`.",
        "status_code": 202,
        "responses": {
            200: answer("Every dispatcher has answered.", schemas.CommandDocument),
            202: answer("The dispatchers are told.", schemas.CommandDocument),
            **problems(400, 401, 403, 408, 413, 415, 429, 503),
            404: problem(404, "No model can have this name."),
        },
        "openapi_extra": {"parameters": [_NAME], "requestBody": _BODY},
    }


COMMAND_MODEL: dict[CommandKind, dict[str, Any]] = {kind: _command(kind) for kind in CommandKind}

READ_COMMAND: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["models"],
    "operation_id": "readModelCommand",
    "summary": "Read what became of a command",
    "responses": {
        200: answer("Every dispatcher has answered.", schemas.CommandDocument),
        202: answer("Some have not answered yet.", schemas.CommandDocument),
        **problems(401, 403, 503),
        404: problem(404, "There is no such command, or it is more than a day old."),
    },
    "openapi_extra": {"parameters": [_NAME, parameter("command_id", "path", "The command's id.")]},
}
