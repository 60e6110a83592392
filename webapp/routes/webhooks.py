"""Webhooks: the endpoints of a tenant, their secrets, and an example on request."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.deliveries.endpoints import Endpoint
from pipeline.deliveries.receivers import Health
from pipeline.deliveries.signing_secret import SigningSecret
from pipeline.errors import Unavailable
from pipeline.events.examples import have_example_sent
from pipeline.ids import new_id
from webapp import documentation as docs
from webapp.endpoint_documents import endpoint_document, example_document
from webapp.endpoint_fields import changed, parse_changes, parse_new_endpoint, parse_rotation
from webapp.json_answer import json_answer
from webapp.json_body import read_json_object
from webapp.parts import Parts
from webapp.presentation import moment
from webapp.refusals import TooManyEndpoints
from webapp.routes.own_endpoint import own_endpoint, unknown_endpoint, webhooks_caller

#: More endpoints than any site has; each event of a tenant is matched against all of them.
ENDPOINTS_MAX = 100

_ENABLE_TRIES = 16
#: What has gathered meanwhile is let go at a growing rate, for so long.
_CATCH_UP_MS = 3_600_000


class WebhookRoutes:
    """The handlers of ``/v1/webhooks``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        app.post("/v1/webhooks", **docs.ADD_WEBHOOK)(self.add)
        app.get("/v1/webhooks", **docs.LIST_WEBHOOKS)(self.list)
        app.get("/v1/webhooks/{endpoint_id}", **docs.READ_WEBHOOK)(self.read)
        app.patch("/v1/webhooks/{endpoint_id}", **docs.CHANGE_WEBHOOK)(self.change)
        app.delete("/v1/webhooks/{endpoint_id}", **docs.REMOVE_WEBHOOK)(self.remove)
        app.post("/v1/webhooks/{endpoint_id}/rotate-secret", **docs.ROTATE_SECRET)(self.rotate)
        app.post("/v1/webhooks/{endpoint_id}/test", **docs.TEST_WEBHOOK)(self.test)

    async def add(self, request: Request) -> Response:
        """Register an endpoint; its secret is in this answer alone."""
        parts = self._parts
        caller = await webhooks_caller(self._parts, request)
        fields = parse_new_endpoint(await read_json_object(request, parts), parts.egress_policy)
        if len(await parts.endpoints.of_tenant(caller.tenant)) >= ENDPOINTS_MAX:
            raise TooManyEndpoints(ENDPOINTS_MAX)
        now_unix_ms = parts.clock.unix_ms()
        blank = Endpoint(
            endpoint_id=new_id("ep", now_unix_ms),
            tenant=caller.tenant,
            url=fields.url,
            description="",
            created_unix_ms=now_unix_ms,
            secret=SigningSecret.generate().to_text(),
        )
        endpoint = changed(blank, fields)
        await parts.endpoints.add(endpoint)
        await parts.audit.note(caller, "endpoint.added", endpoint.endpoint_id)
        document = endpoint_document(endpoint, Health(), waiting=0, now_unix_ms=now_unix_ms)
        return json_answer(
            document | {"secret": endpoint.secret},
            status=201,
            headers={"Location": f"/v1/webhooks/{endpoint.endpoint_id}"},
        )

    async def list(self, request: Request) -> Response:
        """List the tenant's endpoints."""
        caller = await webhooks_caller(self._parts, request)
        endpoints = await self._parts.endpoints.of_tenant(caller.tenant)
        return json_answer({"webhooks": await self._documents(endpoints)})

    async def read(self, request: Request) -> Response:
        """Give one endpoint."""
        return await self._answer(
            await own_endpoint(self._parts, await webhooks_caller(self._parts, request), request)
        )

    async def change(self, request: Request) -> Response:
        """Change an endpoint; what is not named stays."""
        parts = self._parts
        caller = await webhooks_caller(self._parts, request)
        endpoint = await own_endpoint(self._parts, caller, request)
        fields = parse_changes(await read_json_object(request, parts), parts.egress_policy)
        endpoint_id = endpoint.endpoint_id
        after = await parts.endpoints.change(endpoint_id, lambda old: changed(old, fields))
        if after is None:
            raise unknown_endpoint()
        if "enabled" in fields.model_fields_set and after.enabled:
            await self._enable(endpoint_id)
        await parts.audit.note(caller, "endpoint.changed", endpoint_id)
        return await self._answer(after)

    async def remove(self, request: Request) -> Response:
        """Forget an endpoint; what is still to be sent to it is given up."""
        caller = await webhooks_caller(self._parts, request)
        endpoint = await own_endpoint(self._parts, caller, request)
        if not await self._parts.endpoints.remove(endpoint.endpoint_id):
            raise unknown_endpoint()
        await self._parts.audit.note(caller, "endpoint.removed", endpoint.endpoint_id)
        return Response(status_code=204)

    async def rotate(self, request: Request) -> Response:
        """Replace the secret; for a while the one before signs too."""
        parts = self._parts
        caller = await webhooks_caller(self._parts, request)
        endpoint = await own_endpoint(self._parts, caller, request)
        rotation = parse_rotation(await read_json_object(request, parts, may_be_empty=True))
        secret = SigningSecret.generate().to_text()
        now_unix_ms = parts.clock.unix_ms()

        def rotated(old: Endpoint) -> Endpoint:
            return old.with_new_secret(
                secret, now_unix_ms=now_unix_ms, overlap_ms=rotation.overlap_s * 1000
            )

        if await parts.endpoints.change(endpoint.endpoint_id, rotated) is None:
            raise unknown_endpoint()
        await parts.audit.note(caller, "endpoint.secret_rotated", endpoint.endpoint_id)
        until = now_unix_ms + rotation.overlap_s * 1000 if rotation.overlap_s else 0
        return json_answer({"secret": secret, "previous_secret_until": moment(until)})

    async def test(self, request: Request) -> Response:
        """Have the notifier send a signed example, and show what was sent and answered.

        The notifier, not this service, since it is the notifier's way to the endpoint that is in
        question: its network, its proxy, its certificates.
        """
        parts = self._parts
        caller = await webhooks_caller(self._parts, request)
        endpoint = await own_endpoint(self._parts, caller, request)
        await parts.audit.note(caller, "endpoint.tested", endpoint.endpoint_id)
        delivery, attempt = await have_example_sent(
            endpoint, parts.events, parts.deliveries, now_unix_ms=parts.clock.unix_ms()
        )
        return json_answer(example_document(delivery, attempt))

    async def _enable(self, endpoint_id: str) -> None:
        """Lift what failures have disabled or paused: the next delivery goes at once."""
        for _ in range(_ENABLE_TRIES):
            (health,) = await self._parts.receivers.get_many([endpoint_id])
            if not health.disabled_reason and not health.is_open:
                return
            now_unix_ms = self._parts.clock.unix_ms()
            lifted = Health(
                revision=health.revision,
                recovered=now_unix_ms,
                catching_up_until=now_unix_ms + _CATCH_UP_MS,
            )
            if await self._parts.receivers.write(endpoint_id, lifted, read=health):
                return
        raise Unavailable("The endpoint is being changed by others.", retry_after_s=1)

    async def _documents(self, endpoints: Sequence[Endpoint]) -> Sequence[dict[str, object]]:
        parts = self._parts
        ids = [each.endpoint_id for each in endpoints]
        healths = await parts.receivers.get_many(ids)
        waiting = await parts.receivers.backlog_sizes(ids)
        now_unix_ms = parts.clock.unix_ms()
        return [
            endpoint_document(endpoint, health, waiting=size, now_unix_ms=now_unix_ms)
            for endpoint, health, size in zip(endpoints, healths, waiting, strict=True)
        ]

    async def _answer(self, endpoint: Endpoint) -> Response:
        (document,) = await self._documents([endpoint])
        return json_answer(document)
