"""Both clients against the real server."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gw.client.errors import (
    EventsTrimmed,
    InvalidPicture,
    JobEnded,
    JobNotEnded,
    MissingScope,
    NoResult,
    NotFound,
    ResultNotReady,
    StillRunning,
    UnknownModel,
)
from pipeline.access.keys import Scope
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace
from tests.integration.gw.client.either import Either
from tests.integration.webapp.running import PICTURE, Webapp, add_key, finish
from tests.waiting import wait_until

RESULT = json.dumps(
    {
        "kind": "classes",
        "classes": [{"label": "猫", "class_id": 3, "score": 0.75}],
        "counts": {"total": 1, "by_label": {"猫": 1}, "by_region": {}},
    }
)


@pytest.fixture
def store(redis: Redis, keys: Keyspace) -> JobStore:
    """Give the store, to end jobs as the services would."""
    return JobStore(redis, keys)


async def test_a_submitted_job_has_all_that_was_said_of_it(client: Either, webapp: Webapp) -> None:
    """Options go out and come back typed, whatever characters they hold."""
    now_unix_s = webapp.parts.clock.unix_ms() / 1000
    deadline = datetime.fromtimestamp(int(now_unix_s) + 3600.25, UTC)
    job = await client.do(
        "submit",
        PICTURE,
        model="echo",
        version="1",
        priority="high",
        reference="皮带 7",
        metadata={"班": ["夜", 1, None]},
        deadline=deadline,
        preview=True,
        webhook={"url": "https://example.com/x", "secret": "whsec_" + "A" * 32},
    )

    assert (job.state, job.version, job.priority, job.reference) == (
        "queued",
        "1",
        "high",
        "皮带 7",
    )
    assert (job.metadata, job.deadline) == ({"班": ["夜", 1, None]}, deadline)
    assert job.picture.bytes == len(PICTURE)
    assert await client.do("job", job.id) == job


async def test_every_kind_of_source_is_the_same_picture(client: Either, tmp_path: Path) -> None:
    """Bytes, a path, an open file from where it stands; progress is told to the end."""
    path = tmp_path / "猫 1.jpg"
    path.write_bytes(PICTURE)
    file = io.BytesIO(b"head" + PICTURE)
    file.seek(4)
    told: list[tuple[int, int | None]] = []

    jobs = [
        await client.do("submit", source, model="echo", progress=lambda *sent: told.append(sent))
        for source in (PICTURE, bytearray(PICTURE), path, str(path), file)
    ]

    assert {job.picture.bytes for job in jobs} == {len(PICTURE)}
    assert told == [(len(PICTURE), len(PICTURE))] * 5


async def test_a_stream_without_a_length_is_sent_too(client: Either) -> None:
    """What cannot be rewound goes out in chunks."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    job = await client.do("submit", Pipe(PICTURE), model="echo")

    assert job.picture.bytes == len(PICTURE)


async def test_several_pictures_are_one_form(client: Either) -> None:
    """A job for each in their order, and large metadata goes into a form too."""
    metadata = {"text": "猫" * 3000}

    many = await client.do("submit_many", [PICTURE] * 3, model="echo", reference="三")
    one = await client.do("submit", PICTURE, model="echo", metadata=metadata)

    assert [job.reference for job in many] == ["三"] * 3
    assert one.metadata == metadata


async def test_a_waited_submission_comes_back_with_its_result(
    client: Either, store: JobStore
) -> None:
    """By the answer that waits."""
    waiting = asyncio.ensure_future(client.do("submit", PICTURE, model="echo", wait_s=20))
    (job,) = await wait_until(lambda: client.take(1, "jobs"))
    await finish(store, job.id, to=JobState.SUCCEEDED, result=RESULT)

    ended = await waiting

    assert (ended.id, ended.has_succeeded) == (job.id, True)
    assert (ended.result.classes[0].label, ended.result.classes[0].score) == ("猫", 0.75)
    assert ended.result.counts.by_label == {"猫": 1}


async def test_waiting_follows_the_stream_to_the_result(client: Either, store: JobStore) -> None:
    """Each state is seen, and the result read at the end."""
    job = await client.do("submit", PICTURE, model="echo")
    following = asyncio.ensure_future(client.take(9, "follow", job.id, 20))
    waiting = asyncio.ensure_future(client.do("wait", job.id, 20))
    await finish(store, job.id, to=JobState.SUCCEEDED, result=RESULT)

    states = [seen.state for seen in await following]

    assert states[-1] == "succeeded"
    assert (await waiting).result == await client.do("result", job.id)


async def test_waiting_ends_in_time(client: Either) -> None:
    """With the job as it was seen last."""
    job = await client.do("submit", PICTURE, model="echo")

    with pytest.raises(StillRunning) as caught:
        await client.do("wait", job.id, 0.3)

    assert caught.value.last.id == job.id
    assert (await client.do("submit", PICTURE, model="echo", wait_s=0.2)).state == "queued"


