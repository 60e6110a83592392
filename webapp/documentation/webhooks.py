"""Webhooks: registering endpoints, their secrets, an example."""

from __future__ import annotations

from typing import Any

from webapp import endpoint_documents as documents
from webapp.documentation.shapes import (
    WITH_KEY,
    answer,
    header,
    parameter,
    problem,
    problems,
    ref,
)
from webapp.endpoint_fields import EndpointChanges, NewEndpoint, SecretRotation
from webapp.uploads import JSON_TYPE

_ID = parameter(
    "endpoint_id", "path", "The endpoint's id.", type="string", pattern="^ep_[0-9a-z]{26}$"
)
_UNKNOWN = {404: problem(404, "There is no endpoint of this id.")}
_REFUSED = {422: problem(422, "The egress policy forbids the URL.")}


def _body(fields: type[Any], *, required: bool = True) -> dict[str, Any]:
    return {"required": required, "content": {JSON_TYPE: {"schema": ref(fields)}}}


def _route(
    operation_id: str, summary: str, responses: dict[Any, Any], **extra: Any
) -> dict[str, Any]:
    return {
        **WITH_KEY,
        "tags": ["webhooks"],
        "operation_id": operation_id,
        "summary": summary,
        "responses": responses,
        "openapi_extra": extra,
    }


_ADDED = answer("The endpoint with its secret.", documents.NewEndpointDocument)

ADD_WEBHOOK = _route(
    "addWebhook",
    "Register an endpoint",
    {
        201: _ADDED | {"headers": {"Location": header("The endpoint's path.", "string")}},
        **problems(400, 401, 408, 413, 415, 429, 503),
        409: problem(409, "The tenant has as many endpoints as it may have."),
        **_REFUSED,
    },
    requestBody=_body(NewEndpoint),
) | {"status_code": 201}

LIST_WEBHOOKS = _route(
    "listWebhooks",
    "List the endpoints",
    {200: answer("All endpoints.", documents.EndpointsDocument), **problems(401, 503)},
)

READ_WEBHOOK = _route(
    "readWebhook",
    "Read an endpoint",
    {200: answer("The endpoint.", documents.EndpointDocument), **problems(401, 503), **_UNKNOWN},
    parameters=[_ID],
)

CHANGE_WEBHOOK = _route(
    "changeWebhook",
    "Change an endpoint",
    {
        200: answer("The endpoint as it is now.", documents.EndpointDocument),
        **problems(400, 401, 408, 413, 415, 429, 503),
        **_UNKNOWN,
        **_REFUSED,
    },
    parameters=[_ID],
    requestBody=_body(EndpointChanges),
)

REMOVE_WEBHOOK = _route(
    "removeWebhook",
    "Remove an endpoint",
    {204: {"description": "It is forgotten."}, **problems(401, 503), **_UNKNOWN},
    parameters=[_ID],
) | {"status_code": 204}

ROTATE_SECRET = _route(
    "rotateSecret",
    "Replace an endpoint's secret",
    {
        200: answer("The new secret, shown this once.", documents.RotatedSecretDocument),
        **problems(400, 401, 408, 413, 415, 429, 503),
        **_UNKNOWN,
    },
    parameters=[_ID],
    requestBody=_body(SecretRotation, required=False),
)

TEST_WEBHOOK = _route(
    "testWebhook",
    "Send a signed example",
    {
        200: answer("What was sent, and what came of it.", documents.ExampleDocument),
        **problems(401, 503),
        **_UNKNOWN,
    },
    parameters=[_ID],
)
