"""The Open Inference Protocol v2: its routes, and raw outputs."""

from __future__ import annotations

from typing import Any

from pipeline.models.commands import CommandKind
from webapp.documentation.jobs import JOB_ID
from webapp.documentation.shapes import WITH_KEY, parameter, problems, route
from webapp.uploads import JSON_TYPE

_TAG = "open inference protocol"
_OCTETS = "application/octet-stream"
_HEADER = "Inference-Header-Content-Length"

_MODEL = parameter("model", "path", "The model's name.")
_VERSION = parameter("version", "path", "One of its versions.")

_OBJECT = {"type": "object"}
_ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
}
_REASONS = {
    400: "The request cannot be accepted, or does not fit the model.",
    401: "The API key is missing or not valid.",
    403: "The API key is valid, but lacks a scope.",
    404: "There is no such model or version.",
    408: "The body did not arrive in time.",
    409: "The job was canceled by somebody else.",
    413: "The body is too large.",
    415: "The content encoding is neither gzip nor deflate.",
    422: "A picture is none that is taken.",
    429: "Too much waits, or a limit of the tenant is reached: nothing was accepted.",
    500: "The model failed.",
    503: "The job store, the disk or the model is not available: nothing was accepted.",
    504: "There was no result within the timeout.",
}


def _json(description: str, schema: dict[str, Any] = _OBJECT) -> dict[str, Any]:
    return {"description": description, "content": {JSON_TYPE: {"schema": schema}}}


def _errors(*statuses: int) -> dict[int | str, Any]:
    """Give the errors of *statuses*; where a key is asked for, 403 goes with 401."""
    wanted = {*statuses, 403} if 401 in statuses else {*statuses}
    return {status: _json(_REASONS[status], _ERROR) for status in sorted(wanted)}


def _route(*of: Any, **more: Any) -> dict[str, Any]:
    return route(_TAG, *of) | more


def _open(operation: str, summary: str, responses: dict[int | str, Any]) -> dict[str, Any]:
    """Give a route that asks for no key."""
    return {
        "tags": ["health"],
        "operation_id": operation,
        "summary": summary,
        "responses": responses,
    }


