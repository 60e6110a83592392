"""Batches: many pictures in one submission."""

from __future__ import annotations

from typing import Any

from webapp import batch_schemas as schemas
from webapp.batch_request import ARCHIVE_TYPES, EVERY_FRAMES, EVERY_S, URLS_FIELD
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
from webapp.uploads import JSON_TYPE

_FIELDS = JobFields.model_json_schema(ref_template=REF_TEMPLATE)["properties"]
_IN_QUERY = ("model", "version", "priority", "deadline_s", "deadline", "preview", "reference")
_BINARY = {"schema": {"contentMediaType": "application/octet-stream"}}

_BATCH_ID = parameter(
    "batch_id", "path", "The batch's id.", type="string", pattern="^batch_[0-9a-z]{26}$"
)

_JSON_BODY = {
    "schema": {
        "type": "object",
        "properties": {
            URLS_FIELD: {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string", "format": "uri"},
                "description": "Where the pictures are fetched from, one job for each.",
            },
            **_FIELDS,
        },
        "required": [URLS_FIELD, "model"],
        "additionalProperties": False,
    }
}

SUBMIT_BATCH: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["batches"],
    "operation_id": "submitBatch",
    "summary": "Submit many pictures at once",
    "description": (
        "The body is a zip archive, a video, or a JSON object with a list of URLs. Answers 202 when"
        " the source is stored safely; it is made into jobs in the background, one for each entry,"
        " URL or sampled frame, as fast as there is room for them.\n\n"
        "The fields of a job hold for every job of the batch. Outside a JSON body they stand in the"
        " query, or in a header such as `Gw-Model`. The webhook is called once, when all jobs have"
        " ended.\n\n"
        "With an `Idempotency-Key` a request may be repeated: for a day the same request with the"
        " same key is answered with the same batch, and accepts nothing anew."
    ),
    "status_code": 202,
    "responses": {
        202: {
            **answer("The batch is accepted.", schemas.BatchDocument),
            "headers": {
                "Location": header("The batch.", "string"),
                "Idempotency-Replayed": header("true, when it was accepted before.", "string"),
            },
        },
        **problems(400, 401, 408, 413, 415, 429, 431, 503),
        409: problem(409, "A request with this idempotency key is being worked on."),
        410: problem(410, "The batch of this idempotency key is not kept any more."),
        404: problem(404, "There is no such model, version or endpoint; `allowed` lists them."),
        422: problem(
            422,
            "The archive or the video is of no use, or past its bounds; or the key is another's.",
        ),
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
            parameter("Gw-Webhook", "header", "The webhook as JSON text.", type="string"),
            *(
                parameter(name, "query", _FIELDS[name].get("description", ""), type="string")
                for name in _IN_QUERY
            ),
            parameter("metadata", "query", "A JSON object as text."),
            parameter(
                EVERY_FRAMES,
                "query",
                "Of a video: take one frame in so many.",
                type="integer",
                minimum=1,
            ),
            parameter(
                EVERY_S,
                "query",
                "Of a video: take one frame in so many seconds; 1 unless asked otherwise.",
                type="number",
                exclusiveMinimum=0,
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {ARCHIVE_TYPES[0]: _BINARY, "video/*": _BINARY, JSON_TYPE: _JSON_BODY},
        },
    },
}

LIST_BATCHES: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["batches"],
    "operation_id": "listBatches",
    "summary": "List batches, newest first",
    "responses": {
        200: answer("A page of batches.", schemas.BatchPageDocument),
        **problems(400, 401, 503),
    },
    "openapi_extra": {
        "parameters": [
            parameter("limit", "query", "How many.", type="integer", minimum=1, maximum=200),
            parameter("cursor", "query", "The `next` of the page before."),
        ]
    },
}

READ_BATCH: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["batches"],
    "operation_id": "readBatch",
    "summary": "Read how far a batch is",
    "responses": {
        200: answer("The batch, with its first item errors.", schemas.ReadBatchDocument),
        **problems(401, 503),
        404: problem(404, "There is no such batch, or it is somebody else's."),
    },
    "openapi_extra": {"parameters": [_BATCH_ID]},
}

LIST_ITEMS: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["batches"],
    "operation_id": "listBatchItems",
    "summary": "List the items of a batch",
    "description": "Only what was expanded so far, in the order of the source.",
    "responses": {
        200: answer("A page of items.", schemas.ItemPageDocument),
        **problems(400, 401, 503),
        404: problem(404, "There is no such batch, or it is somebody else's."),
    },
    "openapi_extra": {
        "parameters": [
            _BATCH_ID,
            parameter("limit", "query", "How many.", type="integer", minimum=1, maximum=1000),
            parameter("from", "query", "The first item's index.", type="integer", minimum=0),
        ]
    },
}

READ_BATCH_RESULTS: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["batches"],
    "operation_id": "readBatchResults",
    "summary": "Read the results of a batch",
    "description": "One line for each item that was expanded so far; while the batch runs, a job"
    " that has not ended has a line without a result. `Gw-Batch-State` tells which it is.",
    "responses": {
        200: {
            "description": "The results as JSON lines (each as in `items`, with `result`), or CSV.",
            "content": {
                "application/jsonl": {"schema": {"type": "string"}},
                "text/csv": {"schema": {"type": "string"}},
            },
            "headers": {"Gw-Batch-State": header("The batch's state.", "string")},
        },
        **problems(400, 401, 503),
        404: problem(404, "There is no such batch, or it is somebody else's."),
    },
    "openapi_extra": {
        "parameters": [
            _BATCH_ID,
            parameter(
                "format",
                "query",
                "jsonl unless asked otherwise.",
                type="string",
                enum=["jsonl", "csv"],
            ),
        ]
    },
}

CANCEL_BATCH: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["batches"],
    "operation_id": "cancelBatch",
    "summary": "Withdraw a batch",
    "description": "Nothing more is expanded, and jobs that wait are canceled in the background;"
    " those on a device go to their end. May be repeated.",
    "status_code": 202,
    "responses": {
        202: answer("The batch is being withdrawn.", schemas.BatchDocument),
        **problems(401, 503),
        404: problem(404, "There is no such batch, or it is somebody else's."),
        409: problem(409, "The batch has ended; `state` says how."),
    },
    "openapi_extra": {"parameters": [_BATCH_ID]},
}
