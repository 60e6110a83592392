"""Batches through a real device process."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import numpy as np
import psutil
import pytest

from dispatcher.device.errors import ModelNotLoaded
from dispatcher.device.link import Device
from dispatcher.device.state import DevicePhase
from pipeline.errors import ContractBroken, InvalidSettings, ModelFault
from tests.builders_onnx import make_card, save_identity_model, save_mean_model
from tests.fakes import faulty_runtime
from tests.integration.device.conftest import (
    ITEM_VALUES,
    StartDevice,
    double,
    first_values,
    make_batch,
    make_faulty,
    make_version,
    wait_until,
)


async def test_a_batch_comes_back_in_order(device: Device) -> None:
    """Each item's output stands at its place, and the time on the device is told."""
    batch = await make_batch(device, 1, 2, 3)

    with await device.infer("tiny/1", batch.items, timeout_s=10) as inference:
        assert [output.name for output in inference.outputs] == ["double", "pid"]
        assert first_values(inference) == [2, 4, 6]
        assert set(inference.outputs[1].values) == {device.pid}
        assert 0 < inference.device_ms < 1000


async def test_items_that_lie_apart_are_gathered(device: Device) -> None:
    """Items in any order and at any distance make a batch in the order given."""
    blocks = [await device.inputs.allocate(ITEM_VALUES * 4 + 100) for _ in range(4)]
    items = [block.view((ITEM_VALUES,), np.float32) for block in blocks]
    for position, item in enumerate(items):
        item[:] = position

    for order in ([3, 1, 2], [0, 1, 2, 3], [2]):
        with await device.infer("tiny/1", [items[i] for i in order], timeout_s=10) as inference:
            assert first_values(inference) == [2 * i for i in order]


async def test_onnx_models_run_in_the_device_process(
    start_device: StartDevice, tmp_path: Path
) -> None:
    """The real runtime loads, describes, runs and unloads two models side by side."""
    device = await start_device("onnx")
    mean = make_version(save_mean_model(tmp_path / "mean.onnx", batch=2), name="mean")
    same = make_version(save_identity_model(tmp_path / "same.onnx"), name="same")
    description = await device.describe(make_card(), mean.path, timeout_s=10)
    assert description.batch_sizes == (2,)
    for version in (mean, same):
        await device.load(version, timeout_s=10)
    assert set(device.loaded) == {"mean/1", "same/1"}
    block = await device.inputs.allocate(5 * 3 * 4 * 4 * 4)
    items = block.view((5, 3, 4, 4), np.float32)
    items[:] = np.random.default_rng(3).random(items.shape, np.float32)

    with await device.infer("mean/1", list(items), timeout_s=10) as inference:
        np.testing.assert_allclose(inference.outputs[0].values, items.mean(axis=(2, 3)), rtol=1e-5)
    with await device.infer("same/1", list(items[1:4]), timeout_s=10) as inference:
        np.testing.assert_array_equal(inference.outputs[1].values, -items[1:4])

    await device.unload("mean/1", timeout_s=10)
    with pytest.raises(ModelNotLoaded, match="mean/1 is not loaded"):
        await device.infer("mean/1", list(items), timeout_s=10)
    assert set(device.loaded) == {"same/1"}


async def test_outputs_larger_than_expected_still_arrive(device: Device) -> None:
    """A batch whose outputs outgrow the room given is run again with enough."""
    batch = await make_batch(device, faulty_runtime.GIVES_MUCH, 1)

    for _ in range(2):
        with await device.infer("tiny/1", batch.items, timeout_s=10) as inference:
            much = inference.outputs[2].values
            assert much.shape == (2, faulty_runtime.MUCH)
            assert (much == 1).all()


async def test_outputs_that_can_never_fit_fail_the_batch(device: Device) -> None:
    """Outputs larger than the memory for outputs fail with their size; the device goes on."""
    batch = await make_batch(device, faulty_runtime.GIVES_MUCH, 1, 2, 3, 4)

    with pytest.raises(ModelFault, match=r"the outputs of the batch take 120\d{4} bytes"):
        await device.infer("tiny/1", batch.items, timeout_s=10)

    assert await double(device, 1, 2, 3) == [2, 4, 6]


