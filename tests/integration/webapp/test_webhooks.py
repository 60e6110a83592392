"""Endpoints over HTTP: registering, changing, secrets that are shown once, an example."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.access.keys import Scope
from pipeline.deliveries.endpoints import EndpointStore
from pipeline.deliveries.receivers import Health, ReceiverStore
from pipeline.deliveries.signing_secret import SigningSecret
from pipeline.protocol import Keyspace
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.integration.notifier.site import Site
from tests.integration.webapp.running import Webapp, add_key
from webapp.endpoint_documents import EndpointDocument, ExampleDocument, NewEndpointDocument

URL = "https://example.com/hooks/gw?token=abc"


async def add(webapp: Webapp, **fields: Any) -> dict[str, Any]:
    """Register an endpoint; give its document."""
    answer = await webapp.http.post("/v1/webhooks", json={"url": URL} | fields)
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    NewEndpointDocument.model_validate(document)
    assert answer.headers["location"] == f"/v1/webhooks/{document['id']}"
    return document


async def read(webapp: Webapp, endpoint_id: str) -> dict[str, Any]:
    """Read an endpoint."""
    answer = await webapp.http.get(f"/v1/webhooks/{endpoint_id}")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    EndpointDocument.model_validate(document)
    return document


async def test_an_endpoint_is_registered_with_all_it_can_have(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """What was said comes back; the secret once, values of headers and the query never."""
    added = await add(
        webapp,
        description="line 3",
        event_types=["job.succeeded", "endpoint.*"],
        models=["helmet"],
        labels=["no_helmet"],
        headers={"X-Api-Key": "hush"},
        asymmetric=True,
        format="cloudevents",
        payload="thin",
        ordering="reference",
        rate_per_s=2.5,
        concurrency=3,
    )

    secret = added.pop("secret")
    SigningSecret.parse(secret)
    shown = await read(webapp, added["id"])
    assert shown == added
    assert shown["header_names"] == ["x-api-key"]
    assert shown["url"] == "https://example.com/hooks/gw"
    assert shown["public_key"].startswith("whpk_")
    assert (shown["rate_per_s"], shown["concurrency"], shown["ordering"]) == (2.5, 3, "reference")
    assert shown["enabled"] is True
    assert shown["health"]["state"] == "healthy"
    listed = await webapp.http.get("/v1/webhooks")
    assert listed.json()["webhooks"] == [shown]
    for text in (listed.text, json.dumps(shown)):
        assert "hush" not in text
        assert "token=abc" not in text
        assert secret not in text
    (stored,) = await EndpointStore(redis, keys).subscribed("acme")
    assert (stored.url, stored.headers, stored.secret) == (URL, {"x-api-key": "hush"}, secret)


async def test_a_broker_is_registered_and_its_password_is_never_shown(webapp: Webapp) -> None:
    """How it logs in is told but for its secrets; a change replaces it, null takes it away."""
    url = "mqtts://broker.example/plant/{model}"
    added = await add(webapp, url=url, mqtt={"username": "gw", "password": "hush"})
    path = f"/v1/webhooks/{added['id']}"

    shown = await webapp.http.get(path)

    assert "hush" not in shown.text
    assert shown.json()["url"] == url
    assert shown.json()["mqtt"] == {
        "username": "gw",
        "client_id": None,
        "version": "5",
        "has_password": True,
        "has_ca": False,
    }
    changed = await webapp.http.patch(path, json={"mqtt": {"version": "3.1.1"}})
    assert changed.json()["mqtt"]["version"] == "3.1.1"
    assert changed.json()["mqtt"]["has_password"] is False
    cleared = await webapp.http.patch(path, json={"mqtt": None})
    assert cleared.json()["mqtt"]["version"] == "5"


async def test_what_is_not_named_in_a_change_stays(webapp: Webapp) -> None:
    """A change touches its own fields, and null means the default."""
    added = await add(webapp, models=["a"], rate_per_s=5, event_types=["*"])
    path = f"/v1/webhooks/{added['id']}"

    changed = await webapp.http.patch(path, json={"models": ["b"], "rate_per_s": None})

    assert changed.status_code == 200, changed.text
    document = changed.json()
    assert (document["models"], document["rate_per_s"]) == (["b"], None)
    assert (document["event_types"], document["created_at"]) == (["*"], added["created_at"])
    assert (await webapp.http.patch(path, json={"event_types": []})).status_code == 200
    assert await webapp.parts.endpoints.subscribed("acme") == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "http://127.0.0.1/"}, "url"),
        ({"url": "http://user:pw@example.com/"}, "url"),
        ({"url": URL, "colour": "red"}, "colour"),
        ({"url": URL, "event_types": ["job.exploded"]}, "event_types"),
        ({"url": URL, "event_types": ["endpoint.test"]}, "event_types"),
        ({"url": URL, "format": "xml"}, "format"),
        ({"url": URL, "ordering": "time"}, "ordering"),
        ({"url": URL, "rate_per_s": 0}, "rate_per_s"),
        ({"url": URL, "concurrency": 0}, "concurrency"),
        ({"url": URL, "models": ["a\nb"]}, "models"),
        ({"url": URL, "headers": {"Webhook-Id": "x"}}, "headers"),
        ({"url": URL, "headers": {"content-length": "3"}}, "headers"),
        ({"url": URL, "headers": {"host": "x"}}, "headers"),
        ({"url": URL, "headers": {"x": "a\r\nHost: b"}}, "headers"),
        ({"url": URL, "headers": {"x y": "a"}}, "headers"),
        ({"url": URL, "headers": {"x": "1", "X": "2"}}, "headers"),
        ({"url": "mqtt://127.0.0.1/gw"}, "url"),
        ({"url": "mqtt://broker.example/gw/#"}, "url"),
        ({"url": "mqtt://broker.example/{secret}"}, "url"),
        ({"url": "mqtt://broker.example/gw", "mqtt": {"version": "4"}}, "mqtt.version"),
        ({"url": "mqtt://broker.example/gw", "mqtt": {"colour": "red"}}, "mqtt.colour"),
        ({"url": "mqtt://broker.example/gw", "mqtt": {"username": "a\0"}}, "mqtt.username"),
        ({"url": "mqtt://broker.example/gw", "mqtt": {"ca": "no PEM"}}, "mqtt.ca"),
        ({"url": URL, "headers": {f"x-{n}": "1" for n in range(17)}}, "headers"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    webapp: Webapp, fields: dict[str, Any], field: str
) -> None:
    """The problem names the field, and no endpoint is made."""
    answer = await webapp.http.post("/v1/webhooks", json=fields)

    assert answer.status_code in (400, 422)
    assert answer.json()["field"] == field
    assert (await webapp.http.get("/v1/webhooks")).json() == {"webhooks": []}


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"[" * 60_000, "application/json", 400),
        (b" " * 70_000, "application/json", 413),
    ],
)
async def test_another_body_is_refused(
    webapp: Webapp, content: bytes, kind: str, status: int
) -> None:
    """What is no JSON object of reasonable size is told apart."""
    answer = await webapp.http.post("/v1/webhooks", content=content, headers={"content-type": kind})

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_another_tenants_endpoint_does_not_exist(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Neither to read nor to change; and a key without the scope is told which one it lacks."""
    added = await add(webapp)
    path = f"/v1/webhooks/{added['id']}"
    other = await add_key(redis, keys, tenant="globex")
    weak = await add_key(redis, keys, tenant="acme", scopes=[Scope.SUBMIT, Scope.READ_ALL])

    def as_key(token: str) -> dict[str, str]:
        return {"authorization": f"Bearer {token}"}

    requests: list[tuple[str, str]] = [
        ("GET", path),
        ("PATCH", path),
        ("DELETE", path),
        ("POST", f"{path}/rotate-secret"),
        ("POST", f"{path}/test"),
    ]
    for method, where in requests:
        answer = await webapp.http.request(method, where, json={}, headers=as_key(other))
        assert answer.status_code == 404, (method, where)
        answer = await webapp.http.request(method, where, json={}, headers=as_key(weak))
        assert answer.status_code == 403, (method, where)
        assert answer.json()["scope"] == "manage_webhooks"
    listed = await webapp.http.get("/v1/webhooks", headers=as_key(other))
    assert listed.json() == {"webhooks": []}
    assert (await webapp.http.get("/v1/webhooks/ep_%00")).status_code == 404
    assert (await read(webapp, added["id"]))["id"] == added["id"]


