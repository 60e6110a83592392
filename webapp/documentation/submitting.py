"""Submitting jobs: the bodies that are taken, and what is answered."""

from __future__ import annotations

from typing import Any

from webapp import schemas
from webapp.documentation.shapes import (
    REF_TEMPLATE,
    WITH_KEY,
    answer,
    header,
    parameter,
    problem,
    problems,
)
from webapp.submission import JobFields
from webapp.uploads import FORM_TYPE, JSON_TYPE, PICTURE_TYPES

_FIELDS = JobFields.model_json_schema(ref_template=REF_TEMPLATE)["properties"]


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
    **WITH_KEY,
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
        " 200 with their results.\n\n"
        "With an `Idempotency-Key` a request may be repeated: for a day the same request with the"
        " same key is answered with the same jobs, and accepts nothing anew."
    ),
    "status_code": 202,
    "responses": {
        200: {
            **answer(
                "The jobs have ended while the request waited.",
                schemas.FinishedJobDocument,
                schemas.FinishedJobsDocument,
            ),
            "headers": {"Preference-Applied": header("wait=SECONDS", "string")},
        },
        202: {
            **answer("The jobs are accepted.", schemas.JobDocument, schemas.JobsDocument),
            "headers": {
                "Location": header("The job, if it is a single one.", "string"),
                "Idempotency-Replayed": header("true, when it was accepted before.", "string"),
            },
        },
        **problems(400, 401, 408, 413, 415, 422, 429, 431, 503),
        404: problem(404, "There is no such model, version or endpoint; `allowed` lists them."),
        409: problem(409, "A request with this idempotency key is being worked on."),
        410: problem(410, "The jobs of this idempotency key are not kept any more."),
    },
    "openapi_extra": {
        "parameters": [
            parameter(
                "Idempotency-Key",
                "header",
                "A string of the caller's own in double quotes, new for every new request.",
                type="string",
                maxLength=300,
                examples=['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
            ),
            parameter("Prefer", "header", "`wait=SECONDS` (RFC 7240).", type="string"),
            parameter("Gw-Webhook", "header", "The webhook as JSON text.", type="string"),
            *(
                parameter(name, "query", _FIELDS[name].get("description", ""), type="string")
                for name in ("model", "version", "priority", "deadline_s", "deadline", "preview")
            ),
            parameter("reference", "query", _FIELDS["reference"]["description"]),
            parameter("metadata", "query", "A JSON object as text."),
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
