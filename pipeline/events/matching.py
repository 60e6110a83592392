"""Who is told of an event: the subscribers it names, and the endpoints whose filters it passes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pipeline.deliveries.delivery import Delivery
from pipeline.deliveries.endpoints import Endpoint, Ordering
from pipeline.events.event import Event
from pipeline.ids import derived_id, unix_ms_of
from pipeline.jobs.job import Subscriber


def wants(endpoint: Endpoint, event: Event) -> bool:
    """Whether *endpoint* gets *event* without being named by it."""
    if not endpoint.enabled or event.tenant != endpoint.tenant:
        return False
    if endpoint.endpoint_id == event.about_endpoint:
        return False
    family = f"{event.type.partition('.')[0]}.*"
    if not {"*", family, event.type} & set(endpoint.event_types):
        return False
    if event.model and endpoint.models and event.model not in endpoint.models:
        return False
    # Labels are about what was found, so they say nothing of an event that is no job's.
    return not (event.model and endpoint.labels) or bool(set(endpoint.labels) & set(event.labels))


def order_of(endpoint: Endpoint, event: Event) -> str:
    """Give the word of the deliveries to *endpoint* that wait for one another, "" for none.

    A digest: a reference may hold anything, and the word becomes part of a key.
    """
    by = {Ordering.MODEL: event.model, Ordering.REFERENCE: event.reference}
    group = by.get(Ordering(endpoint.ordering), "")
    return hashlib.sha256(group.encode("utf-8", "surrogatepass")).hexdigest()[:24] if group else ""


def delivery_id_for(event: Event, endpoint_id: str) -> str:
    """Give the id of the delivery of *event* to an endpoint: the same however often it is made."""
    return derived_id("msg", unix_ms_of(event.event_id), of=f"{event.event_id}:{endpoint_id}")


def deliveries_of(
    event: Event, endpoints: Sequence[Endpoint], named: Sequence[Endpoint], *, job_id: str
) -> list[Delivery]:
    """Give the deliveries that are to be made or released for *event*: one for each endpoint.

    *endpoints* are those of the tenant that subscribe, without disabled ones; *named* those that
    the event names. A URL that a job names is not among them: the job's last move has released it.
    """
    known = {endpoint.endpoint_id: endpoint for endpoint in named}
    told: set[str] = set()
    deliveries = []
    for subscriber in event.subscribers:
        if not subscriber.endpoint_id and job_id:
            continue
        told.add(subscriber.endpoint_id)
        endpoint = known.get(subscriber.endpoint_id)
        order = order_of(endpoint, event) if endpoint and not event.once else ""
        deliveries.append(_delivery(event, subscriber, job_id=job_id, order=order))
    for endpoint in endpoints:
        if endpoint.endpoint_id in told or not wants(endpoint, event):
            continue
        subscriber = Subscriber(
            delivery_id=delivery_id_for(event, endpoint.endpoint_id),
            endpoint_id=endpoint.endpoint_id,
        )
        order = order_of(endpoint, event)
        deliveries.append(_delivery(event, subscriber, job_id=job_id, order=order))
    return deliveries


def _delivery(event: Event, subscriber: Subscriber, *, job_id: str, order: str) -> Delivery:
    return Delivery(
        delivery_id=subscriber.delivery_id,
        job_id=job_id,
        event_id=event.event_id,
        event_type=event.type,
        tenant=event.tenant,
        created_unix_ms=event.unix_ms,
        endpoint_id=subscriber.endpoint_id,
        url=subscriber.url,
        secret=subscriber.secret,
        order=order,
        once=event.once,
    )
