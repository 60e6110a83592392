"""The typed client of gw's API: ``Client``, ``AsyncClient`` and ``verify_webhook``.

Needs httpx and nothing else; verifying webhooks needs the standard library alone. It imports
nothing of the platform, so that a program which only calls gw carries no server along.
"""

from gw.client.asynchronous import AsyncClient
from gw.client.blocking import Client
from gw.client.documents import (
    Batch,
    BatchItem,
    Delivery,
    Event,
    Job,
    Result,
)
from gw.client.errors import (
    ClientError,
    ProblemError,
    StillRunning,
    TransportFailed,
    UnexpectedAnswer,
    WebhookNotVerified,
)
from gw.client.http import Options
from gw.client.platform_documents import Device, Endpoint, Key, Model, ModelCommand, Tenant
from gw.client.retrying import Retrying
from gw.client.webhooks import WebhookEvent, parse_event, verify_webhook

__all__ = [
    "AsyncClient",
    "Batch",
    "BatchItem",
    "Client",
    "ClientError",
    "Delivery",
    "Device",
    "Endpoint",
    "Event",
    "Job",
    "Key",
    "Model",
    "ModelCommand",
    "Options",
    "ProblemError",
    "Result",
    "Retrying",
    "StillRunning",
    "Tenant",
    "TransportFailed",
    "UnexpectedAnswer",
    "WebhookEvent",
    "WebhookNotVerified",
    "parse_event",
    "verify_webhook",
]