async def test_an_error_of_the_runtime_costs_no_process(device: Device) -> None:
    """An exception in the runtime fails the batch with its text, and the process stays."""
    pid = device.pid

    with pytest.raises(ModelFault, match="ValueError: a value that the model cannot take"):
        await double(device, 1, faulty_runtime.RAISES)
    with pytest.raises(ModelFault, match=r"'double' the shape \(1, 16\) for a batch of 2"):
        await double(device, 1, faulty_runtime.DROPS_AN_ITEM)

    assert await double(device, 3) == [6]
    assert device.pid == pid


async def test_a_model_that_is_refused_is_not_held(device: Device, tmp_path: Path) -> None:
    """A refusal while loading is told with its reason, and the other models stay usable."""
    with pytest.raises(InvalidSettings, match="the file says so"):
        await device.load(make_faulty(tmp_path, "refuse", name="bad"), timeout_s=10)

    assert set(device.loaded) == {"tiny/1"}
    assert await double(device, 3) == [6]


async def test_items_must_be_alike_and_in_the_devices_memory(device: Device) -> None:
    """A batch of nothing, of two shapes, or of memory from elsewhere is a defect."""
    batch = await make_batch(device, 1, 2)
    foreign = np.zeros(ITEM_VALUES, np.float32)

    for items in ([], [batch.items[0], batch.items[1][:8]], [batch.items[0], foreign]):
        with pytest.raises(ContractBroken):
            await device.infer("tiny/1", items, timeout_s=10)


async def test_two_batches_are_in_flight_and_no_more(device: Device) -> None:
    """Of many batches asked for at once, all come back, in the order asked."""
    ended: list[int] = []

    async def run(number: int) -> None:
        assert await double(device, number) == [2 * number]
        ended.append(number)

    await asyncio.gather(*(run(number) for number in range(30)))

    assert ended == list(range(30))


async def test_the_time_of_a_waiting_batch_does_not_run(device: Device) -> None:
    """Behind a slow batch, one whose limit is shorter than the wait still comes to its end."""
    limit_s = faulty_runtime.SLEEP_S * 0.75
    slow = double(device, faulty_runtime.SLEEPS)
    behind = double(device, 1, timeout_s=limit_s)

    values = await asyncio.gather(slow, behind)

    assert list(values) == [[2 * faulty_runtime.SLEEPS], [2]]
    assert device.state.losses_in_a_row == 0


async def test_a_cancelled_batch_gives_everything_back(device: Device) -> None:
    """Who stops waiting leaves nothing behind: the outputs' memory is free once the batch ends."""
    batch = await make_batch(device, faulty_runtime.SLEEPS)
    waiting = asyncio.create_task(device.infer("tiny/1", batch.items, timeout_s=10))
    await asyncio.sleep(faulty_runtime.SLEEP_S / 4)

    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    batch.release()

    # Needs the whole of the outputs' memory, and so waits for what the first one held.
    outputs = device._outputs
    await wait_until(lambda: outputs.free_bytes == outputs.size_bytes)
    assert await double(device, 4) == [8]


async def test_health_is_asked_of_the_runtime(start_device: StartDevice) -> None:
    """Each device has a process of its own, and answers for itself."""
    devices = [await start_device(index=index) for index in (0, 1)]

    for index, device in enumerate(devices):
        assert (await device.health(timeout_s=10)).temperature_c == index
        assert device.state.phase is DevicePhase.READY
    assert len({device.pid for device in devices}) == 2


async def test_the_process_is_named_and_holds_only_what_it_was_given(device: Device) -> None:
    """The process is called after its device, and got no descriptor but its two."""
    assert device.pid is not None
    process = psutil.Process(device.pid)

    assert process.name() == "gw-device-0"
    assert process.ppid() == os.getpid()
    links = [
        os.readlink(f"/proc/{device.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{device.pid}/fd")
    ]
    assert sum("memfd:gw-device" in link for link in links) == 1
    assert sum(link.startswith("socket:") for link in links) == 1
