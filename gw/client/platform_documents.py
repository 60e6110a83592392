"""What the API tells of models, devices, webhooks, keys and tenants, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Document = Mapping[str, Any]


def _kept() -> Any:
    return field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One version on one dispatcher's device; *statistics* are since that dispatcher started."""

    version: str
    state: str
    reason: str | None
    dispatcher: str
    device: str
    memory_bytes: int | None
    sha256: str | None
    self_test: str | None
    statistics: Mapping[str, Any]
    document: Document = _kept()


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model. *versions* are those that a job may name, the default first."""

    name: str
    task: str
    description: str
    state: str
    reason: str | None
    versions: tuple[str, ...]
    labels: tuple[str, ...]
    queued: int
    details: tuple[ModelVersion, ...]
    document: Document = _kept()

    @property
    def is_ready(self) -> bool:
        """Whether jobs may name it."""
        return self.state == "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatcherAnswer:
    """What one dispatcher says of a command."""

    name: str
    state: str
    reason: str | None
    answered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCommand:
    """A command about a model. *state* is pending, done, failed or expired."""

    id: str
    command: str
    model: str
    version: str | None
    state: str
    dispatchers: tuple[DispatcherAnswer, ...]
    document: Document = _kept()


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What models run on. What nobody can tell is None."""

    instance: str
    device: str
    runtime: str
    status: str
    reason: str | None
    soc: str | None
    health: str | None
    temperature_c: float | None
    power_w: float | None
    memory_used_mb: float | None
    memory_total_mb: float | None
    busy_percent: float
    duty_percent: float
    models: tuple[str, ...]
    restarts: int
    document: Document = _kept()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointHealth:
    """How an endpoint has answered lately."""

    state: str
    failures: int
    waiting: int
    failing_since: datetime | None
    next_probe_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A registered webhook endpoint. *secret* is there in the answer that made it, and no other."""

    id: str
    url: str
    description: str
    event_types: tuple[str, ...]
    models: tuple[str, ...]
    labels: tuple[str, ...]
    header_names: tuple[str, ...]
    format: str
    payload: str
    ordering: str
    rate_per_s: float | None
    concurrency: int | None
    enabled: bool
    public_key: str | None
    previous_secret_until: datetime | None
    created_at: datetime | None
    health: EndpointHealth
    secret: str | None = field(default=None, repr=False)
    document: Document = _kept()


@dataclass(frozen=True, slots=True, kw_only=True)
class RotatedSecret:
    """A new secret; the one before signs beside it until then."""

    secret: str = field(repr=False)
    previous_secret_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An example that was sent to an endpoint, and what came of it."""

    id: str
    delivered: bool
    request: Mapping[str, Any] | None
    answer: Mapping[str, Any]
    document: Document = _kept()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key. *token* is there in the answer that made it, and no other."""

    id: str
    tenant: str
    description: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    previous_secret_until: datetime | None
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """What is set for a tenant; 0 stands for the platform's own, or for no limit."""

    tenant: str
    weight: float = 1.0
    jobs_per_s: float = 0.0
    burst: int = 0
    key_jobs_per_s: float = 0.0
    jobs_waiting_max: int = 0
    bytes_max: int = 0
    record_retention_s: int = 0
    picture_retention_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One administrative act."""

    at: datetime
    actor: str
    tenant: str
    action: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether work that comes in now would be done, and if not, why."""

    ready: bool
    reasons: tuple[str, ...]
