"""Deliveries over HTTP: listing, reading, sending again; operations that recover and replay."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.access.keys import Scope
from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.deliveries.endpoints import Endpoint
from pipeline.deliveries.receivers import Health
from pipeline.protocol import Keyspace
from tests.builders import make_subscriber
from tests.integration.notifier.site import Site
from tests.integration.operations.test_sending_again import fan_out, settle
from tests.integration.webapp.running import Webapp, add_key
from webapp.delivery_documents import (
    DeliveryPageDocument,
    OperationDocument,
    ReadDeliveryDocument,
)

LONG_AGO = "1970-01-01T00:00:00.001Z"


@pytest.fixture
def site(redis: Redis, keys: Keyspace) -> Site:
    """Give the notifier's surroundings."""
    return Site(redis, keys)


@pytest.fixture
async def endpoint(site: Site) -> Endpoint:
    """Register an endpoint of the caller's tenant that gets everything."""
    return await site.add_endpoint(tenant="acme", event_types=("*",))


async def exhausted(site: Site, endpoint: Endpoint) -> Delivery:
    """Make a delivery that is exhausted."""
    await site.end_job(tenant="acme")
    (delivery,) = await fan_out(site, endpoint)
    await settle(site, DeliveryState.EXHAUSTED, status=500)
    attempt = Attempt(number=1, at_unix_ms=5, duration_ms=7, status=500, answer="oops")
    await site.redis.rpush(site.keys.attempts(delivery.delivery_id), attempt.to_json_text())
    return delivery


async def listed(webapp: Webapp, **query: Any) -> dict[str, Any]:
    """List deliveries."""
    answer = await webapp.http.get("/v1/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    DeliveryPageDocument.model_validate(answer.json())
    page: dict[str, Any] = answer.json()
    return page


def ids(page: dict[str, Any]) -> list[str]:
    """Give the ids on a page."""
    return [each["id"] for each in page["deliveries"]]


async def test_a_dead_letter_is_found_read_and_sent_again(
    webapp: Webapp, site: Site, endpoint: Endpoint
) -> None:
    """It is listed with its reason, shown with its attempts, and goes out under its own id."""
    delivery = await exhausted(site, endpoint)
    path = f"/v1/deliveries/{delivery.delivery_id}"

    (dead,) = (await listed(webapp, state="exhausted"))["deliveries"]
    assert (dead["id"], dead["reason"], dead["tries"]) == (delivery.delivery_id, "500", 1)
    assert dead["subscriber"] == {"endpoint": endpoint.endpoint_id, "url": None}
    shown = (await webapp.http.get(path)).json()
    ReadDeliveryDocument.model_validate(shown)
    assert {(each["status"], each["answer"]) for each in shown["attempts"]} >= {(500, "oops")}

    sent = await webapp.http.post(f"{path}/resend")

    assert sent.status_code == 202, sent.text
    assert (sent.json()["state"], sent.json()["reason"]) == ("pending", None)
    assert await site.redis.zscore(site.keys.delivery_schedule, delivery.delivery_id) is not None
    assert ids(await listed(webapp, state="exhausted")) == []
    assert ids(await listed(webapp, state="pending")) == [delivery.delivery_id]
    again = await webapp.http.post(f"{path}/resend")
    assert (again.status_code, again.json()["code"]) == (409, "delivery_on_its_way")


async def test_deliveries_are_listed_by_what_they_are(
    webapp: Webapp, site: Site, endpoint: Endpoint
) -> None:
    """By job, endpoint, type, state and time; page by page, each once."""
    first, second = await exhausted(site, endpoint), await exhausted(site, endpoint)
    url = make_subscriber()
    await site.end_job(url, tenant="acme")
    all_of_them = {first.delivery_id, second.delivery_id, url.delivery_id}

    assert set(ids(await listed(webapp))) == all_of_them
    assert ids(await listed(webapp, job=first.job_id)) == [first.delivery_id]
    of_endpoint = await listed(webapp, endpoint=endpoint.endpoint_id)
    assert set(ids(of_endpoint)) == {first.delivery_id, second.delivery_id}
    assert set(ids(await listed(webapp, event_type="job.failed"))) == all_of_them
    assert ids(await listed(webapp, event_type="job.succeeded")) == []
    assert set(ids(await listed(webapp, since=LONG_AGO))) == all_of_them
    assert ids(await listed(webapp, until=LONG_AGO)) == []
    seen: list[str] = []
    page = await listed(webapp, limit=1)
    seen += ids(page)
    while page["next"]:
        page = await listed(webapp, limit=1, cursor=page["next"])
        seen += ids(page)
    assert sorted(seen) == sorted(all_of_them)


async def test_a_jobs_deliveries_are_those_of_subscribed_endpoints_too(
    webapp: Webapp, site: Site, endpoint: Endpoint
) -> None:
    """The list of a job has what it named and what subscribed, and nothing of another job."""
    delivery = await exhausted(site, endpoint)
    await exhausted(site, endpoint)

    answer = await webapp.http.get(f"/v1/jobs/{delivery.job_id}/deliveries")

    (shown,) = answer.json()["deliveries"]
    assert (shown["id"], shown["state"]) == (delivery.delivery_id, "exhausted")
    assert shown["subscriber"]["endpoint"] == endpoint.endpoint_id


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"cursor": "x"}, "cursor"),
        ({"state": "lost"}, "state"),
        ({"endpoint": "7"}, "endpoint"),
        ({"job": "ep_1"}, "job"),
        ({"since": "yesterday"}, "since"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_list_that_cannot_be_is_refused(
    webapp: Webapp, query: dict[str, str], field: str
) -> None:
    """The problem names the parameter."""
    answer = await webapp.http.get("/v1/deliveries", params=query)

    assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_another_tenants_deliveries_are_not_there(
    webapp: Webapp, site: Site, redis: Redis, keys: Keyspace, endpoint: Endpoint
) -> None:
    """Neither listed, nor read, nor sent, nor is its endpoint replayed; and a scope is needed."""
    delivery = await exhausted(site, endpoint)
    paths = [
        ("GET", f"/v1/deliveries/{delivery.delivery_id}"),
        ("POST", f"/v1/deliveries/{delivery.delivery_id}/resend"),
        ("POST", f"/v1/webhooks/{endpoint.endpoint_id}/replay"),
        ("GET", "/v1/operations/op_00000000000000000000000000"),
    ]
    stranger = await add_key(redis, keys, tenant="globex")
    reader = await add_key(redis, keys, tenant="acme", scopes=[Scope.READ_OWN])
    for token, status in ((stranger, 404), (reader, 403)):
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=webapp.http.base_url, headers=headers) as http:
            for method, path in paths:
                body = {"since": LONG_AGO} if path.endswith("replay") else None
                assert (await http.request(method, path, json=body)).status_code == status
            page = await http.get("/v1/deliveries")
            assert page.status_code == 403 or page.json()["deliveries"] == []


