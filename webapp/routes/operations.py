"""Operations: recovering and replaying an endpoint's deliveries in the background."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.deliveries.endpoints import Endpoint
from pipeline.deliveries.operation import Operation, OperationKind
from pipeline.errors import NotFound
from pipeline.ids import is_id, new_id
from webapp import documentation as docs
from webapp.access import Caller
from webapp.again_fields import Recovery, Replay, parse_recovery, parse_replay, span_of
from webapp.delivery_documents import operation_document
from webapp.json_answer import json_answer
from webapp.json_body import read_json_object
from webapp.parts import Parts
from webapp.refusals import EndpointDisabled, OperationUnderWay
from webapp.routes.own_endpoint import own_endpoint, webhooks_caller


class OperationRoutes:
    """The handlers of ``/v1/operations``, and of what begins one."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        app.post("/v1/webhooks/{endpoint_id}/recover", **docs.RECOVER_WEBHOOK)(self.recover)
        app.post("/v1/webhooks/{endpoint_id}/replay", **docs.REPLAY_WEBHOOK)(self.replay)
        app.get("/v1/operations/{operation_id}", **docs.READ_OPERATION)(self.read)

    async def recover(self, request: Request) -> Response:
        """Send again what is exhausted of an endpoint, in the background."""
        caller = await webhooks_caller(self._parts, request)
        endpoint = await own_endpoint(self._parts, caller, request)
        fields = parse_recovery(await read_json_object(request, self._parts))
        return await self._begin(caller, endpoint, OperationKind.RECOVER, fields)

    async def replay(self, request: Request) -> Response:
        """Send an endpoint the events of a time, in the background."""
        caller = await webhooks_caller(self._parts, request)
        endpoint = await own_endpoint(self._parts, caller, request)
        fields = parse_replay(await read_json_object(request, self._parts))
        return await self._begin(caller, endpoint, OperationKind.REPLAY, fields)

    async def read(self, request: Request) -> Response:
        """Tell how far an operation is."""
        caller = await webhooks_caller(self._parts, request)
        operation_id: str = request.path_params["operation_id"]
        known = is_id(operation_id, "op")
        operation = await self._parts.again.get(operation_id) if known else None
        if operation is None or operation.tenant != caller.tenant:
            raise NotFound("There is no operation of this id.")
        return json_answer(operation_document(operation))

    async def _begin(
        self, caller: Caller, endpoint: Endpoint, kind: OperationKind, fields: Recovery
    ) -> Response:
        parts = self._parts
        now_unix_ms = parts.clock.unix_ms()
        from_unix_ms, until_unix_ms = span_of(fields, now_unix_ms=now_unix_ms)
        (health,) = await parts.receivers.get_many([endpoint.endpoint_id])
        if not endpoint.enabled or health.disabled_reason:
            raise EndpointDisabled
        operation = Operation(
            operation_id=new_id("op", now_unix_ms),
            kind=kind,
            tenant=caller.tenant,
            endpoint_id=endpoint.endpoint_id,
            from_unix_ms=from_unix_ms,
            until_unix_ms=until_unix_ms,
            created_unix_ms=now_unix_ms,
            only_missing=isinstance(fields, Replay) and fields.only_missing,
        )
        if under_way := await parts.again.accept(operation):
            raise OperationUnderWay(under_way)
        await parts.audit.note(caller, f"endpoint.{kind}", endpoint.endpoint_id)
        document = operation_document(operation)
        return json_answer(document, status=202, headers={"Location": document["links"]["self"]})
