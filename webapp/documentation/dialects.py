"""Cog's and Replicate's predictions, fal's queue and the older picture call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webapp.dialects import schemas
from webapp.documentation.shapes import (
    answer,
    header,
    json_body,
    parameter,
    problem,
    problems,
    ref,
    route,
)
from webapp.schemas import ProblemDocument
from webapp.uploads import JSON_TYPE

_PREFER = parameter(
    "Prefer", "header", "`respond-async`, `wait` or `wait=SECONDS` (RFC 7240).", type="string"
)
_MODEL = (
    parameter("model", "query", "The model; that of the key by default.", type="string"),
    parameter("version", "query", "One of its versions.", type="string"),
)
_ALL = (400, 401, 404, 408, 409, 410, 413, 415, 422, 429, 431, 503)
_LATE = problem(504, "There was no result within the time that a call may wait.")


def _route(  # noqa: PLR0913  # the parts of an operation, by name
    tag: str,
    operation_id: str,
    summary: str,
    responses: Mapping[int | str, Any],
    *,
    body: type[Any] | None = None,
    parameters: tuple[dict[str, Any], ...] = (),
    status: int = 200,
) -> dict[str, Any]:
    extra: dict[str, Any] = {"parameters": list(parameters)} if parameters else {}
    if body is not None:
        extra["requestBody"] = json_body(body)
    return route(tag, operation_id, summary, responses, **extra) | {"status_code": status}


def _cog_problems(*statuses: int) -> dict[int | str, Any]:
    """Give problems as Cog's paths say them: as plain JSON, and a list of what cannot be taken."""
    said = problems(*(status for status in statuses if status != 422))
    said = {
        status: {**each, "content": {JSON_TYPE: {"schema": ref(ProblemDocument)}}}
        for status, each in said.items()
    }
    if 422 in statuses:
        said[422] = answer("What cannot be taken.", schemas.CogFaultsDocument)
    return said


_PREDICTION = schemas.PredictionDocument
_MADE: Mapping[int | str, Any] = {
    200: answer("It has ended.", _PREDICTION),
    202: answer("It is accepted, or under way.", _PREDICTION),
    **_cog_problems(*_ALL, 406),
}
_MAKE: dict[str, Any] = {
    "body": schemas.PredictionRequest,
    "parameters": (_PREFER, *_MODEL),
}
_READ: Mapping[int | str, Any] = {200: answer("The prediction.", _PREDICTION)}

COG: Mapping[str, dict[str, Any]] = {
    "create": _route("cog", "cogPredict", "Make a prediction and wait for it", _MADE, **_MAKE),
    "put": _route("cog", "cogPutPrediction", "Make a prediction once", _MADE, **_MAKE),
    "read": _route(
        "cog", "cogReadPrediction", "Read a prediction", {**_READ, **_cog_problems(401, 404, 503)}
    ),
    "cancel": _route(
        "cog",
        "cogCancelPrediction",
        "Cancel a prediction",
        {**_READ, **_cog_problems(401, 404, 503)},
    ),
    "health": {
        "tags": ["health"],
        "operation_id": "cogHealth",
        "summary": "Would predictions be made",
        "responses": {200: answer("Always.", schemas.CogHealthDocument)},
    },
}

_CANCEL_AFTER = parameter(
    "Cancel-After", "header", "When it expires without a result, such as `1m30s`.", type="string"
)
_CREATED: Mapping[int | str, Any] = {201: answer("It is made.", _PREDICTION), **problems(*_ALL)}
_CREATE: dict[str, Any] = {
    "body": schemas.PredictionRequest,
    "parameters": (_PREFER, _CANCEL_AFTER, *_MODEL),
    "status": 201,
}

