"""Webhooks: registering endpoints, their secrets, an example."""

from __future__ import annotations

from functools import partial

from webapp import endpoint_documents as documents
from webapp.documentation.shapes import (
    answer,
    header,
    json_body,
    parameter,
    problem,
    problems,
    route,
)
from webapp.endpoint_fields import EndpointChanges, NewEndpoint, SecretRotation

_ID = parameter(
    "endpoint_id", "path", "The endpoint's id.", type="string", pattern="^ep_[0-9a-z]{26}$"
)
_UNKNOWN = {404: problem(404, "There is no endpoint of this id.")}
_REFUSED = {422: problem(422, "The egress policy forbids the URL.")}


_route = partial(route, "webhooks")
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
    requestBody=json_body(NewEndpoint),
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
    requestBody=json_body(EndpointChanges),
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
    requestBody=json_body(SecretRotation, required=False),
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
