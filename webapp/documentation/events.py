"""Events: the feed of a tenant, the stream of a job, named subscribers."""

from __future__ import annotations

from typing import Any

from webapp import schemas
from webapp.documentation.jobs import JOB_ID
from webapp.documentation.shapes import WITH_KEY, answer, parameter, problem, problems, ref
from webapp.uploads import JSON_TYPE

_STREAM_EXAMPLE = (
    "retry: 2000\n\n"
    "id: 1795309584742-0\n"
    "event: job.succeeded\n"
    'data: {"id":"1795309584742-0","type":"job.succeeded","timestamp":"2026-11-22T01:06:24.742Z",'
    '"data":{"id":"job_01m80cmg3mspkbd3vfmhcdc75g","state":"succeeded"}}\n\n'
)

_FULL = {
    429: problem(429, "The tenant has as many streams and long polls open as it may have."),
    503: problem(503, "Too many streams are open, or the job store is away."),
}

FOLLOW_JOB: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["events"],
    "operation_id": "followJob",
    "summary": "Follow a job",
    "description": (
        "Server-sent events: the job's present state at once, then each change, and the end with"
        " its end. `data` is the job; a state that is passed between two looks is not told."
    ),
    "responses": {
        200: {
            "description": "The states, as they come.",
            "content": {
                "text/event-stream": {"schema": {"type": "string"}, "example": _STREAM_EXAMPLE}
            },
        },
        **problems(400, 401, 404),
        **_FULL,
    },
    "openapi_extra": {"parameters": [JOB_ID]},
}

READ_EVENTS: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["events"],
    "operation_id": "readEvents",
    "summary": "Read or follow what happens to the tenant's jobs",
    "description": (
        "One event when a job is accepted and one when it ends, oldest first. With `Accept:"
        " text/event-stream` a stream that goes on until somebody ends it; a reader that comes"
        " back sends `Last-Event-ID` and misses nothing. Otherwise one page as JSON: with"
        " `wait=20` it is waited up to twenty seconds for the first event of it.\n\n"
        "Without `after` it begins now. With `subscriber=NAME` it begins behind what that"
        " subscriber has acknowledged (POST /v1/events/ack), so that a client which keeps nothing"
        " misses nothing. An event may come twice; its `id` tells."
    ),
    "responses": {
        200: {
            **answer("The events.", schemas.EventsDocument),
            "content": {
                **answer("", schemas.EventsDocument)["content"],
                "text/event-stream": {"schema": {"type": "string"}, "example": _STREAM_EXAMPLE},
            },
        },
        **problems(400, 401),
        409: problem(409, "There are too many subscribers."),
        410: problem(410, "Events behind this cursor are no longer kept."),
        **_FULL,
    },
    "openapi_extra": {
        "parameters": [
            parameter("after", "query", "The id of an event, `start` or `now`."),
            parameter("subscriber", "query", "The name of a subscriber; a new one begins now."),
            parameter(
                "limit", "query", "How many events at most.", type="integer", minimum=1, maximum=500
            ),
            parameter(
                "wait", "query", "Seconds to wait for the first event.", type="integer", minimum=0
            ),
            parameter("Last-Event-ID", "header", "The last event that a stream's reader has seen."),
        ]
    },
}

ACK_EVENTS: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["events"],
    "operation_id": "acknowledgeEvents",
    "summary": "Acknowledge events",
    "description": "All events up to `cursor` have been worked on. A subscriber never goes back.",
    "responses": {
        200: answer("How far the subscriber has come.", schemas.SubscriberCursorDocument),
        **problems(400, 401, 408, 413, 503),
        409: problem(409, "There are too many subscribers."),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                JSON_TYPE: {
                    "schema": ref(schemas.AckDocument),
                    "example": {"subscriber": "belt-7", "cursor": "1795309584742-0"},
                }
            },
        }
    },
}

LIST_SUBSCRIBERS: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["events"],
    "operation_id": "listSubscribers",
    "summary": "List the named subscribers",
    "responses": {
        200: answer("The subscribers.", schemas.SubscribersDocument),
        **problems(400, 401, 503),
    },
}

REMOVE_SUBSCRIBER: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["events"],
    "operation_id": "removeSubscriber",
    "summary": "Remove a named subscriber",
    "status_code": 204,
    "responses": {
        204: {"description": "It is removed."},
        **problems(400, 401, 503),
        404: problem(404, "There is no subscriber of this name."),
    },
    "openapi_extra": {"parameters": [parameter("name", "path", "The subscriber's name.")]},
}
