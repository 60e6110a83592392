"""A device that goes away, or cannot load a model: nothing is lost, held for ever, or spun on."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psutil
import pytest

from dispatcher.device.arena import Arena, SharedMemory
from dispatcher.device.errors import DeviceUnavailable
from dispatcher.device.link import Device, DeviceConfig
from dispatcher.models.lifecycle import Lifecycle
from pipeline.clock import SystemClock
from pipeline.jobs.job import JobState, Priority
from tests.builders_onnx import save_mean_model
from tests.fakes.poisonable_runtime import CRASHES, HANGS, SLOW
from tests.integration.dispatcher.station import RUNTIME, Station, end, picture
from tests.waiting import wait_until


def device_process() -> psutil.Process:
    """Give the device process of the dispatcher in this process."""
    (process,) = [
        child
        for child in psutil.Process().children(recursive=True)
        if "dispatcher.device.process" in child.cmdline()
    ]
    return process


async def test_a_model_that_cannot_be_loaded_fails_its_jobs(station: Station) -> None:
    """All its jobs fail with the reason, after one try to load it; another model is not held up."""
    station.fail_loads("refuse")
    station.add_model("other")
    jobs = await station.submit(*[picture()] * 100)
    others = await station.submit(*[picture()] * 20, model="other")
    async with station.dispatcher():
        records = await station.through(jobs)
        assert {(record.state, record.reason) for record in records} == {
            (JobState.FAILED, "the model cannot be loaded: the file says so")
        }
        await station.through(others)
    assert await station.states(others) == {"inferred": 20}
    assert station.loads() == 1


async def test_a_model_whose_load_takes_the_device_down_is_given_up(station: Station) -> None:
    """After two losses its jobs fail, and the device serves the other model again."""
    station.fail_loads("crash")
    station.add_model("other")
    others = await station.submit(*[picture()] * 20, model="other")
    jobs = await station.submit(*[picture()] * 40)
    async with station.dispatcher():
        records = await station.through([*jobs, *others])
        assert [record.state for record in records] == [JobState.FAILED] * 40 + [
            JobState.INFERRED
        ] * 20
        assert "the model cannot be loaded: the device process was killed" in records[0].reason
    assert station.loads() == 2


async def test_a_load_that_somebody_killed_is_tried_again(station: Station) -> None:
    """A device process that is killed once while it loads costs no job."""
    station.fail_loads("crash once")
    jobs = await station.submit(*[picture()] * 20)
    async with station.dispatcher():
        records = await station.through(jobs)
    assert {record.state for record in records} == {JobState.INFERRED}
    assert {record.attempt for record in records} == {1}


async def test_a_model_whose_description_somebody_killed_is_not_refused(station: Station) -> None:
    """A device process that is killed once while it describes a file costs no model."""
    (station.steering / "echo" / "describe").touch()
    jobs = await station.submit(picture())
    async with station.dispatcher():
        await station.through(jobs)
    assert await station.states(jobs) == {"inferred": 1}


async def test_a_device_that_is_away_at_the_start_refuses_no_model(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost while it describes and not coming back, it ends the service: the next start may do."""
    away = tmp_path / "away"
    monkeypatch.setenv("GW_TEST_AWAY_FILE", str(away))
    device = Device(DeviceConfig(runtime=RUNTIME, input_bytes=1 << 20, output_bytes=1 << 20))
    await device.start()
    try:
        away.touch()
        (station.steering / "echo" / "describe").touch()
        with pytest.raises(DeviceUnavailable):
            await Lifecycle(station.settings(), device, SystemClock()).stock()
    finally:
        await device.stop()


async def test_a_device_that_restarts_loses_nothing(station: Station) -> None:
    """Killed from outside in the middle of the work, it comes back and every job succeeds."""
    jobs = await station.submit(*[picture(SLOW)] * 60)
    async with station.dispatcher():
        await wait_until(lambda: station.redis.xlen(station.keys.results))
        device_process().kill()
        records = await station.through(jobs)
    assert {record.state for record in records} == {JobState.INFERRED}
    assert len(await station.inferred()) == 60


