"""Keys, tenants and audit lines as administrators see them, without any secret."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.access.audit import AuditLine
from pipeline.access.keys import ApiKey, Scope
from pipeline.access.tenants import Tenant
from webapp.admin_fields import TenantFields
from webapp.presentation import moment


class KeyDocument(BaseModel):
    """A key."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(examples=["0123abcd"])
    tenant: str
    description: str
    scopes: list[Scope]
    created_at: str = Field(description="RFC 3339, UTC.")
    expires_at: str | None
    last_used_at: str | None = Field(description="To ten minutes.")
    previous_secret_until: str | None = Field(
        description="Until when the secret before the last rotation counts."
    )
    default_model: str | None = Field(
        description="What runs where the caller's protocol names no model."
    )


class NewKeyDocument(KeyDocument):
    """A key with its token, which is shown this once."""

    token: str = Field(examples=["gw_0123abcd_..."])


class KeysDocument(BaseModel):
    """All keys."""

    model_config = ConfigDict(extra="forbid")

    keys: list[KeyDocument]


class TenantDocument(TenantFields):
    """A tenant."""

    tenant: str


class TenantsDocument(BaseModel):
    """All tenants that have a key or a setting."""

    model_config = ConfigDict(extra="forbid")

    tenants: list[TenantDocument]


class AuditLineDocument(BaseModel):
    """One administrative act."""

    model_config = ConfigDict(extra="forbid")

    at: str
    actor: str = Field(examples=["key:0123abcd", "gw:operator"])
    tenant: str = Field(description="The actor's.")
    action: str = Field(examples=["key.revoked"])
    subject: str


class AuditDocument(BaseModel):
    """The newest acts, the newest first."""

    model_config = ConfigDict(extra="forbid")

    lines: list[AuditLineDocument]


#: What OpenAPI is to know of.
DOCUMENTS = (
    KeyDocument,
    NewKeyDocument,
    KeysDocument,
    TenantDocument,
    TenantsDocument,
    AuditDocument,
)


def key_document(key: ApiKey, *, last_used_unix_ms: int, now_unix_ms: int) -> dict[str, Any]:
    """Give a key as a document."""
    overlaps = key.previous_until_unix_ms > now_unix_ms
    return {
        "id": key.key_id,
        "tenant": key.tenant,
        "description": key.description,
        "scopes": sorted(key.known_scopes),
        "created_at": moment(key.created_unix_ms),
        "expires_at": moment(key.expires_unix_ms),
        "last_used_at": moment(last_used_unix_ms),
        "previous_secret_until": moment(key.previous_until_unix_ms) if overlaps else None,
        "default_model": key.default_model or None,
    }


def tenant_document(tenant: Tenant) -> dict[str, Any]:
    """Give a tenant as a document."""
    return asdict(tenant)


def audit_document(line: AuditLine) -> dict[str, Any]:
    """Give an audit line as a document."""
    return {
        "at": moment(line.at_unix_ms),
        "actor": line.actor,
        "tenant": line.tenant,
        "action": line.action,
        "subject": line.subject,
    }