@pytest.mark.parametrize("fault", ["removed", "disabled", "job_gone"])
async def test_what_cannot_be_sent_again_says_why(
    webapp: Webapp, site: Site, endpoint: Endpoint, fault: str
) -> None:
    """Nothing is changed where nothing could arrive."""
    delivery = await exhausted(site, endpoint)
    code = "nothing_to_send"
    if fault == "removed":
        await site.endpoints.remove(endpoint.endpoint_id)
    elif fault == "disabled":
        code = "endpoint_disabled"
        gone = Health(disabled_reason="gone")
        assert await site.receivers.write(endpoint.endpoint_id, gone, read=Health())
    else:
        await site.redis.delete(site.keys.job(delivery.job_id))

    answer = await webapp.http.post(f"/v1/deliveries/{delivery.delivery_id}/resend")

    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert ids(await listed(webapp, state="exhausted")) == [delivery.delivery_id]


@pytest.mark.parametrize("kind", ["recover", "replay"])
async def test_an_operation_is_begun_and_can_be_followed(
    webapp: Webapp, endpoint: Endpoint, kind: str
) -> None:
    """It is accepted with its place; a second one is refused while it is under way."""
    path = f"/v1/webhooks/{endpoint.endpoint_id}/{kind}"

    begun = await webapp.http.post(path, json={"since": LONG_AGO})

    assert begun.status_code == 202, begun.text
    OperationDocument.model_validate(begun.json())
    assert (begun.json()["kind"], begun.json()["state"]) == (kind, "running")
    followed = await webapp.http.get(begun.headers["location"])
    assert followed.json() == begun.json()
    second = await webapp.http.post(path, json={"since": LONG_AGO})
    assert (second.status_code, second.json()["code"]) == (409, "operation_under_way")
    assert begun.json()["id"] in second.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "since"),
        ({"since": "2030-01-31"}, "since"),
        ({"since": "9000-01-31T00:00:00Z"}, "since"),
        ({"since": LONG_AGO, "until": LONG_AGO}, "since"),
        ({"since": LONG_AGO, "colour": "red"}, "colour"),
    ],
)
async def test_a_replay_that_cannot_be_is_refused(
    webapp: Webapp, endpoint: Endpoint, body: dict[str, str], field: str
) -> None:
    """The problem names the field, and no operation is begun."""
    path = f"/v1/webhooks/{endpoint.endpoint_id}/replay"

    answer = await webapp.http.post(path, json=body)

    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert (await webapp.http.post(path, json={"since": LONG_AGO})).status_code == 202