async def test_a_device_that_stays_away_holds_its_jobs_and_idles(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no process starts nothing is claimed anew, nothing spins, and a stop hands all back."""
    away = tmp_path / "away"
    monkeypatch.setenv("GW_TEST_AWAY_FILE", str(away))
    async with station.dispatcher() as stop:
        await station.through(await station.submit(picture()))
        away.touch()
        device_process().kill()
        await asyncio.sleep(0.1)
        jobs = await station.submit(*[picture()] * 100)
        await asyncio.sleep(1.0)
        before_s, started_s = time.process_time(), time.monotonic()
        await asyncio.sleep(1.5)
        share = (time.process_time() - before_s) / (time.monotonic() - started_s)
        assert share < 0.25
        # Whatever was claimed in the moment of the loss is held, not handed back and forth.
        assert max(record.attempt for record in await station.records(jobs)) <= 1
        stop.set()
        await wait_until(lambda: nothing_claimed(station), timeout_s=5)
    assert await station.states(jobs) == {"queued": 100}

    away.unlink()
    async with station.dispatcher():
        records = await station.through(jobs)
    assert {record.state for record in records} == {JobState.INFERRED}


async def test_a_device_that_is_away_for_long_gives_its_jobs_back(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while its jobs wait again, for anybody, and it claims none until it is back."""
    away = tmp_path / "away"
    monkeypatch.setenv("GW_TEST_AWAY_FILE", str(away))
    monkeypatch.setattr("dispatcher.dispatch._DEVICE_AWAY_MAX_MS", 300.0)
    async with station.dispatcher():
        await station.through(await station.submit(picture()))
        jobs = await station.submit(*[picture(SLOW)] * 40)
        await wait_until(lambda: is_running(station, len(jobs)))
        away.touch()
        device_process().kill()
        await wait_until(lambda: nothing_claimed(station))
        for _ in range(20):
            await asyncio.sleep(0.05)
            assert await station.claimed() == 0
        assert set(await station.states(jobs)) <= {"inferred", "queued"}
        away.unlink()
        records = await station.through(jobs)
    assert {record.state for record in records} == {JobState.INFERRED}
    assert max(record.attempt for record in records) == 2


async def nothing_claimed(station: Station) -> bool:
    """Whether no entry is claimed."""
    return await station.claimed() == 0


async def test_a_device_that_comes_back_finds_its_jobs_ready(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs under way when it went are run when it is back, in the same attempt."""
    away = tmp_path / "away"
    monkeypatch.setenv("GW_TEST_AWAY_FILE", str(away))
    async with station.dispatcher():
        await station.through(await station.submit(picture()))
        jobs = await station.submit(*[picture(SLOW)] * 40)
        await wait_until(lambda: is_running(station, len(jobs)))
        away.touch()
        device_process().kill()
        await asyncio.sleep(1.5)
        away.unlink()
        records = await station.through(jobs)
    assert {record.state for record in records} == {JobState.INFERRED}
    assert {record.attempt for record in records} == {1}


async def is_running(station: Station, count: int) -> bool:
    """Whether some of *count* jobs are claimed."""
    return 0 < await station.claimed() < count


async def test_a_stop_with_work_under_way_leaves_no_claim(station: Station) -> None:
    """SIGTERM in the middle of 200 jobs: exit 0, some done, the rest queued, none held."""
    dispatcher = station.spawn()
    jobs = await station.submit(*[picture(SLOW)] * 200)
    await wait_until(lambda: station.redis.xlen(station.keys.results))
    started_s = time.monotonic()
    assert await asyncio.to_thread(end, dispatcher) == 0
    assert time.monotonic() - started_s < 3
    states = await station.states(jobs)
    assert set(states) == {"inferred", "queued"}
    assert await station.claimed() == 0
    assert await station.waiting() == states["queued"]
    assert sum([await station.has_picture(job) for job in jobs]) >= states["queued"]


async def test_a_stop_with_a_hung_device_hands_back_in_time(station: Station) -> None:
    """With a batch that hangs, the stop gives up on it at half the grace and hands it back."""
    dispatcher = station.spawn(GW_GRACE_S="2", GW_INFER_TIMEOUT_S="60")
    jobs = await station.submit(*[picture(HANGS)] * 4)
    await wait_until(station.loads)
    await asyncio.sleep(0.3)
    started_s = time.monotonic()
    assert await asyncio.to_thread(end, dispatcher) == 0
    assert time.monotonic() - started_s < 2
    assert await station.states(jobs) == {"queued": 4}
    assert await station.claimed() == 0


async def test_a_stop_hands_back_what_waits_for_memory(station: Station) -> None:
    """With the device hung and the arena full, pictures that wait for memory hold up no stop."""
    make_large(station)
    async with station.dispatcher(
        device_memory_mb=100_000, infer_timeout_s=60.0, grace_s=2.0
    ) as stop:
        jobs = await station.submit(*[picture(HANGS)] * 8)
        await wait_until(lambda: is_all_claimed(station, 8))
        await asyncio.sleep(0.3)
        started_s = time.monotonic()
        stop.set()
        await wait_until(lambda: nothing_claimed(station))
        assert time.monotonic() - started_s < 2
    assert await station.states(jobs) == {"queued": 8}


async def is_all_claimed(station: Station, count: int) -> bool:
    """Whether so many jobs are claimed."""
    return await station.claimed() == count


def make_large(station: Station) -> None:
    """Give the model an input of which only two have room in the shared memory."""
    card = station.models / "echo" / "model.toml"
    card.write_text(card.read_text().replace("= 8\n", "= 640\n", 2))
    save_mean_model(station.models / "echo" / "1" / "model.onnx", side_px=640)


async def test_a_stop_before_the_models_are_known_is_heard(station: Station) -> None:
    """SIGTERM while the device process is still starting ends the service at once, with 0."""
    dispatcher = station.spawn()
    await wait_until(lambda: has_child(dispatcher.pid))
    assert await asyncio.to_thread(end, dispatcher) == 0


def has_child(pid: int) -> bool:
    """Whether a process has started another."""
    return bool(psutil.Process(pid).children())


async def test_nothing_exceeds_the_bounds_while_500_wait(station: Station) -> None:
    """No more of a model and priority are claimed than two full batches."""
    jobs = await station.submit(*[picture(SLOW)] * 400)
    jobs += await station.submit(*[picture(SLOW)] * 100, priority=Priority.LOW)
    most = {Priority.NORMAL: 0, Priority.LOW: 0}
    async with station.dispatcher(claim_ahead=2):
        deadline_s = time.monotonic() + 2.5
        while time.monotonic() < deadline_s:
            for priority, count in most.items():
                most[priority] = max(count, await station.claimed(priority=priority))
            await asyncio.sleep(0.005)
        assert (await station.states(jobs))["inferred"] > 20
    assert all(8 < count <= 16 for count in most.values()), most


async def test_an_arena_smaller_than_what_is_claimed_is_waited_for(station: Station) -> None:
    """With room for two pictures and 32 claimed, all are inferred, and a stop is heard too."""
    make_large(station)
    jobs = await station.submit(*[picture(red) for red in range(32)])
    async with station.dispatcher(device_memory_mb=100_000, claim_ahead=8) as stop:
        await station.through(jobs[:8])
        stop.set()
    assert set(await station.states(jobs)) <= {"inferred", "queued"}
    async with station.dispatcher(device_memory_mb=100_000, claim_ahead=8):
        await station.through(jobs)
    assert await station.states(jobs) == {"inferred": 32}
    assert len(await station.inferred()) == 32


async def test_poison_leaves_no_memory_taken(station: Station) -> None:
    """After pictures that crash the device, all of the shared memory is free again."""
    arenas: list[Arena] = []

    class Seen(Arena):
        def __init__(self, memory: SharedMemory, start: int, size_bytes: int) -> None:
            super().__init__(memory, start, size_bytes)
            arenas.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dispatcher.device.link.Arena", Seen)
        jobs = await station.submit(*[picture(CRASHES if i % 6 == 0 else i) for i in range(12)])
        jobs += await station.submit(b"undecodable", None)
        async with station.dispatcher(infer_timeout_s=5):
            await station.through(jobs)
            assert await station.states(jobs) == {"failed": 4, "inferred": 10}
            assert len(arenas) == 2
            await wait_until(lambda: all(arena.free_bytes == arena.size_bytes for arena in arenas))
