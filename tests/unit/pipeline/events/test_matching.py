"""Who is told of an event, and which deliveries wait for one another."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.deliveries.endpoints import Endpoint, Ordering
from pipeline.events.event import Event
from pipeline.events.matching import deliveries_of, delivery_id_for, order_of, wants
from pipeline.ids import is_id
from pipeline.jobs.job import Subscriber
from tests.builders import make_id


def make_endpoint(**changes: Any) -> Endpoint:
    """Make an endpoint of the tenant ``acme`` that gets the ends of jobs."""
    defaults: dict[str, Any] = {
        "endpoint_id": make_id("ep"),
        "tenant": "acme",
        "url": "https://example.com/hook",
        "description": "",
        "created_unix_ms": 1,
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "event_types": ("job.*",),
    }
    return Endpoint(**(defaults | changes))


def make_event(**changes: Any) -> Event:
    """Make the event of a job of ``helmet`` in which ``no_helmet`` was found."""
    defaults: dict[str, Any] = {
        "event_id": make_id("evt"),
        "tenant": "acme",
        "type": "job.succeeded",
        "subject": make_id(),
        "unix_ms": 1,
        "data": {},
        "model": "helmet",
        "reference": "gate-1",
        "labels": ("no_helmet", "vest"),
    }
    return Event(**(defaults | changes))


@pytest.mark.parametrize(
    ("changes", "is_wanted"),
    [
        ({}, True),
        ({"event_types": ("*",)}, True),
        ({"event_types": ("job.succeeded",)}, True),
        ({"event_types": ("job.failed", "batch.*")}, False),
        ({"event_types": ()}, False),
        ({"models": ("helmet", "plate")}, True),
        ({"models": ("plate",)}, False),
        ({"labels": ("no_helmet",)}, True),
        ({"labels": ("helmet",)}, False),
        ({"models": ("helmet",), "labels": ("fire",)}, False),
        ({"enabled": False}, False),
        ({"tenant": "globex"}, False),
    ],
)
def test_an_endpoint_gets_what_passes_all_its_filters(
    changes: dict[str, Any], is_wanted: bool
) -> None:
    """Type, model and label all have to fit; another tenant's event never does."""
    assert wants(make_endpoint(**changes), make_event()) is is_wanted


def test_filters_of_jobs_say_nothing_of_other_events() -> None:
    """An endpoint for one model still hears that a batch is complete."""
    endpoint = make_endpoint(event_types=("*",), models=("plate",), labels=("fire",))

    assert wants(endpoint, make_event(type="batch.completed", model="", labels=()))


def test_an_endpoint_is_not_told_of_itself() -> None:
    """That it fails is for others to hear."""
    endpoint = make_endpoint(event_types=("*",))
    event = make_event(type="endpoint.failing", model="", about_endpoint=endpoint.endpoint_id)

    assert not wants(endpoint, event)
    assert wants(make_endpoint(event_types=("*",)), event)


def test_each_endpoint_has_one_delivery_of_an_event() -> None:
    """Named and subscribed at once makes one, under the id that the job fixed."""
    both, subscribed, other = make_endpoint(), make_endpoint(), make_endpoint(models=("plate",))
    named = Subscriber(delivery_id=make_id("msg"), endpoint_id=both.endpoint_id)
    event = make_event(subscribers=(named,))

    made = deliveries_of(event, [both, subscribed, other], [both], job_id=event.subject)

    ids = {each.endpoint_id: each.delivery_id for each in made}
    assert ids == {
        both.endpoint_id: named.delivery_id,
        subscribed.endpoint_id: delivery_id_for(event, subscribed.endpoint_id),
    }


def test_the_same_event_makes_the_same_ids() -> None:
    """Fanned out again, nothing new would be made; another event or endpoint has another id."""
    event, endpoint_id = make_event(), make_id("ep")
    delivery_id = delivery_id_for(event, endpoint_id)

    assert delivery_id == delivery_id_for(event, endpoint_id)
    assert is_id(delivery_id, "msg")
    assert delivery_id != delivery_id_for(event, make_id("ep"))
    assert delivery_id != delivery_id_for(make_event(), endpoint_id)


def test_a_jobs_own_url_is_not_fanned_out() -> None:
    """The script that ended the job has released it already; a batch's is still to be made."""
    subscriber = Subscriber(delivery_id=make_id("msg"), url="http://127.0.0.1/", secret="s")
    event = make_event(subscribers=(subscriber,))

    assert deliveries_of(event, [], [], job_id=event.subject) == []
    (made,) = deliveries_of(event, [], [], job_id="")
    assert (made.url, made.delivery_id) == (subscriber.url, subscriber.delivery_id)


def test_deliveries_wait_for_those_of_the_same_word() -> None:
    """By model or by reference, as the endpoint asks; without a word nothing waits."""
    by_model = make_endpoint(ordering=Ordering.MODEL)
    by_reference = make_endpoint(ordering=Ordering.REFERENCE)

    assert order_of(make_endpoint(), make_event()) == ""
    assert order_of(by_model, make_event()) == order_of(by_model, make_event(reference="x"))
    assert order_of(by_model, make_event()) != order_of(by_model, make_event(model="plate"))
    assert order_of(by_reference, make_event()) == order_of(by_reference, make_event(model="p"))
    assert order_of(by_reference, make_event(reference="")) == ""
