"""Jobs: listing, reading, results, deliveries, withdrawing."""

from __future__ import annotations

from typing import Any

from pipeline.jobs.job import JobState
from webapp import schemas
from webapp.documentation.shapes import WITH_KEY, answer, parameter, problem, problems
from webapp.paging import PAGE_DEFAULT, PAGE_MAX
from webapp.uploads import JSON_TYPE

JOB_ID = parameter("job_id", "path", "The job's id.", type="string", pattern="^job_[0-9a-z]{26}$")

LIST_JOBS: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["jobs"],
    "operation_id": "listJobs",
    "summary": "List jobs",
    "description": (
        "Newest first. Go on with `cursor` set to `next`, until that is null: whatever arrives or"
        " ends meanwhile, each job that existed at the start comes once. A page may be short, or"
        " empty, where few jobs match. Filters speak of a job as it is when its page is read."
    ),
    "responses": {
        200: answer("One page.", schemas.JobPageDocument),
        **problems(400, 401, 503),
    },
    "openapi_extra": {
        "parameters": [
            parameter(
                "state",
                "query",
                f"One or more states, separated by commas: {', '.join(JobState)}.",
                type="string",
                examples=["failed,expired"],
            ),
            parameter("model", "query", "The model's name."),
            parameter("reference", "query", "The caller's own word for the job."),
            parameter("label", "query", "A label that was found, by the model's rules."),
            parameter(
                "accepted_from",
                "query",
                "Not before this moment (RFC 3339).",
                type="string",
                format="date-time",
            ),
            parameter(
                "accepted_until",
                "query",
                "Before this moment (RFC 3339).",
                type="string",
                format="date-time",
            ),
            parameter(
                "limit",
                "query",
                "How many jobs at most.",
                type="integer",
                minimum=1,
                maximum=PAGE_MAX,
                default=PAGE_DEFAULT,
            ),
            parameter("cursor", "query", "`next` of the page before."),
        ]
    },
}

CANCEL_JOB: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["jobs"],
    "operation_id": "cancelJob",
    "summary": "Cancel a job",
    "description": (
        "A job that has not ended ends as `canceled`, at once and for good; its subscribers are"
        " told `job.canceled`. What the device still does for it is thrown away."
    ),
    "responses": {
        200: answer("The job, canceled.", schemas.JobDocument),
        **problems(400, 401, 404, 503),
        409: problem(409, "The job had ended already; `state` says how."),
    },
    "openapi_extra": {"parameters": [JOB_ID]},
}

REMOVE_JOB: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["jobs"],
    "operation_id": "removeJob",
    "summary": "Remove an ended job",
    "description": (
        "The record with its result goes, and so do its picture and preview where they are kept;"
        " its id stays in the event log. A delivery that was still to be made is given up."
    ),
    "status_code": 204,
    "responses": {
        204: {"description": "It is removed."},
        **problems(400, 401, 404, 503),
        409: problem(409, "The job has not ended; cancel it first."),
    },
    "openapi_extra": {"parameters": [JOB_ID]},
}

READ_JOB: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["jobs"],
    "operation_id": "readJob",
    "summary": "Read a job",
    "responses": {200: answer("The job.", schemas.JobDocument), **problems(401, 404, 503)},
    "openapi_extra": {"parameters": [JOB_ID]},
}

READ_RESULT: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["jobs"],
    "operation_id": "readResult",
    "summary": "Read a job's result",
    "description": "The result document, as it was announced.",
    "responses": {
        200: {
            "description": "The result; its members depend on the model's rules.",
            "content": {JSON_TYPE: {"schema": {"type": "object"}}},
        },
        **problems(401, 404, 409, 410, 503),
    },
    "openapi_extra": {"parameters": [JOB_ID]},
}

READ_DELIVERIES: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["jobs"],
    "operation_id": "readDeliveries",
    "summary": "Read how a job's end was announced",
    "responses": {
        200: answer("The deliveries with their attempts.", schemas.DeliveriesDocument),
        **problems(401, 404, 503),
    },
    "openapi_extra": {"parameters": [JOB_ID]},
}
