"""Administration: keys, tenants, and who did what to them."""

from __future__ import annotations

from dataclasses import replace

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.access.keys import ApiKey, Scope, make_key, rotate_key
from pipeline.access.tenants import Tenant
from pipeline.errors import NotFound
from webapp import documentation as docs
from webapp.access import Caller
from webapp.admin_documents import audit_document, key_document, tenant_document
from webapp.admin_fields import KeyRotation, NewKey, TenantFields, check_tenant_name, parse_fields
from webapp.json_answer import json_answer
from webapp.json_body import read_json_object
from webapp.parts import Parts
from webapp.queries import Query
from webapp.routes.calling import caller_of

_LINES = (1, 100, 1000)


class AdminRoutes:
    """The handlers of ``/v1/keys``, ``/v1/tenants`` and ``/v1/audit``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        app.post("/v1/keys", **docs.CREATE_KEY)(self.create_key)
        app.get("/v1/keys", **docs.LIST_KEYS)(self.list_keys)
        app.get("/v1/keys/{key_id}", **docs.READ_KEY)(self.read_key)
        app.post("/v1/keys/{key_id}/rotate", **docs.ROTATE_KEY)(self.rotate_key)
        app.delete("/v1/keys/{key_id}", **docs.REVOKE_KEY)(self.revoke_key)
        app.get("/v1/tenants", **docs.LIST_TENANTS)(self.list_tenants)
        app.get("/v1/tenants/{tenant}", **docs.READ_TENANT)(self.read_tenant)
        app.put("/v1/tenants/{tenant}", **docs.SET_TENANT)(self.set_tenant)
        app.get("/v1/audit", **docs.READ_AUDIT)(self.read_audit)

    async def create_key(self, request: Request) -> Response:
        """Make a key; its token is in this answer alone."""
        parts, caller = self._parts, await self._caller(request)
        fields = parse_fields(NewKey, await read_json_object(request, parts))
        now_unix_ms = parts.clock.unix_ms()
        token, record = make_key(
            tenant=fields.tenant,
            description=fields.description,
            now_unix_ms=now_unix_ms,
            scopes=frozenset(fields.scopes),
            expires_unix_ms=now_unix_ms + fields.expires_in_s * 1000 if fields.expires_in_s else 0,
            default_model=fields.default_model,
        )
        await parts.keys.add(record)
        await parts.audit.note(caller, "key.created", record.key_id)
        document = key_document(record, last_used_unix_ms=0, now_unix_ms=now_unix_ms)
        return json_answer(
            document | {"token": token},
            status=201,
            headers={"Location": f"/v1/keys/{record.key_id}", "Cache-Control": "no-store"},
        )

    async def list_keys(self, request: Request) -> Response:
        """List the keys, without what would let anybody use them."""
        await self._caller(request)
        records = await self._parts.keys.all()
        used = await self._parts.keys.last_used()
        now_unix_ms = self._parts.clock.unix_ms()
        return json_answer(
            {
                "keys": [
                    key_document(
                        each,
                        last_used_unix_ms=used.get(each.key_id, 0),
                        now_unix_ms=now_unix_ms,
                    )
                    for each in sorted(records, key=lambda record: record.created_unix_ms)
                ]
            }
        )

    async def read_key(self, request: Request) -> Response:
        """Give one key."""
        await self._caller(request)
        return json_answer(await self._document(await self._key(request)))

    async def rotate_key(self, request: Request) -> Response:
        """Give a key a new secret; the one before counts for a while."""
        parts, caller = self._parts, await self._caller(request)
        fields = parse_fields(
            KeyRotation, await read_json_object(request, parts, may_be_empty=True)
        )
        token, record = rotate_key(
            await self._key(request),
            now_unix_ms=parts.clock.unix_ms(),
            overlap_ms=fields.overlap_s * 1000,
        )
        await parts.keys.add(record)
        parts.access.forget(record.key_id)
        await parts.audit.note(caller, "key.rotated", record.key_id)
        document = await self._document(record)
        return json_answer(document | {"token": token}, headers={"Cache-Control": "no-store"})

    async def revoke_key(self, request: Request) -> Response:
        """Revoke a key, here at once, in other processes within seconds."""
        parts, caller = self._parts, await self._caller(request)
        record = await self._key(request)
        await parts.keys.remove(record.key_id)
        parts.access.forget(record.key_id)
        await parts.audit.note(caller, "key.revoked", record.key_id)
        return Response(status_code=204)

    async def list_tenants(self, request: Request) -> Response:
        """List the tenants that have a key or a setting."""
        await self._caller(request)
        known = {each.tenant: each for each in await self._parts.tenants.all()}
        names = known.keys() | {key.tenant for key in await self._parts.keys.all()}
        found = [known.get(name) or Tenant(tenant=name) for name in sorted(names)]
        return json_answer({"tenants": [tenant_document(each) for each in found]})

    async def read_tenant(self, request: Request) -> Response:
        """Give what is set for a tenant; the defaults where nothing is."""
        await self._caller(request)
        name = check_tenant_name(request.path_params["tenant"])
        found = await self._parts.tenants.get(name) or Tenant(tenant=name)
        return json_answer(tenant_document(found))

    async def set_tenant(self, request: Request) -> Response:
        """Set a tenant's settings; what is not named gets its default."""
        parts, caller = self._parts, await self._caller(request)
        name = check_tenant_name(request.path_params["tenant"])
        fields = parse_fields(TenantFields, await read_json_object(request, parts))
        tenant = replace(Tenant(tenant=name), **fields.model_dump())
        await parts.tenants.add(tenant)
        await parts.audit.note(caller, "tenant.set", name)
        return json_answer(tenant_document(tenant))

    async def read_audit(self, request: Request) -> Response:
        """Give the newest audit lines."""
        await self._caller(request)
        low, usual, high = _LINES
        query = Query.parse(request.scope["query_string"], known=("limit",))
        count = query.number("limit", default=usual, low=low, high=high)
        lines = await self._parts.audit.newest(count)
        return json_answer({"lines": [audit_document(line) for line in lines]})

    async def _caller(self, request: Request) -> Caller:
        return await caller_of(self._parts, request, Scope.ADMIN)

    async def _key(self, request: Request) -> ApiKey:
        record = await self._parts.keys.get(request.path_params["key_id"])
        if record is None:
            raise NotFound("There is no key of this id.")
        return record

    async def _document(self, record: ApiKey) -> dict[str, object]:
        used = await self._parts.keys.last_used()
        return key_document(
            record,
            last_used_unix_ms=used.get(record.key_id, 0),
            now_unix_ms=self._parts.clock.unix_ms(),
        )
