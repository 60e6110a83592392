"""What OpenAPI says about each route: bodies, examples, and every status it can answer."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer
from pydantic.json_schema import models_json_schema

from webapp import schemas
from webapp.problems import MEDIA_TYPE
from webapp.submission import JobFields
from webapp.uploads import FORM_TYPE, JSON_TYPE, PICTURE_TYPES

#: For the document alone: RawRoute asks nobody.
_WITH_KEY: dict[str, Any] = {
    "dependencies": [
        Depends(
            HTTPBearer(
                scheme_name="key",
                bearerFormat="gw_...",
                description="An API key, as `gw keys add` made it.",
                auto_error=False,
            )
        )
    ]
}

_DOCUMENTS = (
    schemas.JobDocument,
    schemas.FinishedJobDocument,
    schemas.JobsDocument,
    schemas.FinishedJobsDocument,
    schemas.DeliveriesDocument,
    schemas.ModelDocument,
    schemas.ModelsDocument,
    schemas.AliveDocument,
    schemas.ReadyDocument,
    schemas.ProblemDocument,
    JobFields,
)
_REF = "#/components/schemas/{model}"

_PROBLEMS = {
    400: "A field, a header or the body cannot be accepted; `field` names it.",
    401: "The API key is missing or not valid.",
    404: "There is no such job, or it is somebody else's.",
    408: "The body did not arrive in time.",
    409: "The job has not ended yet; `state` says where it is.",
    410: "The job ended without a result; `reason` says why.",
    413: "The body is too large.",
    415: "The content type is not one that is taken.",
    422: "The picture, or the address it is to be fetched from, is of no use.",
    429: "Too many jobs wait, or too many uploads arrive: nothing was accepted.",
    431: "The request has too many headers.",
    503: "The job store, the disk or the model is not available: nothing was accepted.",
}
_RETRYABLE = frozenset({409, 429, 503})


def build_openapi(app: FastAPI) -> dict[str, Any]:
    """Give the OpenAPI 3.1 document of *app*, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        _, definitions = models_json_schema(
            [(each, "validation") for each in _DOCUMENTS], ref_template=_REF
        )
        document.setdefault("components", {})["schemas"] = definitions["$defs"]
        app.openapi_schema = document
    return app.openapi_schema


def _ref(document: type[Any]) -> dict[str, str]:
    return {"$ref": _REF.format(model=document.__name__)}


def _answer(description: str, *documents: type[Any]) -> dict[str, Any]:
    refs = [_ref(each) for each in documents]
    schema = refs[0] if len(refs) == 1 else {"oneOf": refs}
    return {"description": description, "content": {JSON_TYPE: {"schema": schema}}}


def _problem(status: int, description: str = "") -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": description or _PROBLEMS[status],
        "content": {MEDIA_TYPE: {"schema": _ref(schemas.ProblemDocument)}},
    }
    if status in _RETRYABLE:
        answer["headers"] = {"Retry-After": _header("Seconds to wait.", "integer")}
    if status == 401:
        answer["headers"] = {"WWW-Authenticate": _header("Bearer.", "string")}
    return answer


def _header(description: str, kind: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}}


def _problems(*statuses: int) -> dict[int | str, Any]:
    return {status: _problem(status) for status in statuses}


def _parameter(name: str, place: str, description: str, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": schema or {"type": "string"},
    }


_FIELDS = JobFields.model_json_schema(ref_template=_REF)["properties"]
_JOB_ID = _parameter("job_id", "path", "The job's id.", type="string", pattern="^job_[0-9a-z]{26}$")


def _body_schema(required: list[str], **picture: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**picture, **_FIELDS},
        "required": required,
        "additionalProperties": False,
    }


_FORM_BODY = {
    "schema": _body_schema(
        ["picture", "model"],
        picture={
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "contentMediaType": "application/octet-stream"},
            "description": "One or more files; any part with a file name counts.",
        },
    ),
    "encoding": {
        "metadata": {"contentType": JSON_TYPE},
        "webhook": {"contentType": JSON_TYPE},
    },
}

_JSON_BODY = {
    "schema": {
        **_body_schema(
            ["model"],
            picture={
                "type": "string",
                "contentEncoding": "base64",
                "description": "The picture as a file, in base64.",
            },
            picture_url={
                "type": "string",
                "format": "uri",
                "description": "Where the picture is fetched from, when the job is accepted.",
            },
        ),
        "oneOf": [{"required": ["picture"]}, {"required": ["picture_url"]}],
    },
    "examples": {
        "url": {
            "summary": "A picture by its URL, with a webhook",
            "value": {
                "model": "echo",
                "picture_url": "https://example.com/gate-3.jpg",
                "reference": "gate-3",
                "priority": "high",
                "deadline_s": 30,
                "webhook": {
                    "url": "https://example.com/hooks/gw",
                    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                },
            },
        },
        "base64": {
            "summary": "A picture in base64",
            "value": {"model": "echo", "picture": "/9j/4AAQSkZJRg..."},
        },
    },
}

