"""Deliveries and operations: listing, sending again, recovering, replaying."""

from __future__ import annotations

from functools import partial
from typing import Any

from pipeline.deliveries.delivery import DeliveryState
from webapp import delivery_documents as documents
from webapp.again_fields import Recovery, Replay
from webapp.documentation.shapes import (
    answer,
    header,
    json_body,
    parameter,
    problem,
    problems,
    route,
)
from webapp.paging import PAGE_DEFAULT, PAGE_MAX

_ID_FORM = "[0-9a-z]{26}$"
_DELIVERY_ID = parameter(
    "delivery_id", "path", "The webhook-id.", type="string", pattern=f"^msg_{_ID_FORM}"
)
_ENDPOINT_ID = parameter(
    "endpoint_id", "path", "The endpoint's id.", type="string", pattern=f"^ep_{_ID_FORM}"
)
_OPERATION_ID = parameter(
    "operation_id", "path", "The operation's id.", type="string", pattern=f"^op_{_ID_FORM}"
)
_MOMENT: dict[str, Any] = {"type": "string", "format": "date-time"}


_route = partial(route, "deliveries")


def _begun(operation_id: str, summary: str, description: str, fields: type[Any]) -> dict[str, Any]:
    begun = answer("It is under way.", documents.OperationDocument)
    responses = {
        202: begun | {"headers": {"Location": header("The operation.", "string")}},
        **problems(400, 401, 408, 413, 415, 429, 503),
        404: problem(404, "There is no endpoint of this id."),
        409: problem(409, "The endpoint is disabled, or has an operation under way."),
    }
    route = _route(
        operation_id, summary, responses, parameters=[_ENDPOINT_ID], requestBody=json_body(fields)
    )
    return route | {"description": description, "status_code": 202}


LIST_DELIVERIES = _route(
    "listDeliveries",
    "List deliveries, those of the newest events first",
    {
        200: answer("A page of deliveries.", documents.DeliveryPageDocument),
        **problems(400, 401, 503),
    },
    parameters=[
        parameter(
            "state",
            "query",
            f"One or more of {', '.join(DeliveryState)}, separated by commas. exhausted alone lists"
            " the dead letters.",
        ),
        parameter("endpoint", "query", "An endpoint's id."),
        parameter("event_type", "query", "A type such as job.succeeded."),
        parameter("job", "query", "A job's id."),
        parameter("since", "query", "Events from this moment on.", **_MOMENT),
        parameter("until", "query", "Events before this moment.", **_MOMENT),
        parameter(
            "limit",
            "query",
            f"How many; {PAGE_DEFAULT} unless asked otherwise. A page may be shorter.",
            type="integer",
            minimum=1,
            maximum=PAGE_MAX,
        ),
        parameter("cursor", "query", "The `next` of the page before."),
    ],
)

READ_DELIVERY = _route(
    "readDelivery",
    "Read a delivery with its attempts",
    {
        200: answer("The delivery.", documents.ReadDeliveryDocument),
        **problems(401, 503),
        404: problem(404, "There is no delivery of this id."),
    },
    parameters=[_DELIVERY_ID],
)

RESEND_DELIVERY = _route(
    "resendDelivery",
    "Send a delivery again",
    {
        202: answer("It is on its way.", documents.ReadDeliveryDocument),
        **problems(401, 503),
        404: problem(404, "There is no delivery of this id."),
        409: problem(
            409, "It is on its way, its endpoint is disabled, or nothing is left to send."
        ),
    },
    parameters=[_DELIVERY_ID],
) | {
    "description": "Under the same webhook-id, delivered or exhausted; its schedule begins anew.",
    "status_code": 202,
}

RECOVER_WEBHOOK = _begun(
    "recoverWebhook",
    "Send again what has failed",
    "All exhausted deliveries to this endpoint, of events since a moment: in the background, at a"
    " rate, each under its own webhook-id.",
    Recovery,
)

REPLAY_WEBHOOK = _begun(
    "replayWebhook",
    "Send the events of a time",
    "Those that pass the endpoint's filters as they are now, or name it, whether it was there then"
    " or not: in the background, at a rate. An event that it had before comes under the same"
    " webhook-id.",
    Replay,
)

READ_OPERATION = _route(
    "readOperation",
    "Read how far an operation is",
    {
        200: answer("The operation.", documents.OperationDocument),
        **problems(401, 503),
        404: problem(404, "There is no operation of this id, or it ended a week ago."),
    },
    parameters=[_OPERATION_ID],
)