async def test_a_removed_endpoint_is_gone_with_its_place(webapp: Webapp) -> None:
    """It is not listed, not subscribed, and a job cannot name it."""
    added = await add(webapp, event_types=["*"])
    path = f"/v1/webhooks/{added['id']}"

    assert (await webapp.http.delete(path)).status_code == 204

    assert (await webapp.http.delete(path)).status_code == 404
    assert await webapp.parts.endpoints.subscribed("acme") == []
    lines = [line.action for line in await webapp.parts.audit.newest(2)]
    assert lines == ["endpoint.removed", "endpoint.added"]


async def test_a_rotated_secret_leaves_the_one_before_for_a_while(webapp: Webapp) -> None:
    """The new one is shown once; the old one signs until its moment, or not at all."""
    added = await add(webapp)
    path = f"/v1/webhooks/{added['id']}"

    rotated = (await webapp.http.post(f"{path}/rotate-secret")).json()

    stored = await webapp.parts.endpoints.get(added["id"])
    assert stored is not None
    now_unix_ms = webapp.parts.clock.unix_ms()
    assert stored.signing_secrets(now_unix_ms) == (rotated["secret"], added["secret"])
    assert stored.signing_secrets(now_unix_ms + 25 * 3_600_000) == (rotated["secret"],)
    assert (await read(webapp, added["id"]))["previous_secret_until"] is not None

    at_once = await webapp.http.post(f"{path}/rotate-secret", json={"overlap_s": 0})
    stored = await webapp.parts.endpoints.get(added["id"])
    assert stored is not None
    assert rotated["secret"] not in stored.signing_secrets(now_unix_ms)
    assert stored.secret == at_once.json()["secret"]
    refused = await webapp.http.post(f"{path}/rotate-secret", json={"overlap_s": 10**7})
    assert refused.json()["field"] == "overlap_s"