_RAW_BODY = {"schema": {"contentMediaType": "application/octet-stream"}}

SUBMIT: dict[str, Any] = {
    **_WITH_KEY,
    "tags": ["jobs"],
    "operation_id": "submitJob",
    "summary": "Submit pictures",
    "description": (
        "Answers 202 when the jobs are stored safely. Several pictures make several jobs: all are"
        " accepted, or none.\n\n"
        "A field may stand in the body, in the query, or in a header such as `Gw-Model`; in one of"
        " them only. Outside a JSON body `metadata` and `webhook` are JSON text. A webhook with its"
        " secret does not belong into the query.\n\n"
        "With `Prefer: wait=10` the answer waits up to ten seconds for the jobs to end and is then"
        " 200 with their results."
    ),
    "status_code": 202,
    "responses": {
        200: {
            **_answer(
                "The jobs have ended while the request waited.",
                schemas.FinishedJobDocument,
                schemas.FinishedJobsDocument,
            ),
            "headers": {"Preference-Applied": _header("wait=SECONDS", "string")},
        },
        202: {
            **_answer("The jobs are accepted.", schemas.JobDocument, schemas.JobsDocument),
            "headers": {"Location": _header("The job, if it is a single one.", "string")},
        },
        **_problems(400, 401, 408, 413, 415, 422, 429, 431, 503),
        404: _problem(404, "There is no such model, version or endpoint; `allowed` lists them."),
    },
    "openapi_extra": {
        "parameters": [
            _parameter("Prefer", "header", "`wait=SECONDS` (RFC 7240).", type="string"),
            _parameter("Gw-Webhook", "header", "The webhook as JSON text.", type="string"),
            *(
                _parameter(name, "query", _FIELDS[name].get("description", ""), type="string")
                for name in ("model", "version", "priority", "deadline_s", "deadline")
            ),
            _parameter("reference", "query", _FIELDS["reference"]["description"]),
            _parameter("metadata", "query", "A JSON object as text."),
        ],
        "requestBody": {
            "required": True,
            "content": {
                **dict.fromkeys(PICTURE_TYPES, _RAW_BODY),
                FORM_TYPE: _FORM_BODY,
                JSON_TYPE: _JSON_BODY,
            },
        },
    },
}

READ_JOB: dict[str, Any] = {
    **_WITH_KEY,
    "tags": ["jobs"],
    "operation_id": "readJob",
    "summary": "Read a job",
    "responses": {200: _answer("The job.", schemas.JobDocument), **_problems(401, 404, 503)},
    "openapi_extra": {"parameters": [_JOB_ID]},
}

READ_RESULT: dict[str, Any] = {
    **_WITH_KEY,
    "tags": ["jobs"],
    "operation_id": "readResult",
    "summary": "Read a job's result",
    "description": "The result document, as it was announced.",
    "responses": {
        200: {
            "description": "The result; its members depend on the model's rules.",
            "content": {JSON_TYPE: {"schema": {"type": "object"}}},
        },
        **_problems(401, 404, 409, 410, 503),
    },
    "openapi_extra": {"parameters": [_JOB_ID]},
}

READ_DELIVERIES: dict[str, Any] = {
    **_WITH_KEY,
    "tags": ["jobs"],
    "operation_id": "readDeliveries",
    "summary": "Read how a job's end was announced",
    "responses": {
        200: _answer("The deliveries with their attempts.", schemas.DeliveriesDocument),
        **_problems(401, 404, 503),
    },
    "openapi_extra": {"parameters": [_JOB_ID]},
}

LIST_MODELS: dict[str, Any] = {
    **_WITH_KEY,
    "tags": ["models"],
    "operation_id": "listModels",
    "summary": "List the models",
    "responses": {200: _answer("All models.", schemas.ModelsDocument), **_problems(401, 503)},
}

READ_MODEL: dict[str, Any] = {
    **_WITH_KEY,
    "tags": ["models"],
    "operation_id": "readModel",
    "summary": "Read a model",
    "responses": {
        200: _answer("The model.", schemas.ModelDocument),
        **_problems(401, 503),
        404: _problem(404, "There is no model of this name."),
    },
    "openapi_extra": {"parameters": [_parameter("name", "path", "The model's name.")]},
}

HEALTHZ: dict[str, Any] = {
    "tags": ["health"],
    "operation_id": "healthz",
    "summary": "Is the process alive",
    "responses": {200: _answer("It is.", schemas.AliveDocument)},
}

READYZ: dict[str, Any] = {
    "tags": ["health"],
    "operation_id": "readyz",
    "summary": "Would work be done",
    "responses": {
        200: _answer("It would.", schemas.ReadyDocument),
        503: _answer("It would not; `reasons` says why.", schemas.ReadyDocument),
    },
}
