"""``GET /v1/devices``."""

from __future__ import annotations

from dataclasses import replace

from redis.asyncio import Redis

from pipeline.access.keys import Scope
from pipeline.clock import SystemClock
from pipeline.health import STALE_AFTER_MS
from pipeline.models.devices import DeviceBoard
from pipeline.protocol import Keyspace
from tests.integration.pipeline.test_devices import RECORD
from tests.integration.webapp.running import Webapp, add_key
from webapp.documentation.devices import DeviceDocument, DevicesDocument


async def test_every_device_is_shown_as_documented(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Each has its status, facts and moments; a silent one is gone."""
    now_unix_ms = SystemClock().unix_ms()
    board = DeviceBoard(redis, keys)
    await board.publish(replace(RECORD, seen_unix_ms=now_unix_ms))
    await board.publish(replace(RECORD, instance="b", seen_unix_ms=now_unix_ms - STALE_AFTER_MS))

    answer = await webapp.http.get("/v1/devices")

    assert answer.status_code == 200
    devices = DevicesDocument.model_validate(answer.json()).devices
    assert [(each.instance, each.status) for each in devices] == [("a", "degraded"), ("b", "gone")]
    assert devices[0].models == ["echo/1", "text/2"]
    assert devices[0].reason == "npu-smi says Alarm"
    assert devices[0].temperature_c == 61.0
    assert devices[0].firmware_version is None
    assert devices[0].seen_at.endswith("Z")
    assert set(answer.json()["devices"][0]) == set(DeviceDocument.model_fields)


async def test_devices_want_a_key_that_may_read(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """No key is 401; one that may only submit is 403; one that reads its own jobs will do."""
    submits = await add_key(redis, keys, tenant="acme", scopes=[Scope.SUBMIT])
    reads = await add_key(redis, keys, tenant="acme", scopes=[Scope.READ_OWN])

    async def status(authorization: str) -> int:
        answer = await webapp.http.get("/v1/devices", headers={"authorization": authorization})
        return answer.status_code

    assert await status("") == 401
    assert await status(f"Bearer {submits}") == 403
    assert await status(f"Bearer {reads}") == 200
