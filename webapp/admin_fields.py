"""What an administrator says of a key or a tenant: its fields, checked and typed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pipeline.access.keys import CLIENT_SCOPES, Scope
from pipeline.access.tenants import TENANT_NAME
from webapp.refusals import InvalidField

#: The secret before counts for so long beside the new one, unless the caller says otherwise.
OVERLAP_DEFAULT_S = 24 * 3600
OVERLAP_MAX_S = 30 * 24 * 3600

_LIFE_MAX_S = 10 * 366 * 24 * 3600
_RETENTION_MAX_S = 31_536_000

Fields = TypeVar("Fields", bound=BaseModel)

_TenantName = Annotated[str, StringConstraints(pattern=f"^{TENANT_NAME}$")]


class NewKey(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    tenant: _TenantName = Field(description="Who owns it.")
    description: str = Field("", max_length=200)
    scopes: list[Annotated[Scope, Field(strict=False)]] = Field(
        default=list(CLIENT_SCOPES), min_length=1, max_length=len(Scope)
    )
    expires_in_s: int | None = Field(
        None, ge=1, le=_LIFE_MAX_S, description="When it ceases to count; never by default."
    )
    default_model: str = Field(
        "",
        max_length=100,
        description="What runs where the caller's protocol has no place for a model's name.",
    )


class KeyRotation(BaseModel):
    """How a key's secret is replaced."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    overlap_s: int = Field(
        OVERLAP_DEFAULT_S,
        ge=0,
        le=OVERLAP_MAX_S,
        description="How long the secret before still counts; 0 ends it at once.",
    )


class TenantFields(BaseModel):
    """What is set for a tenant; 0 stands for the platform's own, or for no limit."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    weight: float = Field(
        1.0,
        ge=0.001,
        le=1000,
        allow_inf_nan=False,
        description="Its share of the device beside others' that have work.",
    )
    jobs_per_s: float = Field(
        0.0, ge=0, le=1_000_000, allow_inf_nan=False, description="How fast it may submit."
    )
    burst: int = Field(
        0, ge=0, le=1_000_000, description="How many at once; those of two seconds by default."
    )
    key_jobs_per_s: float = Field(
        0.0, ge=0, le=1_000_000, allow_inf_nan=False, description="How fast each of its keys may."
    )
    jobs_waiting_max: int = Field(
        0, ge=0, le=1 << 40, description="How many jobs it may have that are not done yet."
    )
    bytes_max: int = Field(
        0, ge=0, le=1 << 50, description="How much its waiting pictures may take together."
    )
    record_retention_s: int = Field(
        0, ge=0, le=_RETENTION_MAX_S, description="How long its ended jobs can be read."
    )
    picture_retention_s: int = Field(
        0, ge=0, le=_RETENTION_MAX_S, description="How long its pictures are kept afterwards."
    )


def parse_fields(kind: type[Fields], document: Mapping[str, Any]) -> Fields:
    """Check a body; raises InvalidField for the first thing that is wrong with it."""
    try:
        return kind.model_validate(dict(document))
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        allowed = tuple(kind.model_fields) if first["type"] == "extra_forbidden" else ()
        if field.startswith("scopes"):
            allowed = tuple(Scope)
        raise InvalidField(f"{first['msg']}.", field=field, allowed=allowed) from exc


def check_tenant_name(name: str) -> str:
    """Give *name* if a tenant may have it; raises InvalidField."""
    if not re.fullmatch(TENANT_NAME, name):
        raise InvalidField(
            "It must be lower-case letters, digits, - and _, 64 at most.", field="tenant"
        )
    return name
