"""Administration: keys, tenants, the audit log."""

from __future__ import annotations

from typing import Any

from webapp import admin_documents as documents
from webapp.admin_fields import KeyRotation, NewKey, TenantFields
from webapp.documentation.shapes import (
    answer,
    header,
    json_body,
    parameter,
    problem,
    problems,
    route,
)

_KEY_ID = parameter("key_id", "path", "The key's id.", type="string", pattern="^[0-9a-f]{8}$")
_TENANT = parameter("tenant", "path", "The tenant's name.")
_NO_KEY = {404: problem(404, "There is no key of this id.")}
_WITH_BODY = (400, 401, 408, 413, 415, 429, 503)


def _route(*of: Any, **extra: Any) -> dict[str, Any]:
    return route("administration", *of, **extra) | {"description": "Needs the scope `admin`."}


_MADE = answer("The key with its token, this once.", documents.NewKeyDocument)

CREATE_KEY = _route(
    "createKey",
    "Make a key",
    {
        201: _MADE | {"headers": {"Location": header("The key's path.", "string")}},
        **problems(*_WITH_BODY),
    },
    requestBody=json_body(NewKey),
) | {"status_code": 201}

LIST_KEYS = _route(
    "listKeys",
    "List the keys",
    {200: answer("All keys.", documents.KeysDocument), **problems(401, 503)},
)

READ_KEY = _route(
    "readKey",
    "Read a key",
    {200: answer("The key.", documents.KeyDocument), **problems(401, 503), **_NO_KEY},
    parameters=[_KEY_ID],
)

ROTATE_KEY = _route(
    "rotateKey",
    "Give a key a new secret",
    {200: _MADE, **problems(*_WITH_BODY), **_NO_KEY},
    parameters=[_KEY_ID],
    requestBody=json_body(KeyRotation, required=False),
)

REVOKE_KEY = _route(
    "revokeKey",
    "Revoke a key",
    {204: {"description": "It is revoked."}, **problems(401, 503), **_NO_KEY},
    parameters=[_KEY_ID],
) | {"status_code": 204}

LIST_TENANTS = _route(
    "listTenants",
    "List the tenants",
    {200: answer("All tenants.", documents.TenantsDocument), **problems(401, 503)},
)

READ_TENANT = _route(
    "readTenant",
    "Read a tenant's settings",
    {200: answer("The tenant.", documents.TenantDocument), **problems(400, 401, 503)},
    parameters=[_TENANT],
)

SET_TENANT = _route(
    "setTenant",
    "Set what a tenant may",
    {200: answer("The tenant.", documents.TenantDocument), **problems(*_WITH_BODY)},
    parameters=[_TENANT],
    requestBody=json_body(TenantFields),
)

READ_AUDIT = _route(
    "readAudit",
    "Read the audit log",
    {200: answer("The newest acts.", documents.AuditDocument), **problems(400, 401, 503)},
    parameters=[
        parameter(
            "limit", "query", "How many, 100 by default.", type="integer", minimum=1, maximum=1000
        )
    ],
)