async def test_refusals_are_errors_of_their_own(client: Either, store: JobStore) -> None:
    """With the API's words, and what is allowed instead."""
    with pytest.raises(UnknownModel) as caught:
        await client.do("submit", PICTURE, model="nope")
    assert (caught.value.code, caught.value.allowed[0]) == ("unknown_model", "broken")
    with pytest.raises(InvalidPicture):
        await client.do("submit", b"no picture", model="echo")
    with pytest.raises(NotFound):
        await client.do("job", "../keys?x")

    job = await client.do("submit", PICTURE, model="echo")
    with pytest.raises(ResultNotReady):
        await client.do("result", job.id)
    with pytest.raises(JobNotEnded):
        await client.do("remove", job.id)
    await finish(store, job.id, to=JobState.FAILED, reason_code="x", reason="It broke.")
    with pytest.raises(NoResult) as gone:
        await client.do("result", job.id)
    assert gone.value.reason == "It broke."
    ended = await client.do("wait", job.id)
    assert (ended.reason.detail, ended.result) == ("It broke.", None)
    with pytest.raises(JobEnded) as late:
        await client.do("cancel", job.id)
    assert late.value.state == "failed"
    await client.do("remove", job.id)


async def test_lists_are_read_page_by_page(client: Either) -> None:
    """As many as wanted, with filters."""
    jobs = [await client.do("submit", PICTURE, model="echo", reference=f"{n}") for n in range(3)]
    canceled = await client.do("cancel", jobs[1].id)

    assert canceled.state == "canceled"
    assert [job.id for job in await client.take(9, "jobs")] == [job.id for job in jobs[::-1]]
    assert len(await client.take(9, "jobs", 2)) == 2
    found = await client.take(9, "jobs", state="canceled,failed", reference="1")
    assert [job.id for job in found] == [jobs[1].id]


async def test_events_go_on_where_they_were_left(client: Either) -> None:
    """From a cursor, and under a name that the server keeps the place of."""
    assert await client.take(0, "events", "start") == []
    cursor = (await client.do("acknowledge", "belt-7", "0-0")).cursor
    jobs = [await client.do("submit", PICTURE, model="echo") for _ in range(3)]

    events = await client.take(3, "events", "start")
    named = await client.take(2, "events", subscriber="belt-7")
    again = await client.take(2, "events", subscriber="belt-7")

    assert cursor == "0-0"
    assert [event.job.id for event in events] == [job.id for job in jobs]
    assert {event.type for event in events} == {"job.accepted"}
    assert [event.id for event in await client.take(2, "events", events[0].id)] == [
        event.id for event in events[1:]
    ]
    assert [event.id for event in named] == [event.id for event in events[:2]]
    # What was not asked past is not acknowledged.
    assert events[1].id in {event.id for event in again}
    assert [each.subscriber for each in await client.do("subscribers")] == ["belt-7"]
    await client.do("forget_subscriber", "belt-7")
    with pytest.raises(EventsTrimmed):
        await client.take(1, "events", "9999999999999-0")


async def test_models_and_devices_are_listed(client: Either) -> None:
    """And commands about models are told of."""
    models = await client.do("models")
    ready = [model.name for model in models if model.is_ready]
    command = await client.do("load_model", "echo", "2")

    assert (ready, (await client.do("model", "echo")).labels) == (["echo"], ("cat", "dog"))
    assert (command.state, command.version) == ("pending", "2")
    assert (await client.do("model_command", "echo", command.id)).id == command.id
    assert await client.do("devices") == []
    assert not (await client.do("ready")).ready


async def test_endpoints_are_made_changed_and_forgotten(client: Either) -> None:
    """The secret is in the answer that makes it."""
    made = await client.do(
        "add_webhook", "https://example.com/x", event_types=["job.*"], rate_per_s=5
    )
    changed = await client.do("change_webhook", made.id, description="Belt 7", rate_per_s=None)
    rotated = await client.do("rotate_webhook_secret", made.id, 60)

    assert made.secret.startswith("whsec_")
    assert made.secret not in repr(made)
    assert (changed.description, changed.rate_per_s, changed.secret) == ("Belt 7", None, None)
    assert rotated.secret != made.secret
    assert [each.id for each in await client.do("webhooks")] == [made.id]
    assert (await client.do("webhook", made.id)).health.state == "healthy"
    await client.do("remove_webhook", made.id)
    with pytest.raises(NotFound):
        await client.do("webhook", made.id)


async def test_keys_and_tenants_are_administered(client: Either) -> None:
    """And each act is noted."""
    key = await client.do("create_key", "belt-7", scopes=["submit"], expires_in_s=60)
    rotated = await client.do("rotate_key", key.id)
    tenant = await client.do("set_tenant", "belt-7", weight=3.0, burst=5)

    assert (key.scopes, key.tenant) == (("submit",), "belt-7")
    assert rotated.token != key.token
    assert key.token not in repr(key)
    assert (await client.do("key", key.id)).previous_secret_until is not None
    assert key.id in {each.id for each in await client.do("keys")}
    assert (tenant.weight, tenant.burst) == (3.0, 5)
    assert await client.do("tenant", "belt-7") == tenant
    assert "belt-7" in {each.tenant for each in await client.do("tenants")}
    await client.do("revoke_key", key.id)
    with pytest.raises(NotFound):
        await client.do("revoke_key", key.id)
    acts = [line.action for line in await client.do("audit")]
    assert acts == ["key.revoked", "tenant.set", "key.rotated", "key.created"]


async def test_a_key_without_a_scope_is_told_which(
    client: Either, webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """By the error's own class."""
    token = await add_key(redis, keys, tenant="acme", scopes=[Scope.SUBMIT])
    other = type(client)(f"http://127.0.0.1:{webapp.port}", token)
    try:
        with pytest.raises(MissingScope) as caught:
            await other.do("webhooks")
    finally:
        await other.close()
    assert caught.value.scope == "manage_webhooks"
