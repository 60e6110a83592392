"""An example delivery on request: announced to one endpoint, made by the notifier, waited for.

The notifier makes it, since it is the notifier's way to the endpoint that is in question: its
network, its proxy, its certificates, its clock.
"""

from __future__ import annotations

import asyncio

from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.deliveries.endpoints import Endpoint
from pipeline.deliveries.store import DeliveryStore
from pipeline.errors import Unavailable
from pipeline.events.event import Event, EventType
from pipeline.events.store import EventStore
from pipeline.ids import new_id
from pipeline.jobs.job import Subscriber

#: An attempt takes 15 seconds at most unless set otherwise, and the notifier's way to it is short.
EXAMPLE_WAIT_S = 25.0
_LOOK_EVERY_S = 0.05


async def have_example_sent(
    endpoint: Endpoint, events: EventStore, deliveries: DeliveryStore, *, now_unix_ms: int
) -> tuple[Delivery, Attempt]:
    """Have the notifier send a signed example once; give its delivery and its only attempt.

    Raises Unavailable when the notifier has not sent it in time, or Redis is away.
    """
    delivery_id = new_id("msg", now_unix_ms)
    await events.announce(
        Event(
            event_id=new_id("evt", now_unix_ms),
            tenant=endpoint.tenant,
            type=EventType.ENDPOINT_TEST,
            subject=endpoint.endpoint_id,
            unix_ms=now_unix_ms,
            data={"id": endpoint.endpoint_id, "message": "This is an example."},
            subscribers=(Subscriber(delivery_id=delivery_id, endpoint_id=endpoint.endpoint_id),),
            once=True,
        )
    )
    try:
        async with asyncio.timeout(EXAMPLE_WAIT_S):
            while True:
                (delivery,) = await deliveries.get_many([delivery_id])
                if delivery is not None and delivery.state is not DeliveryState.PENDING:
                    return delivery, (await deliveries.attempts(delivery_id))[-1]
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError as exc:
        raise Unavailable("The notifier has not sent the example in time.") from exc