def _both(operation: str, summary: str, *statuses: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give a route of a model, and of one of its versions."""
    answers: dict[int | str, Any] = {200: _json("As the protocol has it."), **_errors(*statuses)}
    return (
        _route(operation, summary, answers, openapi_extra={"parameters": [_MODEL]}),
        _route(
            f"{operation}OfVersion",
            f"{summary}, of one version",
            answers,
            openapi_extra={"parameters": [_MODEL, _VERSION]},
        ),
    )


_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
        "datatype": {
            "type": "string",
            "description": "The model's, or BYTES for pictures as files.",
        },
        "parameters": {
            "type": "object",
            "properties": {"binary_data_size": {"type": "integer", "minimum": 0}},
        },
        "data": {"type": "array", "items": {}},
    },
}

_INFER_BODY: dict[str, Any] = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": {
            "type": "object",
            "properties": {
                "priority": {"type": "integer", "minimum": 0},
                "timeout": {"type": "integer", "minimum": 0, "description": "Microseconds."},
                "binary_data_output": {"type": "boolean"},
                "keep_outputs": {
                    "type": "boolean",
                    "description": "Leave the outputs at GET /v1/jobs/{job_id}/outputs a while.",
                },
            },
        },
        "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": _TENSOR},
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "parameters": {
                        "type": "object",
                        "properties": {
                            "binary_data": {"type": "boolean"},
                            "classification": {"type": "integer", "minimum": 0},
                        },
                    },
                },
            },
        },
    },
}

_INFER_HEADERS = [
    parameter(
        _HEADER,
        "header",
        "How many bytes of the body are JSON; the rest are the tensors, as binary. 0: the body is"
        " nothing but the one input's bytes.",
        type="integer",
        minimum=0,
    ),
    parameter("Content-Encoding", "header", "gzip or deflate.", type="string"),
]


def _infer(operation: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    answers: dict[int | str, Any] = {
        200: {
            "description": "The model's outputs.",
            "content": {JSON_TYPE: {"schema": _OBJECT}, _OCTETS: {"schema": {}}},
            "headers": {
                _HEADER: {
                    "description": "How many bytes of the body are JSON.",
                    "schema": {"type": "integer"},
                }
            },
        },
        **_errors(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 503, 504),
    }
    return _route(
        operation,
        "Infer",
        answers,
        description=(
            "One job for each item of the batch, all or none, waited for. Needs the scope `submit`."
        ),
        openapi_extra={
            "parameters": [*parameters, *_INFER_HEADERS],
            "requestBody": {
                "required": True,
                "content": {JSON_TYPE: {"schema": _INFER_BODY}, _OCTETS: {"schema": {}}},
            },
        },
    )


INFER = _infer("infer", _MODEL)
INFER_VERSION = _infer("inferVersion", _MODEL, _VERSION)

V2_SERVER = _open("readServer", "Read what this server is", {200: _json("Name and extensions.")})
V2_LIVE = _open("v2Live", "Whether the process lives", {200: _json("It does.")})
V2_READY = _open(
    "v2Ready",
    "Whether work that comes in now would be done",
    {200: _json("It would."), 503: _json("It would not.")},
)

V2_METADATA = _both("readModelMetadata", "Read what a model takes and gives", 401, 404, 503)
V2_CONFIG = _both("readModelConfig", "Read a model's configuration", 401, 404, 503)
V2_MODEL_READY = _both("readModelReady", "Whether a model takes work", 400, 401, 503)
V2_STATISTICS = _both("readModelStatistics", "Read what a model has done", 401, 404, 503)
V2_ALL_STATISTICS = _route(
    "readStatistics",
    "Read what all models have done",
    {200: _json("As the protocol has it."), **_errors(401, 503)},
)


def _with_body(properties: dict[str, Any], *parameters: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties}
    body = {"required": False, "content": {JSON_TYPE: {"schema": schema}}}
    return {"parameters": list(parameters), "requestBody": body}


V2_INDEX = _route(
    "readRepository",
    "List every version of every model",
    {200: _json("The versions.", {"type": "array", "items": _OBJECT}), **_errors(400, 401, 503)},
    openapi_extra=_with_body({"ready": {"type": "boolean"}}),
)

V2_COMMANDS = {
    kind: _route(
        f"v2{kind.capitalize()}",
        f"{kind.capitalize()} a model",
        {200: {"description": "Done."}, **_errors(400, 401, 403, 404, 503)},
        description="As `POST /v1/models/{name}/" + kind + "`. Needs the scope `manage_models`.",
        openapi_extra=_with_body({"parameters": _OBJECT}, _MODEL),
    )
    for kind in (CommandKind.LOAD, CommandKind.UNLOAD)
}

_LOG_SETTINGS = _json("The log settings.")
V2_LOGGING = _route(
    "readLogging", "Read how much is logged", {200: _LOG_SETTINGS, **_errors(401, 503)}
)
V2_SET_LOGGING = _route(
    "setLogging",
    "Confirm how much is logged",
    {200: _LOG_SETTINGS, **_errors(400, 401, 403, 503)},
    description="Refused where it would change anything: `GW_LOG_LEVEL` says it for all services.",
    openapi_extra=_with_body({}),
)

READ_OUTPUTS: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["jobs"],
    "operation_id": "readOutputs",
    "summary": "Read the raw outputs of a job's model",
    "description": (
        "For a job of the Open Inference Protocol, while they are kept: until they were given as"
        " the request's answer, else for GW_OUTPUTS_RETENTION_S."
    ),
    "responses": {
        200: {
            "description": f"JSON of so many bytes as {_HEADER} says, then the tensors.",
            "content": {_OCTETS: {"schema": {}}},
        },
        **problems(401, 404, 409, 410, 429, 503),
    },
    "openapi_extra": {"parameters": [JOB_ID]},
}
