"""Endpoints as the documents that callers see. Never a secret or a header's value."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from egress.asymmetric_key import PrivateKey
from egress.brokers import is_broker
from egress.targets import without_query
from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.deliveries.endpoints import Endpoint, Format, Ordering, Payload
from pipeline.deliveries.receivers import Health
from webapp.presentation import moment

_MOMENT = "RFC 3339, UTC."


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EndpointHealthDocument(_Document):
    """How the endpoint has answered lately."""

    state: Literal["healthy", "failing", "paused", "recovering"] = Field(
        description="paused: nothing but a probe now and then; recovering: what waited is let go"
        " at a growing rate."
    )
    failures: int = Field(description="Since the last answer 2xx.")
    failing_since: str | None = Field(description=_MOMENT)
    next_probe_at: str | None = Field(description=_MOMENT)
    waiting: int = Field(description="Deliveries that wait until the endpoint is fit for them.")


class EndpointDisabledDocument(_Document):
    """Why nothing is sent."""

    reason: str = Field(
        description="switched_off by a caller, gone (it answered 410), or failing for five days."
    )
    at: str | None = Field(description=_MOMENT)


class MqttDocument(_Document):
    """How it logs in at its broker. Never the password."""

    username: str | None
    client_id: str | None
    version: Literal["5", "3.1.1"]
    has_password: bool
    has_ca: bool


class EndpointDocument(_Document):
    """An endpoint."""

    id: str = Field(examples=["ep_01jd3k4m5n6p7q8r9s0t1v2w3x"])
    url: str = Field(description="Without its query.")
    description: str
    event_types: list[str]
    models: list[str]
    labels: list[str]
    header_names: list[str]
    format: Format
    payload: Payload
    ordering: Ordering
    rate_per_s: float | None
    concurrency: int | None
    mqtt: MqttDocument | None = Field(description="Where the URL names a broker.")
    enabled: bool
    disabled: EndpointDisabledDocument | None
    public_key: str | None = Field(description="whpk_..., where it signs with ed25519 too.")
    previous_secret_until: str | None = Field(
        description="Until when a replaced secret signs beside the current one."
    )
    created_at: str | None = Field(description=_MOMENT)
    health: EndpointHealthDocument


class NewEndpointDocument(EndpointDocument):
    """An endpoint with the secret that was made for it: the only time that it is shown."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class EndpointsDocument(_Document):
    """All endpoints of the caller's tenant, the oldest first."""

    webhooks: list[EndpointDocument]


class ExampleRequestDocument(_Document):
    """What was sent. Extra headers of the endpoint went with it and are not shown."""

    headers: dict[str, str]
    body: str


class ExampleAnswerDocument(_Document):
    """What came back."""

    status: int | None
    error: str | None = Field(description="Why there is no answer, or not a whole one.")
    body: str | None = Field(description="The beginning of the answer's body.")
    duration_ms: int


class ExampleDocument(_Document):
    """An example, and what came of it."""

    id: str = Field(description="Its webhook-id.")
    delivered: bool
    request: ExampleRequestDocument | None
    answer: ExampleAnswerDocument


class RotatedSecretDocument(_Document):
    """The new secret: the only time that it is shown."""

    secret: str
    previous_secret_until: str | None = Field(
        description="Until when the one before signs beside it."
    )


#: For the OpenAPI document.
DOCUMENTS = (
    EndpointDocument,
    NewEndpointDocument,
    EndpointsDocument,
    ExampleDocument,
    RotatedSecretDocument,
)


def endpoint_document(
    endpoint: Endpoint, health: Health, *, waiting: int, now_unix_ms: int
) -> dict[str, Any]:
    """Give the document of an endpoint; *waiting* is the size of its backlog."""
    still = [until for until in endpoint.previous_secrets.values() if until > now_unix_ms]
    key = endpoint.private_key
    return {
        "id": endpoint.endpoint_id,
        "url": without_query(endpoint.url),
        "description": endpoint.description,
        "event_types": list(endpoint.event_types),
        "models": list(endpoint.models),
        "labels": list(endpoint.labels),
        "header_names": sorted(endpoint.headers),
        "format": endpoint.format,
        "payload": endpoint.payload,
        "ordering": endpoint.ordering,
        "rate_per_s": endpoint.rate_per_s or None,
        "concurrency": endpoint.concurrency or None,
        "mqtt": _mqtt(endpoint),
        "enabled": endpoint.enabled and not health.disabled_reason,
        "disabled": _disabled(endpoint, health),
        "public_key": PrivateKey.parse(key).public.to_text() if key else None,
        "previous_secret_until": moment(max(still, default=0)),
        "created_at": moment(endpoint.created_unix_ms),
        "health": {
            "state": _state(health, now_unix_ms),
            "failures": health.failures,
            "failing_since": moment(health.failing_since),
            "next_probe_at": moment(health.open_until),
            "waiting": waiting,
        },
    }


def example_document(delivery: Delivery, attempt: Attempt) -> dict[str, Any]:
    """Give the document of an example that was sent, or that could not be."""
    return {
        "id": delivery.delivery_id,
        "delivered": delivery.state is DeliveryState.DELIVERED,
        "request": json.loads(attempt.request) if attempt.request else None,
        "answer": {
            "status": attempt.status or None,
            "error": attempt.error or None,
            "body": attempt.answer or None,
            "duration_ms": attempt.duration_ms,
        },
    }


def _mqtt(endpoint: Endpoint) -> dict[str, Any] | None:
    if not is_broker(endpoint.url):
        return None
    said = endpoint.mqtt
    return {
        "username": said.get("username"),
        "client_id": said.get("client_id"),
        "version": said.get("version", "5"),
        "has_password": "password" in said,
        "has_ca": "ca" in said,
    }


def _disabled(endpoint: Endpoint, health: Health) -> dict[str, Any] | None:
    if health.disabled_reason:
        return {"reason": health.disabled_reason, "at": moment(health.disabled)}
    return None if endpoint.enabled else {"reason": "switched_off", "at": None}


def _state(health: Health, now_unix_ms: int) -> str:
    if health.is_open:
        return "paused"
    if health.failures:
        return "failing"
    return "recovering" if now_unix_ms < health.catching_up_until else "healthy"
