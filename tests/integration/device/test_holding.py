"""A device that is held: what runs goes on, and no process is started until it is released."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from dispatcher.device.errors import DeviceUnavailable
from dispatcher.device.link import Device
from dispatcher.device.probe import try_out
from dispatcher.device.state import DevicePhase
from tests.fakes.faulty_runtime import HANGS
from tests.integration.device.conftest import (
    StartDevice,
    double,
    make_batch,
    make_faulty,
    wait_until,
)


def kill(device: Device) -> None:
    """Kill the device process from outside."""
    assert device.pid is not None
    os.kill(device.pid, signal.SIGKILL)


async def test_a_held_device_goes_on_and_is_not_replaced(device: Device) -> None:
    """Its process serves; once that is killed, callers are told why, until the release."""
    device.keeper.hold("it is taken out")
    assert await double(device, 3) == [6]

    kill(device)
    await wait_until(lambda: device.state.phase is DevicePhase.LOST)
    with pytest.raises(DeviceUnavailable, match="it is taken out"):
        await double(device, 3)
    await asyncio.sleep(0.3)
    assert device.pid is None

    device.keeper.release()
    assert await double(device, 4) == [8]


async def test_who_waits_for_a_process_is_told_when_it_is_held(device: Device) -> None:
    """A call that waits for the restart ends with the reason at once."""
    kill(device)
    await wait_until(lambda: device.state.phase is not DevicePhase.READY)
    waiting = asyncio.create_task(double(device, 1))
    await asyncio.sleep(0)
    device.keeper.hold("it is taken out")

    with pytest.raises(DeviceUnavailable, match="it is taken out"):
        await waiting


async def test_restarts_are_counted_within_a_window_and_forgotten(device: Device) -> None:
    """Each loss counts for the total and for the window, which can be begun anew."""
    for _ in range(2):
        kill(device)
        await wait_until(lambda: device.state.phase is not DevicePhase.READY)
        assert await double(device, 1) == [2]

    assert device.keeper.restarts == device.keeper.restarts_within(600) == 2
    assert device.keeper.restarts_within(0.0) == 0
    device.keeper.forget_restarts()
    assert (device.keeper.restarts, device.keeper.restarts_within(600)) == (2, 0)


async def test_a_hang_is_busy_time_and_a_rest_is_not(
    start_device: StartDevice, tmp_path: Path
) -> None:
    """What the process spent inside the runtime counts, however the call ended."""
    device = await start_device(busy_window_s=10.0)
    now = asyncio.get_running_loop().time
    assert device.busy.share(now()) == 0.0

    await device.load(make_faulty(tmp_path), timeout_s=10)
    batch = await make_batch(device, HANGS)
    with pytest.raises(Exception, match="hung past"):
        await device.infer("tiny/1", batch.items, timeout_s=0.5)
    batch.release()
    share = device.busy.share(now())
    assert 0.05 <= share < 0.2

    await double(device, 1)
    await asyncio.sleep(0.2)
    assert device.busy.share(now()) < share + 0.02


async def test_a_device_is_tried_out_with_a_question(device: Device) -> None:
    """One that answers is well; one that is held and gone says why it is not."""
    device.keeper.hold("it is taken out")
    kill(device)
    await wait_until(lambda: device.state.phase is DevicePhase.LOST)

    assert "it is taken out" in await try_out(device, [], timeout_s=5)
    device.keeper.release()
    await device.unload("tiny/1", timeout_s=10)
    assert await try_out(device, [], timeout_s=5) == ""
