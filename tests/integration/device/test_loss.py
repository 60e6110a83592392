"""Device processes that crash, hang, are killed or do not start."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from dispatcher.device.errors import DeviceLost, DeviceUnavailable, ModelNotLoaded
from dispatcher.device.isolation import ItemOutputs, infer_isolated
from dispatcher.device.link import Device
from dispatcher.device.state import DevicePhase
from pipeline.errors import ModelFault
from tests.fakes import faulty_runtime
from tests.fakes.faulty_runtime import CRASHES, EXITS, HANGS, RAISES, SLEEPS
from tests.integration.device.conftest import (
    StartDevice,
    double,
    make_batch,
    make_faulty,
    wait_until,
)
from tests.processes import device_processes

FAKES = "tests.fakes.faulty_runtime"


def kill(device: Device, number: int = signal.SIGKILL) -> int:
    """Send a signal to the device process from outside, and give its id."""
    assert device.pid is not None
    pid = device.pid
    os.kill(pid, number)
    return pid


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (EXITS, f"exited with status {faulty_runtime.EXIT_STATUS}"),
        (CRASHES, r"crashed \(SIGSEGV\)"),
        (HANGS, r"hung past 0\.3 s"),
    ],
)
async def test_a_lost_device_comes_back_with_its_models(
    device: Device, tmp_path: Path, poison: float, reason: str
) -> None:
    """A crash, an exit and a hang each raise DeviceLost with the reason; the next batch runs."""
    await device.load(make_faulty(tmp_path, name="other"), timeout_s=10)
    before = device.pid

    with pytest.raises(DeviceLost, match=reason):
        await double(device, 1, poison, timeout_s=0.3)

    assert await double(device, 5) == [10]
    assert device.pid != before
    assert device.state.phase is DevicePhase.READY
    assert device.state.losses_in_a_row == 0
    assert set(device.loaded) == {"tiny/1", "other/1"}
    assert device.inputs.free_bytes == device.inputs.size_bytes


@pytest.mark.parametrize(
    ("poison", "error"), [(CRASHES, DeviceLost), (HANGS, DeviceLost), (RAISES, ModelFault)]
)
async def test_a_picture_that_crashes_or_hangs_a_model_fails_alone(
    device: Device, poison: float, error: type[ModelFault]
) -> None:
    """In a batch of eight, the one poison item fails with a reason and seven have their outputs."""
    values = [1.0, 2.0, 3.0, 4.0, 5.0, poison, 7.0, 8.0]
    batch = await make_batch(device, *values)

    outcome = await infer_isolated(
        lambda items: device.infer("tiny/1", items, timeout_s=0.5), batch.items
    )

    for value, item in zip(values, outcome.items, strict=True):
        if value == poison:
            assert type(item) is error
        else:
            assert isinstance(item, ItemOutputs)
            assert item.outputs[0].item(item.item).flat[0] == 2 * value
    outcome.release()
    batch.release()
    assert device.inputs.free_bytes == device.inputs.size_bytes


async def test_a_process_killed_in_mid_batch_fails_no_item(device: Device) -> None:
    """After kill -9 from outside while a lone item runs, it is run again and has its output."""
    batch = await make_batch(device, SLEEPS)
    running = asyncio.create_task(
        infer_isolated(lambda items: device.infer("tiny/1", items, timeout_s=10), batch.items)
    )
    await asyncio.sleep(faulty_runtime.SLEEP_S / 2)

    kill(device)
    outcome = await running

    assert isinstance(outcome.items[0], ItemOutputs)
    assert outcome.runs == 2
    outcome.release()


async def test_a_batch_behind_the_lost_one_is_not_blamed(device: Device) -> None:
    """The batch that had not begun runs on the next process, and its caller notices nothing."""
    hung = asyncio.create_task(double(device, HANGS, timeout_s=0.3))
    behind = [asyncio.create_task(double(device, n, timeout_s=5)) for n in (1, 2, 3)]

    with pytest.raises(DeviceLost):
        await hung

    assert await asyncio.gather(*behind) == [[2], [4], [6]]


async def test_a_process_that_dies_idle_is_replaced_unasked(device: Device) -> None:
    """Without any call under way, a killed process is noticed and another one started."""
    before = kill(device)

    await wait_until(lambda: device.pid not in (None, before))

    assert device.state.reason == "was killed (SIGKILL: out of memory, or by hand)"
    assert await double(device, 1) == [2]


async def test_a_stopped_process_counts_as_hung(device: Device) -> None:
    """A process that the system has frozen is past its time like any other."""
    kill(device, signal.SIGSTOP)

    with pytest.raises(DeviceLost, match=r"hung past 0\.3 s"):
        await double(device, 1, timeout_s=0.3)

    assert await double(device, 1) == [2]


async def test_interrupts_are_left_to_the_supervisor(device: Device) -> None:
    """SIGINT and SIGTERM, which a terminal or a service manager sends to all, change nothing."""
    pid = kill(device, signal.SIGINT)
    kill(device, signal.SIGTERM)

    assert await double(device, 1) == [2]
    assert device.pid == pid


@pytest.mark.parametrize(("word", "reason"), [("crash", "SIGSEGV"), ("hang", "hung past")])
async def test_a_model_that_kills_the_device_while_loading_is_not_loaded_again(
    device: Device, tmp_path: Path, word: str, reason: str
) -> None:
    """A load that costs the process raises DeviceLost, and the restart does without that model."""
    with pytest.raises(DeviceLost, match=reason):
        await device.load(make_faulty(tmp_path, word, name="bad"), timeout_s=0.5)

    assert set(device.loaded) == {"tiny/1"}
    assert await double(device, 1) == [2]


@pytest.mark.parametrize("word", ["once", "once-then-hang"])
async def test_a_model_that_does_not_load_again_is_dropped(
    device: Device, tmp_path: Path, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    """After a restart, a model that is now refused or hangs is let go, and told; others stay."""
    version = make_faulty(tmp_path, word, name="fickle")
    await device.load(version, timeout_s=0.5)
    batch = await make_batch(device, 1)

    with caplog.at_level(logging.ERROR):
        before = kill(device)
        await wait_until(lambda: device.pid not in (None, before))

    assert set(device.loaded) == {"tiny/1"}
    with pytest.raises(ModelNotLoaded):
        await device.infer("fickle/1", batch.items, timeout_s=5)
    assert await double(device, 1) == [2]
    dropped = [record for record in caplog.records if record.message == "device.model_dropped"]
    assert [record.__dict__["model"] for record in dropped] == ["fickle/1"]


@pytest.mark.parametrize(
    ("runtime", "reason"),
    [
        (f"{FAKES}:BrokenRuntime", "OSError: no driver on this machine"),
        (f"{FAKES}:DyingRuntime", "exited with status 3"),
        (f"{FAKES}:StuckRuntime", r"hung past 1\.5 s"),
        (f"{FAKES}:AbsentRuntime", "is not available here"),
        ("cuda", 'there is no runtime "cuda"'),
    ],
)
async def test_a_device_that_does_not_start_says_why(
    start_device: StartDevice, runtime: str, reason: str
) -> None:
    """A runtime that cannot be made is told with its reason, and no process is left."""
    with pytest.raises(DeviceUnavailable, match=reason):
        await start_device(runtime, start_timeout_s=1.5)

    assert device_processes() == []


async def test_a_device_that_does_not_come_back_blames_nobody(
    start_device: StartDevice, tmp_path: Path
) -> None:
    """Once a restart has failed, callers get DeviceUnavailable; when one succeeds, they go on."""
    word = tmp_path / "mood"
    word.write_text("well")
    os.environ["GW_TEST_MOOD_FILE"] = str(word)
    try:
        device = await start_device(f"{FAKES}:MoodyRuntime")
        await device.load(make_faulty(tmp_path), timeout_s=10)
        word.write_text("ill")
        kill(device)
        await wait_until(lambda: device.pid is None)

        with pytest.raises(DeviceUnavailable, match="OSError: not in the mood"):
            await double(device, 1)
        assert device.state.phase in (DevicePhase.LOST, DevicePhase.STARTING)
        await wait_until(lambda: device.state.losses_in_a_row >= 3)

        word.write_text("well")
        await wait_until(lambda: device.state.phase is DevicePhase.READY)
        assert await double(device, 1) == [2]
        assert device.state.losses_in_a_row == 0
    finally:
        del os.environ["GW_TEST_MOOD_FILE"]


async def test_stopping_ends_the_process_and_who_waits(device: Device) -> None:
    """Stopping with batches under way fails them as unavailable, at once, and blames no item."""
    assert device.pid is not None
    process = psutil.Process(device.pid)
    waiting = [asyncio.create_task(double(device, HANGS, timeout_s=60)) for _ in range(4)]
    await asyncio.sleep(0.05)

    started_s = time.monotonic()
    await device.stop()

    assert time.monotonic() - started_s < 2
    for ended in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(ended, DeviceUnavailable)
    assert not process.is_running()
    assert device.state.phase is DevicePhase.STOPPED
    with pytest.raises(DeviceUnavailable, match="is stopped"):
        await device.health(timeout_s=1)


async def test_stopping_while_restarting_leaves_no_process(device: Device) -> None:
    """A device that is stopped before its next process is ready leaves none behind."""
    kill(device)
    await wait_until(lambda: device.state.phase is DevicePhase.STARTING)

    await device.stop()

    assert device_processes() == []


async def test_an_idle_process_leaves_by_itself(device: Device) -> None:
    """An orderly stop lets the process run to its end, so that its runtime can give back."""
    assert device.pid is not None
    process = psutil.Process(device.pid)

    started_s = time.monotonic()
    await device.stop()

    assert time.monotonic() - started_s < 1.0
    assert not process.is_running()
    assert device.state.reason == ""
