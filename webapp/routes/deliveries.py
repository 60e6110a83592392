"""Deliveries: listing them, reading one with its attempts, sending one again."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.deliveries.delivery import Delivery
from pipeline.deliveries.operation_store import Sent
from pipeline.errors import NotFound
from pipeline.ids import is_id
from webapp import documentation as docs
from webapp.access import Caller
from webapp.delivery_documents import listed_delivery, read_delivery
from webapp.delivery_listing import DeliveryPage, WantedDeliveries, read_deliveries
from webapp.json_answer import json_answer
from webapp.parts import Parts
from webapp.refusals import DeliveryOnItsWay, EndpointDisabled, NothingToSend
from webapp.routes.own_endpoint import webhooks_caller


class DeliveryRoutes:
    """The handlers of ``/v1/deliveries``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        app.get("/v1/deliveries", **docs.LIST_DELIVERIES)(self.list)
        app.get("/v1/deliveries/{delivery_id}", **docs.READ_DELIVERY)(self.read)
        app.post("/v1/deliveries/{delivery_id}/resend", **docs.RESEND_DELIVERY)(self.resend)

    async def list(self, request: Request) -> Response:
        """Give one page of the tenant's deliveries, newest first."""
        caller = await webhooks_caller(self._parts, request)
        wanted = WantedDeliveries.parse(request.scope["query_string"])
        page = await self._page(caller, wanted)
        documents = [listed_delivery(each) for each in page.deliveries]
        return json_answer({"deliveries": documents, "next": page.cursor or None})

    async def read(self, request: Request) -> Response:
        """Give a delivery with its attempts."""
        delivery = await self._own(await webhooks_caller(self._parts, request), request)
        return json_answer(await self._document(delivery))

    async def resend(self, request: Request) -> Response:
        """Send an ended delivery again, under its own id, with a schedule that begins anew."""
        parts = self._parts
        caller = await webhooks_caller(parts, request)
        delivery = await self._own(caller, request)
        await self._check_receiver(delivery)
        sent = await parts.again.send_one(delivery, now_unix_ms=parts.clock.unix_ms())
        if sent is Sent.OTHER_STATE:
            raise DeliveryOnItsWay
        if sent is Sent.GONE:
            raise NothingToSend("What it tells of is no longer kept.")
        await parts.audit.note(caller, "delivery.resent", delivery.delivery_id)
        document = await self._document(await self._own(caller, request))
        return json_answer(document, status=202)

    async def _page(self, caller: Caller, wanted: WantedDeliveries) -> DeliveryPage:
        if wanted.job_id:
            job = await self._parts.store.get(wanted.job_id)
            if job is None or job.tenant != caller.tenant or not job.finished_unix_ms:
                return DeliveryPage(deliveries=(), cursor="")
            wanted = wanted.at_moment(job.finished_unix_ms)
        index, store = self._parts.delivery_index, self._parts.deliveries
        return await read_deliveries(index, store, caller.tenant, wanted)

    async def _check_receiver(self, delivery: Delivery) -> None:
        if not delivery.endpoint_id:
            return
        endpoint = await self._parts.endpoints.get(delivery.endpoint_id)
        if endpoint is None:
            raise NothingToSend("Its endpoint is removed.")
        (health,) = await self._parts.receivers.get_many([delivery.endpoint_id])
        if not endpoint.enabled or health.disabled_reason:
            raise EndpointDisabled

    async def _own(self, caller: Caller, request: Request) -> Delivery:
        """Give the delivery that the path names; raises NotFound unless it is the tenant's."""
        delivery_id: str = request.path_params["delivery_id"]
        if is_id(delivery_id, "msg"):
            (delivery,) = await self._parts.deliveries.get_many([delivery_id])
            if delivery is not None and delivery.tenant == caller.tenant:
                return delivery
        raise NotFound("There is no delivery of this id.")

    async def _document(self, delivery: Delivery) -> dict[str, Any]:
        return read_delivery(delivery, await self._parts.deliveries.attempts(delivery.delivery_id))
