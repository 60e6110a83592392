"""A dispatcher that cannot have its device yet: it lives, says why, and tries again."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.clock import SystemClock
from pipeline.health import HealthBoard
from pipeline.models.devices import DeviceBoard
from tests.integration.dispatcher.station import Station, picture
from tests.waiting import wait_until


async def unready_reason(station: Station, words: str) -> str:
    """Give the reason of the one heartbeat if it has *words*."""
    beats = await HealthBoard(station.redis, station.keys).all()
    return next((beat.reason for beat in beats if words in beat.reason), "")


async def test_a_device_that_is_away_at_the_start_is_waited_for(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heartbeat says why, the device is listed as lost, and once it is there jobs are done."""
    away = tmp_path / "away"
    away.touch()
    monkeypatch.setenv("GW_TEST_AWAY_FILE", str(away))
    jobs = await station.submit(picture())
    async with station.dispatcher():
        reason = await wait_until(lambda: unready_reason(station, "the device is away"), 20)
        board = DeviceBoard(station.redis, station.keys)
        (record,) = await wait_until(lambda: board.all(SystemClock().unix_ms()), 20)
        assert reason.startswith("the device cannot be used: ")
        assert record.status == "lost"
        assert await station.states(jobs) == {"queued": 1}

        away.unlink()
        await station.through(jobs, timeout_s=30)

    assert await station.states(jobs) == {"inferred": 1}


async def test_an_npu_that_is_not_there_is_told_by_what_is_missing(station: Station) -> None:
    """With the NPU's runtime the reason names device nodes and mounts, before ACL's own words."""
    async with station.dispatcher(runtime="acl"):
        reason = await wait_until(lambda: unready_reason(station, "/dev/davinci0"), 30)

    assert "/usr/local/Ascend/driver/lib64" in reason
    assert 'runtime "acl" is not available here' in reason


async def test_it_stops_while_its_device_is_away(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop is not held up, and takes heartbeat and device down."""
    away = tmp_path / "away"
    away.touch()
    monkeypatch.setenv("GW_TEST_AWAY_FILE", str(away))
    async with station.dispatcher():
        await wait_until(lambda: unready_reason(station, "the device is away"), 20)

    assert await HealthBoard(station.redis, station.keys).all() == []
    assert await DeviceBoard(station.redis, station.keys).all(SystemClock().unix_ms()) == []
