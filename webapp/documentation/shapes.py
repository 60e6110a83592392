"""The pieces that every route group documents itself with: keys, answers, problems, parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import Depends
from fastapi.security import HTTPBearer

from webapp import schemas
from webapp.problems import CODE_OF_STATUS, MEDIA_TYPE, Problem
from webapp.uploads import JSON_TYPE

#: For the document alone: RawRoute asks nobody.
WITH_KEY: dict[str, Any] = {
    "dependencies": [
        Depends(
            HTTPBearer(
                scheme_name="key",
                bearerFormat="gw_...",
                description="An API key, as `gw keys create` made it.",
                auto_error=False,
            )
        )
    ]
}

REF_TEMPLATE = "#/components/schemas/{model}"

_PROBLEMS = {
    400: "A field, a header or the body cannot be accepted; `field` names it.",
    401: "The API key is missing or not valid.",
    403: "The API key is valid, but lacks a scope; `scope` names it.",
    404: "There is no such job, or it is somebody else's.",
    406: "Nothing but a stream was accepted, and there is none.",
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

#: A code that goes with a status, for its example; what else may stand there is in docs/api.md.
_CODES = {
    400: "invalid_request",
    401: "access_denied",
    403: "missing_scope",
    404: "not_found",
    408: "upload_timed_out",
    409: "result_not_ready",
    410: "no_result",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "invalid_picture",
    429: "overloaded",
    431: "headers_too_large",
    503: "unavailable",
}


def ref(document: type[Any]) -> dict[str, str]:
    """Point to the schema of *document*, which `DOCUMENTS` must list."""
    return {"$ref": REF_TEMPLATE.format(model=document.__name__)}


def route(
    tag: str, operation_id: str, summary: str, responses: Mapping[Any, Any], **extra: Any
) -> dict[str, Any]:
    """Document a route that asks for a key; *extra* are further members of its operation."""
    return {
        **WITH_KEY,
        "tags": [tag],
        "operation_id": operation_id,
        "summary": summary,
        "responses": dict(responses),
        "openapi_extra": extra,
    }


def json_body(fields: type[Any], *, required: bool = True) -> dict[str, Any]:
    """Give a body that is *fields* as JSON."""
    return {"required": required, "content": {JSON_TYPE: {"schema": ref(fields)}}}


def answer(description: str, *documents: type[Any]) -> dict[str, Any]:
    """Give an answer that is one of *documents* as JSON."""
    refs = [ref(each) for each in documents]
    schema = refs[0] if len(refs) == 1 else {"oneOf": refs}
    return {"description": description, "content": {JSON_TYPE: {"schema": schema}}}


def problem(status: int, description: str = "") -> dict[str, Any]:
    """Give the problem answer of *status*, with the headers that come with it."""
    document: dict[str, Any] = {
        "description": description or _PROBLEMS[status],
        "content": {
            MEDIA_TYPE: {
                "schema": ref(schemas.ProblemDocument),
                "example": json.loads(_example(status, description).to_json_bytes()),
            }
        },
    }
    if status in _RETRYABLE:
        document["headers"] = {"Retry-After": header("Seconds to wait.", "integer")}
    if status == 401:
        document["headers"] = {"WWW-Authenticate": header("Bearer.", "string")}
    return document


def _example(status: int, description: str) -> Problem:
    code = _CODES.get(status) or CODE_OF_STATUS.get(status, "bad_request")
    return Problem(status=status, code=code, detail=description or _PROBLEMS[status])


def header(description: str, kind: str) -> dict[str, Any]:
    """Give a response header of the JSON type *kind*."""
    return {"description": description, "schema": {"type": kind}}


def problems(*statuses: int) -> dict[int | str, Any]:
    """Give the usual problem answers of *statuses*; where a key is asked for, 403 goes with 401."""
    wanted = {*statuses, 403} if 401 in statuses else {*statuses}
    return {status: problem(status) for status in sorted(wanted)}


def parameter(name: str, place: str, description: str, **schema: Any) -> dict[str, Any]:
    """Give a parameter that stands in *place*: path, query or header."""
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": schema or {"type": "string"},
    }
