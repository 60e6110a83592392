"""Deliveries and operations as the documents that callers see. Never a secret, or a URL's query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.deliveries.operation import Operation, OperationKind, OperationState
from webapp.presentation import attempt_document, moment, public_url
from webapp.schemas import AttemptDocument, SubscriberDocument

_MOMENT = "RFC 3339, UTC."


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ListedDeliveryDocument(_Document):
    """A delivery: one event, told to one subscriber."""

    id: str = Field(examples=["msg_01jd3k4m5n6p7q8r9s0t1v2w3x"], description="Its webhook-id.")
    state: DeliveryState
    event_id: str | None
    event_type: str | None = Field(examples=["job.succeeded"])
    event_at: str | None = Field(description=f"When the event happened. {_MOMENT}")
    job: str | None = Field(description="The job whose end it tells of.")
    subscriber: SubscriberDocument
    tries: int = Field(description="How many attempts were made.")
    due: str | None = Field(description="The next attempt; null for at once, or when none follows.")
    reason: str | None = Field(description="Why it is exhausted: the last status, or the fault.")


class ReadDeliveryDocument(ListedDeliveryDocument):
    """A delivery with its attempts, the oldest first."""

    attempts: list[AttemptDocument]


class DeliveryPageDocument(_Document):
    """A page of deliveries, those of the newest events first."""

    deliveries: list[ListedDeliveryDocument]
    next: str | None = Field(description="The `cursor` of the next page, null on the last one.")


class OperationLinks(_Document):
    """Where more is to be found."""

    self: str


class OperationDocument(_Document):
    """Background work that somebody asked for, and how far it is."""

    id: str = Field(examples=["op_01jd3k4m5n6p7q8r9s0t1v2w3x"])
    kind: OperationKind
    state: OperationState
    endpoint: str
    since: str | None = Field(description=f"Events from this moment on. {_MOMENT}")
    until: str | None = Field(description=f"Events before this moment. {_MOMENT}")
    only_missing: bool
    sent: int = Field(description="Deliveries that were put on their way, each due at its time.")
    passed_over: int = Field(description="What was looked at and is not to be sent.")
    last_due: str | None = Field(description=f"When the last of them goes. {_MOMENT}")
    created_at: str | None = Field(description=_MOMENT)
    finished_at: str | None = Field(description=_MOMENT)
    reason: str | None = Field(description="Why it failed: the endpoint is removed or disabled.")
    links: OperationLinks


#: For the OpenAPI document.
DOCUMENTS = (ReadDeliveryDocument, DeliveryPageDocument, OperationDocument)


def listed_delivery(delivery: Delivery) -> dict[str, Any]:
    """Give the document of a delivery without its attempts."""
    is_pending = delivery.state is DeliveryState.PENDING
    return {
        "id": delivery.delivery_id,
        "state": delivery.state,
        "event_id": delivery.event_id or None,
        "event_type": delivery.event_type or None,
        "event_at": moment(delivery.created_unix_ms),
        "job": delivery.job_id or None,
        "subscriber": {
            "endpoint": delivery.endpoint_id or None,
            "url": public_url(delivery.url) or None,
        },
        "tries": delivery.attempts,
        "due": moment(delivery.due_unix_ms) if is_pending else None,
        "reason": delivery.reason or None,
    }


def read_delivery(delivery: Delivery, attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Give the document of a delivery with its attempts."""
    return listed_delivery(delivery) | {"attempts": [attempt_document(each) for each in attempts]}


def operation_document(operation: Operation) -> dict[str, Any]:
    """Give the document of an operation."""
    return {
        "id": operation.operation_id,
        "kind": operation.kind,
        "state": operation.state,
        "endpoint": operation.endpoint_id,
        "since": moment(operation.from_unix_ms),
        "until": moment(operation.until_unix_ms),
        "only_missing": operation.only_missing,
        "sent": operation.sent,
        "passed_over": operation.passed_over,
        "last_due": moment(operation.paced_unix_ms) if operation.sent else None,
        "created_at": moment(operation.created_unix_ms),
        "finished_at": moment(operation.finished_unix_ms),
        "reason": operation.reason or None,
        "links": {"self": f"/v1/operations/{operation.operation_id}"},
    }
