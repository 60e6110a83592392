"""Deliveries to MQTT brokers: a real Mosquitto, with the states and retries of any delivery."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import aiomqtt
import pytest

from egress.answer import Fault, FaultKind
from egress.client import EgressClient
from egress.policy import EgressPolicy
from notifier.brokers import Brokers, Publication
from notifier.signing import verify
from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.deliveries.index import DeliveryIndex, Times, id_at
from pipeline.deliveries.signing_secret import SigningSecret
from tests.builders import make_subscriber
from tests.fakes.mosquitto import Mosquitto, mosquitto_binary, subscriber
from tests.integration.egress.conftest import ScriptedResolver
from tests.integration.notifier.site import SECRET, Site
from tests.waiting import wait_until


async def ended(site: Site) -> Sequence[Delivery]:
    """Wait until nothing is on its way; give all deliveries, the oldest first."""
    index = DeliveryIndex(site.redis, site.keys)

    async def over() -> list[Delivery] | None:
        places = await index.places("default", Times(), limit=100)
        records = await site.deliveries.get_many([id_at(place) for place in reversed(places)])
        found = [each for each in records if each is not None]
        is_over = found and all(each.state is not DeliveryState.PENDING for each in found)
        return found if is_over else None

    deliveries: list[Delivery] | None = await wait_until(over, timeout_s=30)
    assert deliveries is not None
    return deliveries


async def last_attempt(site: Site, delivery: Delivery) -> Attempt:
    """Give the last attempt at a delivery."""
    return (await site.deliveries.attempts(delivery.delivery_id))[-1]


def user_properties(message: aiomqtt.Message) -> dict[str, str]:
    """Give the user properties of a message of version 5."""
    return dict(getattr(message.properties, "UserProperty", ()))


async def test_an_event_is_published_to_its_topic(site: Site, tmp_path: Path) -> None:
    """The same JSON as over HTTP, signed in user properties, not retained, acknowledged."""
    async with Mosquitto(tmp_path) as broker, subscriber(broker.port) as heard:
        await site.add_endpoint(
            url=f"mqtt://127.0.0.1:{broker.port}/plant/{{tenant}}/{{model}}/{{event_type}}",
            headers={"x-line": "3"},
        )
        async with site.notifier([broker], attempt_timeout_s=5.0):
            job = await site.end_job(model="helmet")
            (message,) = await heard.wait_for(1)
            (delivery,) = await ended(site)

    assert str(message.topic) == "plant/default/helmet/job.failed"
    assert (message.qos, message.retain) == (1, False)
    assert isinstance(message.payload, bytes)
    assert json.loads(message.payload)["data"]["id"] == job.job_id
    properties = user_properties(message)
    assert properties["webhook-id"] == delivery.delivery_id
    assert (properties["content-type"], properties["x-line"]) == ("application/json", "3")
    now_unix_s = float(properties["webhook-timestamp"])
    verify([SigningSecret.parse(SECRET)], properties, message.payload, now_unix_s=now_unix_s)
    assert delivery.state is DeliveryState.DELIVERED
    attempt = await last_attempt(site, delivery)
    assert (attempt.status, attempt.answer) == (200, "PUBACK")


async def test_one_connection_carries_all_and_ends_clean(site: Site, tmp_path: Path) -> None:
    """Many events make one connection; version 3.1.1 has no properties; nothing is left open."""
    async with Mosquitto(tmp_path, "allow_anonymous true", "log_type all") as broker:
        await site.add_endpoint(
            url=f"mqtt://127.0.0.1:{broker.port}/gw",
            mqtt={"version": "3.1.1", "client_id": "belt-7"},
        )
        async with subscriber(broker.port) as heard:
            async with site.notifier([broker], attempt_timeout_s=5.0):
                jobs = [await site.end_job() for _ in range(20)]
                await heard.wait_for(20)
                deliveries = await ended(site)
            told = [json.loads(each.payload)["data"]["id"] for each in heard.messages]

        assert sorted(told) == sorted(job.job_id for job in jobs)
        assert all(not user_properties(each) for each in heard.messages)
        assert {each.state for each in deliveries} == {DeliveryState.DELIVERED}
        log = tmp_path / "mosquitto.log"
        await wait_until(lambda: "Received DISCONNECT from belt-7" in log.read_text())
        assert log.read_text().count("as belt-7") == 1


async def test_a_broker_that_is_down_and_back_loses_nothing(site: Site, tmp_path: Path) -> None:
    """What happened meanwhile is tried again, and arrives once it listens."""
    async with (
        Mosquitto(tmp_path) as broker,
        site.notifier([broker], retry_schedule="1s 1s 1s 1s 1s 1s 1s 1s", attempt_timeout_s=5.0),
    ):
        await site.add_endpoint(url=f"mqtt://127.0.0.1:{broker.port}/gw")
        async with subscriber(broker.port) as heard:
            first = await site.end_job()
            await heard.wait_for(1)
        broker.kill()
        missed = [await site.end_job() for _ in range(3)]

        async def failed_once() -> bool:
            deliveries = await _records(site)
            tried = [each for each in deliveries if each.job_id != first.job_id]
            return len(tried) == 3 and all(each.attempts for each in tried)

        await wait_until(failed_once, timeout_s=20)
        await broker.start()
        async with subscriber(broker.port) as heard:
            deliveries = await ended(site)
            # What was published before this subscriber came is not heard, but acknowledged.
            assert {each.state for each in deliveries} == {DeliveryState.DELIVERED}

        assert {each.job_id for each in deliveries} == {first.job_id, *(m.job_id for m in missed)}
        for each in deliveries:
            attempts = await site.deliveries.attempts(each.delivery_id)
            assert attempts[-1].answer == "PUBACK"
            assert {attempt.error for attempt in attempts[:-1]} <= {"connect", "reset"}


async def _records(site: Site) -> list[Delivery]:
    places = await DeliveryIndex(site.redis, site.keys).places("default", Times(), limit=100)
    records = await site.deliveries.get_many([id_at(place) for place in places])
    return [each for each in records if each is not None]


@pytest.mark.parametrize(
    ("login", "error"),
    [
        ({"username": "gw", "password": "right"}, ""),
        ({"username": "gw", "password": "wrong"}, "refused"),
        ({"username": "reader", "password": "right"}, "refused"),
        ({"username": "reader", "password": "right", "version": "3.1.1"}, ""),
    ],
)
async def test_a_broker_says_who_may_publish(
    site: Site, tmp_path: Path, login: dict[str, str], error: str
) -> None:
    """A wrong password and a topic that is not allowed are failed attempts; 3.1.1 cannot tell."""
    users = tmp_path / "users"
    await asyncio.to_thread(_write_users, users)
    (tmp_path / "acl").write_text("user gw\ntopic readwrite #\nuser reader\ntopic read #\n")
    settings = ("allow_anonymous false", f"password_file {users}", f"acl_file {tmp_path}/acl")
    async with (
        Mosquitto(tmp_path, *settings) as broker,
        site.notifier([broker], retry_schedule="", attempt_timeout_s=5.0),
    ):
        await site.add_endpoint(url=f"mqtt://127.0.0.1:{broker.port}/gw", mqtt=login)
        await site.end_job()

        (delivery,) = await ended(site)

        state = DeliveryState.EXHAUSTED if error else DeliveryState.DELIVERED
        assert (delivery.state, delivery.reason) == (state, error)
        attempt = await last_attempt(site, delivery)
        assert "right" not in attempt.answer


def _write_users(users: Path) -> None:
    mosquitto_binary()
    for number, name in enumerate(("gw", "reader")):
        command = ["mosquitto_passwd", "-b", *([] if number else ["-c"]), str(users), name, "right"]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a fresh key and a self-signed certificate for broker.example."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=broker", "-addext", "subjectAltName=DNS:broker.example"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(
    ("host", "is_trusted", "kind"),
    [
        ("broker.example", True, None),
        ("other.example", True, FaultKind.TLS),
        ("broker.example", False, FaultKind.TLS),
    ],
)
async def test_a_broker_is_proven_by_its_name(
    site: Site,
    tmp_path: Path,
    certificate: Path,
    *,
    host: str,
    is_trusted: bool,
    kind: FaultKind | None,
) -> None:
    """The URL's name is verified against the endpoint's authority, though an address is dialled."""
    files = (f"certfile {certificate}/cert.pem", f"keyfile {certificate}/key.pem")
    authority = (certificate / "cert.pem").read_text() if is_trusted else ""
    async with Mosquitto(tmp_path, "allow_anonymous true", *files) as broker:
        client = EgressClient(
            EgressPolicy.parse(f"127.0.0.1/32:{broker.port}"),
            resolver=ScriptedResolver(["127.0.0.1"]),
        )
        brokers = Brokers(client)
        endpoint = await site.add_endpoint(
            url=f"mqtts://{host}:{broker.port}/gw", mqtt={"ca": authority} if authority else {}
        )

        outcome = await brokers.publish(
            endpoint, Publication(topic="gw", body=b"{}"), deadline_s=10.0
        )

        await brokers.aclose()
        await client.aclose()
        assert (outcome.kind if isinstance(outcome, Fault) else None) is kind


async def test_a_broker_that_is_not_opened_is_never_dialled(site: Site, tmp_path: Path) -> None:
    """The egress policy judges brokers as it judges receivers."""
    async with Mosquitto(tmp_path, "allow_anonymous true", "log_type all") as broker:
        await site.add_endpoint(url=f"mqtt://127.0.0.1:{broker.port}/gw")
        async with site.notifier([]):
            await site.end_job()
            (delivery,) = await ended(site)
    assert (delivery.state, delivery.reason) == (DeliveryState.EXHAUSTED, "target_not_allowed")
    assert "as gw-" not in (tmp_path / "mosquitto.log").read_text()


async def test_a_jobs_own_url_is_no_broker(site: Site) -> None:
    """Only an endpoint can log in at one."""
    own = make_subscriber(url="mqtt://127.0.0.1:1883/gw")
    async with site.notifier([]):
        await site.end_job(own)
        assert (await site.ended(own)).reason == "target_not_allowed"
