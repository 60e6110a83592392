"""What is kept of a job's picture."""

from __future__ import annotations

from typing import Any

from webapp.documentation.jobs import JOB_ID
from webapp.documentation.shapes import WITH_KEY, problem, problems

_PICTURE = {"schema": {"contentMediaType": "application/octet-stream"}}

READ_PICTURE: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["jobs"],
    "operation_id": "readPicture",
    "summary": "Read a job's picture",
    "description": "As it was sent, where the operator keeps this tenant's pictures.",
    "responses": {
        200: {
            "description": "The picture.",
            "content": dict.fromkeys(
                ("image/jpeg", "image/png", "image/bmp", "image/webp"), _PICTURE
            ),
        },
        **problems(400, 401, 503),
        404: problem(404, "There is no such job, or its picture is not kept."),
    },
    "openapi_extra": {"parameters": [JOB_ID]},
}

READ_PREVIEW: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["jobs"],
    "operation_id": "readPreview",
    "summary": "Read a job's preview",
    "description": (
        "The picture with what the model found drawn on it, for a job that was submitted with"
        " `preview`. At most 1920 pixels wide or high."
    ),
    "responses": {
        200: {"description": "The preview.", "content": {"image/jpeg": _PICTURE}},
        **problems(400, 401, 503),
        404: problem(404, "There is no such job, or it has no preview."),
        409: problem(409, "The preview is not there yet."),
    },
    "openapi_extra": {"parameters": [JOB_ID]},
}