REPLICATE: Mapping[str, dict[str, Any]] = {
    "create": _route("replicate", "createPrediction", "Make a prediction", _CREATED, **_CREATE),
    "create_of_model": _route(
        "replicate",
        "createModelPrediction",
        "Make a prediction with a model",
        _CREATED,
        body=schemas.PredictionRequest,
        parameters=(_PREFER, _CANCEL_AFTER),
        status=201,
    ),
    "read": _route(
        "replicate", "readPrediction", "Read a prediction", {**_READ, **problems(401, 404, 503)}
    ),
    "cancel": _route(
        "replicate", "cancelPrediction", "Cancel a prediction", {**_READ, **problems(401, 404, 503)}
    ),
    "list": _route(
        "replicate",
        "listPredictions",
        "List predictions",
        {
            200: answer("One page, newest first.", schemas.PredictionsDocument),
            **problems(400, 401, 503),
        },
        parameters=(parameter("cursor", "query", "Where the page before ended.", type="string"),),
    ),
    "model": _route(
        "replicate",
        "replicateModel",
        "Read a model",
        {200: answer("The model.", schemas.ReplicateModelDocument), **problems(401, 404, 503)},
    ),
    "versions": _route(
        "replicate",
        "replicateVersions",
        "List a model's versions",
        {200: answer("All.", schemas.ReplicateVersionsDocument), **problems(401, 404, 503)},
    ),
    "version": _route(
        "replicate",
        "replicateVersion",
        "Read a version",
        {
            200: answer("The version.", schemas.ReplicateVersionDocument),
            **problems(400, 401, 404, 503),
        },
    ),
    "secret": _route(
        "replicate",
        "webhookSecret",
        "Read the secret of webhooks that carry none",
        {200: answer("The secret.", schemas.WebhookSecretDocument), **problems(401, 503)},
    ),
    # It only says what to do instead.
    "files": {"include_in_schema": False},
}


def _fal_errors(*statuses: int) -> dict[int | str, Any]:
    """Give errors as fal says them."""
    return {
        status: answer("An error; its type is in X-Fal-Error-Type too.", schemas.FalErrorDocument)
        for status in statuses
    }


_FAL_ALL = (400, 401, 403, 404, 408, 409, 410, 413, 415, 422, 429, 503, 504)
_TIMEOUT = parameter(
    "X-Fal-Request-Timeout", "header", "Seconds until it expires without a result.", type="string"
)
_PRIORITY = parameter("X-Fal-Queue-Priority", "header", "`normal` or `low`.", type="string")
_HOOK = parameter("fal_webhook", "query", "A URL that is told of the end.", type="string")
_QUEUED: Mapping[int | str, Any] = {
    200: answer("It is in the queue.", schemas.FalQueuedDocument),
    **_fal_errors(*_FAL_ALL),
}
_DONE: Mapping[int | str, Any] = {
    200: {"description": "Its output.", "content": {JSON_TYPE: {"schema": {"type": "object"}}}},
    **_fal_errors(*_FAL_ALL, 499, 500),
}
_FAL_SUBMIT: dict[str, Any] = {
    "body": schemas.FalInput,
    "parameters": (_TIMEOUT, _PRIORITY, _HOOK),
}

FAL: Mapping[str, dict[str, Any]] = {
    "submit": _route("fal", "falSubmit", "Put a request into the queue", _QUEUED, **_FAL_SUBMIT),
    "submit_version": _route(
        "fal", "falSubmitVersion", "The same for one version", _QUEUED, **_FAL_SUBMIT
    ),
    "run": _route("fal", "falRun", "Have a request done", _DONE, **_FAL_SUBMIT),
    "run_version": _route("fal", "falRunVersion", "The same for one version", _DONE, **_FAL_SUBMIT),
    "status": _route(
        "fal",
        "falStatus",
        "Where a request stands",
        {
            200: answer("It has ended.", schemas.FalStatusDocument),
            202: answer("It has not ended.", schemas.FalStatusDocument),
            **_fal_errors(400, 401, 403, 404, 503),
        },
        parameters=(parameter("logs", "query", "1 for an empty list of logs.", type="string"),),
    ),
    "stream": _route(
        "fal",
        "falStream",
        "Follow a request",
        {
            200: {
                "description": "Its states as they come.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            **_fal_errors(401, 403, 404, 429, 503),
        },
    ),
    "result": _route("fal", "falResult", "Read a request's output", _DONE),
    "cancel": _route(
        "fal",
        "falCancel",
        "Cancel a request",
        {
            202: answer("It is canceled.", schemas.FalCancelDocument),
            400: answer("It had ended.", schemas.FalCancelDocument),
            404: answer("There is none.", schemas.FalCancelDocument),
            **_fal_errors(401, 403, 503),
        },
        status=202,
    ),
}

AIP: dict[str, Any] = _route(
    "aip",
    "aip",
    "Have one picture in base64 inferred",
    {
        200: {
            "description": "The result, as GET /v1/jobs/{job_id}/result gives it.",
            "content": {JSON_TYPE: {"schema": {"type": "object"}}},
            "headers": {"Location": header("The job.", "string")},
        },
        **problems(*_ALL),
        504: _LATE,
    },
    body=schemas.AipRequest,
    parameters=_MODEL,
)
