"""Health, heat and failures steer a running dispatcher, and what it tells of its device."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dispatcher.device.settings import DeviceSettings
from pipeline.clock import SystemClock
from pipeline.health import HealthBoard
from pipeline.jobs.job import JobState
from pipeline.models.devices import DeviceBoard, DeviceRecord
from tests.builders_om import EMULATOR
from tests.fakes.poisonable_runtime import CRASHES, SLOW, SLOW_S
from tests.integration.dispatcher.station import Station, picture
from tests.integration.dispatcher.test_device import device_process
from tests.waiting import wait_until

#: Sets what the emulated npu-smi says from now on.
Board = Callable[..., None]


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """Put the emulated npu-smi on the path."""
    file = tmp_path / "board.toml"

    def write(**values: object) -> None:
        new = file.with_suffix(".new")
        new.write_text("".join(f"{key} = {value!r}\n" for key, value in values.items()))
        new.replace(file)

    write()
    monkeypatch.setenv("ACL_EMULATOR_CONFIG", str(file))
    monkeypatch.setenv("ACL_EMULATOR_PYTHON", sys.executable)
    monkeypatch.setenv("PATH", f"{EMULATOR / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return write


def watched(**changes: Any) -> DeviceSettings:
    """Give settings that look at the board often."""
    defaults: dict[str, Any] = {"poll_interval_s": 0.1, "warm_c": 80.0, "hot_c": 100.0}
    return DeviceSettings(**(defaults | changes))


def told(station: Station, check: Callable[[DeviceRecord], object]) -> Callable[[], Awaitable[Any]]:
    """Give a condition: the one device's record passes *check*."""

    async def condition() -> DeviceRecord | None:
        now_unix_ms = SystemClock().unix_ms()
        records = await DeviceBoard(station.redis, station.keys).all(now_unix_ms)
        return next((each for each in records if check(each)), None)

    return condition


async def reason(station: Station) -> str:
    """Give why the dispatcher says that it is not ready; empty if it is, or says nothing."""
    beats = await HealthBoard(station.redis, station.keys).all()
    return beats[0].reason if beats else ""


async def test_a_device_is_told_with_what_npu_smi_says(station: Station, board: Board) -> None:
    """Chip, health, heat, memory, driver, loaded models and load are published, and taken down."""
    board(health="Alarm", temperature_c=61.0)
    async with station.dispatcher(device=watched(busy_window_s=5.0)):
        await station.through(await station.submit(*[picture(SLOW)] * 8))
        record = await wait_until(
            told(station, lambda each: each.health == "Alarm" and each.busy_percent > 0), 20
        )
        (stopped,) = [record]

    assert (record.device, record.status, record.soc) == ("npu:0", "degraded", "310B4")
    assert (record.temperature_c, record.error_codes) == (61.0, "80E3A203")
    assert (record.driver_version, record.firmware_version) == ("23.0.rc3", "7.1.0.3.220")
    assert (record.memory_used_mb, record.memory_total_mb) == (1500, 7545)
    assert record.models == ("echo/1",)
    assert record.reason == "npu-smi says Alarm"
    assert record.duty_percent == 100
    # One batch of SLOW_S, and a load, within five seconds.
    assert 100 * SLOW_S / 5.0 <= record.busy_percent < 50
    assert await DeviceBoard(station.redis, station.keys).all(stopped.seen_unix_ms) == []


async def test_the_cpu_is_a_device_too(station: Station, board: Board) -> None:
    """Without an NPU nobody asks npu-smi, and the device is ready all the same."""
    board(health="Critical")
    async with station.dispatcher(runtime="onnx", device=watched()):
        record = await wait_until(told(station, lambda each: each.status == "ready"), 20)

    assert (record.device, record.health, record.tool) == ("cpu:0", "", "npu-smi is not there")


async def test_a_tool_that_fails_stops_nothing(station: Station, board: Board) -> None:
    """What npu-smi refuses is shown, and jobs go on: to be blind is not to be sick."""
    board(dcmi_error=-8005)
    async with station.dispatcher(device=watched()):
        record = await wait_until(told(station, lambda each: "-8005" in each.tool), 20)
        jobs = await station.submit(picture())
        await station.through(jobs)

    assert record.status == "ready"
    assert await station.states(jobs) == {"inferred": 1}


async def test_heat_slows_the_batches(station: Station, board: Board) -> None:
    """At a duty of about a quarter, four batches take about four times as long as their work."""
    station.add_model(max_size=1)
    board(temperature_c=99.0)
    async with station.dispatcher(device=watched()):
        await wait_until(told(station, lambda each: each.duty_percent < 30), 20)
        started_s = asyncio.get_running_loop().time()
        jobs = await station.submit(*[picture(SLOW)] * 4)
        await station.through(jobs)
        took_s = asyncio.get_running_loop().time() - started_s

    # Three rests of three times the work lie between the four batches.
    assert took_s > 4 * SLOW_S + 3 * 2 * SLOW_S
    assert await station.states(jobs) == {"inferred": 4}


async def test_a_sick_device_is_taken_out_and_comes_back(station: Station, board: Board) -> None:
    """Critical: readiness says why, jobs wait unclaimed; well again, it is probed and goes on."""
    async with station.dispatcher(device=watched()):
        await station.through(await station.submit(picture()))
        board(health="Critical")
        await wait_until(lambda: reason(station), 20)
        jobs = await station.submit(*[picture()] * 20)
        record = await wait_until(told(station, lambda each: each.status == "out"), 20)

        async def are_unclaimed() -> bool:
            return await station.claimed() == 0

        await wait_until(are_unclaimed, 20)

        assert "npu-smi says Critical" in await reason(station)
        assert "npu-smi says Critical" in record.reason
        assert await station.states(jobs) == {"queued": 20}

        board(health="OK")
        await station.through(jobs, timeout_s=40)
        await wait_until(told(station, lambda each: each.status == "ready"), 20)

    assert await station.states(jobs) == {"inferred": 20}


async def test_a_device_that_keeps_failing_is_taken_out_with_its_jobs_handed_back(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past its restarts no more processes are started, claims go back, and a probe brings it in."""
    away = tmp_path / "away"
    monkeypatch.setenv("GW_TEST_AWAY_FILE", str(away))
    async with station.dispatcher(device=watched(restarts_max=3)):
        await station.through(await station.submit(picture()))
        away.touch()
        device_process().kill()
        jobs = await station.submit(*[picture()] * 20)
        record = await wait_until(told(station, lambda each: each.status == "out"), 20)

        async def are_queued() -> bool:
            return await station.states(jobs) == {"queued": 20}

        await wait_until(are_queued, 20)
        restarts = record.restarts
        await asyncio.sleep(1.0)
        later = await wait_until(told(station, lambda each: each.status == "out"), 20)

        assert "was started again 3 times within 10 min" in record.reason
        assert later.restarts <= restarts + 2
        away.unlink()
        await station.through(jobs, timeout_s=60)

    assert await station.states(jobs) == {"inferred": 20}


async def test_a_poisonous_picture_takes_no_device_out(station: Station) -> None:
    """Two culprits cost restarts below the usual bound: everything else goes on."""
    jobs = await station.submit(*[picture()] * 14, picture(CRASHES), picture(CRASHES))
    async with station.dispatcher():
        records = await station.through(jobs, timeout_s=40)

    states = [record.state for record in records]
    assert states == [JobState.INFERRED] * 14 + [JobState.FAILED] * 2
