"""Models, devices, webhook endpoints, keys, tenants and the audit log: what is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from gw.client.platform_documents import (
    AuditLine,
    Device,
    Endpoint,
    Example,
    Key,
    Model,
    ModelCommand,
    Readiness,
    RotatedSecret,
    Tenant,
)
from gw.client.reading import D, read
from gw.client.retrying import Retrying, removed
from gw.client.wire import Answer, Call, Flow, JsonBody, Request, given, path_of

CommandKind = Literal["load", "unload", "reload"]

Scope = Literal["submit", "read_own", "read_all", "manage_models", "manage_webhooks", "admin"]


class EndpointOptions(TypedDict, total=False):
    """What may be set of an endpoint; None stands for the default."""

    description: str | None
    event_types: Sequence[str] | None
    models: Sequence[str] | None
    labels: Sequence[str] | None
    headers: Mapping[str, str] | None
    asymmetric: bool | None
    format: Literal["standard", "cloudevents"] | None
    payload: Literal["full", "thin"] | None
    ordering: Literal["none", "model", "reference"] | None
    rate_per_s: float | None
    concurrency: int | None
    enabled: bool | None


class TenantOptions(TypedDict, total=False):
    """What may be set of a tenant; what is not named gets its default."""

    weight: float
    jobs_per_s: float
    burst: int
    key_jobs_per_s: float
    jobs_waiting_max: int
    bytes_max: int
    record_retention_s: int
    picture_retention_s: int


def _one(kind: type[D], request: Request) -> Call[D]:
    return Call(request, lambda answer: read(kind, answer.document()))


def _many(kind: type[D], request: Request, member: str) -> Call[list[D]]:
    def parse(answer: Answer) -> list[D]:
        return [read(kind, each) for each in answer.document()[member]]

    return Call(request, parse)


def _get(*parts: str, **query: Any) -> Request:
    return Request(method="GET", path=path_of(*parts), query=given(**query))


def _set(method: str, *parts: str, is_safe: bool, document: Mapping[str, Any]) -> Request:
    body = JsonBody(document)
    return Request(method=method, path=path_of(*parts), body=body, is_safe=is_safe)


def models() -> Call[list[Model]]:
    """List the models."""
    return _many(Model, _get("models"), "models")


def model(name: str) -> Call[Model]:
    """Read a model."""
    return _one(Model, _get("models", name))


def command(kind: CommandKind, name: str, *, version: str, wait_s: float) -> Call[ModelCommand]:
    """Say what shall be on the devices. Saying it twice says no more than once."""
    document = {"wait": wait_s, **({"version": version} if version else {})}
    request = Request(
        method="POST",
        path=path_of("models", name, kind),
        body=JsonBody(document),
        read_s=wait_s + 30.0,
    )
    return _one(ModelCommand, request)


def read_command(name: str, command_id: str) -> Call[ModelCommand]:
    """Read what became of a command."""
    return _one(ModelCommand, _get("models", name, "commands", command_id))


def devices() -> Call[list[Device]]:
    """List the devices."""
    return _many(Device, _get("devices"), "devices")


def add_endpoint(url: str, options: Mapping[str, Any]) -> Call[Endpoint]:
    """Register an endpoint. Twice would be two."""
    document = {"url": url, **options}
    return _one(Endpoint, _set("POST", "webhooks", is_safe=False, document=document))


def endpoints() -> Call[list[Endpoint]]:
    """List the endpoints."""
    return _many(Endpoint, _get("webhooks"), "webhooks")


def endpoint(endpoint_id: str) -> Call[Endpoint]:
    """Read an endpoint."""
    return _one(Endpoint, _get("webhooks", endpoint_id))


def change_endpoint(endpoint_id: str, changes: Mapping[str, Any]) -> Call[Endpoint]:
    """Change an endpoint."""
    request = _set("PATCH", "webhooks", endpoint_id, is_safe=True, document=changes)
    return _one(Endpoint, request)


def remove_endpoint(endpoint_id: str, retrying: Retrying) -> Flow[None]:
    """Forget an endpoint."""
    return removed(Request(method="DELETE", path=path_of("webhooks", endpoint_id)), retrying)


def rotate_secret(endpoint_id: str, overlap_s: int | None) -> Call[RotatedSecret]:
    """Replace an endpoint's secret. Twice would end the overlap of the first."""
    document = {} if overlap_s is None else {"overlap_s": overlap_s}
    parts = ("webhooks", endpoint_id, "rotate-secret")
    return _one(RotatedSecret, _set("POST", *parts, is_safe=False, document=document))


def test_endpoint(endpoint_id: str) -> Call[Example]:
    """Have a signed example sent."""
    path = path_of("webhooks", endpoint_id, "test")
    return _one(Example, Request(method="POST", path=path, is_safe=False, read_s=60.0))


def create_key(
    tenant: str, *, description: str, scopes: Sequence[Scope], expires_in_s: int | None
) -> Call[Key]:
    """Make a key. Twice would be two."""
    document: dict[str, Any] = {"tenant": tenant, "description": description}
    if scopes:
        document["scopes"] = list(scopes)
    if expires_in_s is not None:
        document["expires_in_s"] = expires_in_s
    return _one(Key, _set("POST", "keys", is_safe=False, document=document))


def keys() -> Call[list[Key]]:
    """List the keys."""
    return _many(Key, _get("keys"), "keys")


def key(key_id: str) -> Call[Key]:
    """Read a key."""
    return _one(Key, _get("keys", key_id))


def rotate_key(key_id: str, overlap_s: int | None) -> Call[Key]:
    """Give a key a new secret. Twice would end the overlap of the first."""
    document = {} if overlap_s is None else {"overlap_s": overlap_s}
    return _one(Key, _set("POST", "keys", key_id, "rotate", is_safe=False, document=document))


def revoke_key(key_id: str, retrying: Retrying) -> Flow[None]:
    """Revoke a key."""
    return removed(Request(method="DELETE", path=path_of("keys", key_id)), retrying)


def tenants() -> Call[list[Tenant]]:
    """List the tenants."""
    return _many(Tenant, _get("tenants"), "tenants")


def tenant(name: str) -> Call[Tenant]:
    """Read a tenant's settings."""
    return _one(Tenant, _get("tenants", name))


def set_tenant(name: str, options: Mapping[str, Any]) -> Call[Tenant]:
    """Set what a tenant may."""
    return _one(Tenant, _set("PUT", "tenants", name, is_safe=True, document=options))


def audit(limit: int) -> Call[list[AuditLine]]:
    """Read the newest acts."""
    return _many(AuditLine, _get("audit", limit=limit), "lines")


def readiness(answer: Answer) -> Readiness:
    """Read what ``/readyz`` answers, with 200 or 503."""
    return read(Readiness, answer.document())