async def test_enabling_lifts_what_failures_have_disabled(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """The reason is shown; a PATCH with enabled true makes it whole again."""
    added = await add(webapp)
    store = ReceiverStore(redis, keys)
    sick = Health(failures=9, failing_since=5, disabled=7, disabled_reason="failing")
    assert await store.write(added["id"], sick, read=Health())

    shown = await read(webapp, added["id"])
    assert shown["enabled"] is False
    assert shown["disabled"] == {"reason": "failing", "at": "1970-01-01T00:00:00.007Z"}

    path = f"/v1/webhooks/{added['id']}"
    lifted = (await webapp.http.patch(path, json={"enabled": True})).json()
    assert (lifted["enabled"], lifted["disabled"]) == (True, None)
    off = (await webapp.http.patch(path, json={"enabled": False})).json()
    assert off["disabled"] == {"reason": "switched_off", "at": None}


async def test_an_example_shows_what_was_sent_and_answered(
    environ: dict[str, str], redis: Redis, keys: Keyspace, token: str
) -> None:
    """Signed with the endpoint's secret, past its filters; header values stay hidden."""
    from tests.integration.webapp.running import running

    async with WebhookReceiver() as receiver:
        environ["GW_EGRESS_ALLOW"] = f"127.0.0.1/32:{receiver.port}"
        site = Site(redis, keys)
        async with running(environ, token=token) as webapp, site.notifier([receiver]):
            receiver.script.append("500")
            added = await add(webapp, url=receiver.url("200"), headers={"x-key": "hush"})
            path = f"/v1/webhooks/{added['id']}/test"

            failed, good = [(await webapp.http.post(path)).json() for _ in range(2)]

        for document, status in ((failed, 500), (good, 200)):
            ExampleDocument.model_validate(document)
            assert document["delivered"] is (status == 200)
            assert document["answer"]["status"] == status
            assert json.loads(document["request"]["body"])["type"] == "endpoint.test"
            assert "hush" not in json.dumps(document)
        assert failed["answer"]["body"] == "oops"
        assert len(receiver.requests) == 2
        assert receiver.requests[0].headers["x-key"] == "hush"
        sent = receiver.requests[1]
        assert sent.body.decode() == good["request"]["body"]
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
            assert sent.headers[name] == good["request"]["headers"][name]


async def test_a_tenant_has_so_many_endpoints(
    webapp: Webapp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the limit one more is refused with a problem of its own."""
    monkeypatch.setattr("webapp.routes.webhooks.ENDPOINTS_MAX", 2)
    for _ in range(2):
        await add(webapp)

    answer: httpx.Response = await webapp.http.post("/v1/webhooks", json={"url": URL})

    assert answer.status_code == 409
    assert answer.json()["code"] == "too_many_endpoints"
