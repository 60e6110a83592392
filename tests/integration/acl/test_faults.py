"""An NPU that fails: who is blamed, what is said, and that work goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from dispatcher.device.errors import DeviceLost, DeviceUnavailable
from dispatcher.device.isolation import BatchOutcome, infer_isolated
from dispatcher.device.link import Device
from pipeline.errors import InvalidSettings, ModelFault
from tests.builders_om import compile_om
from tests.builders_onnx import save_mean_model
from tests.conformance.bench import GEARS, run
from tests.integration.acl.conftest import StartNpu, make_version

Board = Callable[[str], None]

#: An item filled with this is what a fault waits for.
POISON = 9001.0
POISON_HEX = np.full(2, POISON, np.float32).tobytes().hex()


def fault(at: str, **settings: object) -> str:
    """Give a fault's entry in the board's configuration."""
    lines = [f"{key} = {value!r}".replace("'", '"') for key, value in settings.items()]
    return "\n".join(["[[faults]]", f'at = "{at}"', *lines, ""])


async def load(device: Device, folder: Path, name: str = "tiny") -> None:
    """Load a model whose output is the mean of each channel."""
    onnx = save_mean_model(folder / f"{name}.onnx")
    om = compile_om(onnx, folder / f"{name}.om", dynamic_batch=GEARS)
    await device.load(make_version(om, name=name), timeout_s=30)


async def infer_each(
    device: Device, values: Sequence[float], *, timeout_s: float = 30
) -> BatchOutcome:
    """Run an item filled with each of *values* as one batch, in parts where it fails."""
    block = await device.inputs.allocate(len(values) * 48 * 4)
    items = block.view((len(values), 3, 4, 4), np.float32)
    items[...] = np.array(values, np.float32)[:, np.newaxis, np.newaxis, np.newaxis]
    outcome = await infer_isolated(
        lambda some: device.infer("tiny/1", some, timeout_s=timeout_s), list(items)
    )
    block.release()
    return outcome


def means(outcome: BatchOutcome) -> list[float | str]:
    """Give each item's mean, or the words of its error; the outputs are released."""
    found = [
        str(item) if isinstance(item, Exception) else float(item.outputs[0].values[item.item, 0])
        for item in outcome.items
    ]
    outcome.release()
    return found


async def means_of(device: Device, values: Sequence[float]) -> list[float | str]:
    """Run *values* as one batch and give what became of each."""
    return means(await infer_each(device, values))


@pytest.mark.usefixtures("no_findings")
@pytest.mark.parametrize("sticky", ["true", "false"])
async def test_a_failing_item_fails_alone(
    start_npu: StartNpu, board: Board, tmp_path: Path, sticky: str
) -> None:
    """507011 on one item is that item's failure; the process stays, and so does its stream's past.

    Where a stream keeps its first error, the batches after it still succeed.
    """
    poison = fault("execute", code=507011, times=0, contains_hex=POISON_HEX)
    board(f"sticky_stream_errors = {sticky}\n{poison}")
    device = await start_npu()
    await load(device, tmp_path)
    pid = device.pid

    outcome = await means_of(device, [1, 2, 3, POISON, 5, 6, 7])

    assert "507011 RT_MODEL_EXECUTE" in str(outcome[3])
    assert "an operator of the model failed on this batch" in str(outcome[3])
    assert [mean for mean in outcome if not isinstance(mean, str)] == [1, 2, 3, 5, 6, 7]
    assert await means_of(device, [8, 9, 10]) == [8, 9, 10]
    assert device.pid == pid


@pytest.mark.usefixtures("no_findings")
async def test_padding_does_not_repeat_an_earlier_item(
    start_npu: StartNpu, board: Board, tmp_path: Path
) -> None:
    """What a culprit left in the device's memory does not bring down a smaller batch after it."""
    board(fault("execute", code=507011, times=0, contains_hex=POISON_HEX))
    device = await start_npu()
    await load(device, tmp_path)

    poison = np.full((4, 3, 4, 4), POISON, np.float32)
    with pytest.raises(ModelFault):
        await run(device, "tiny/1", poison)

    outputs = await run(device, "tiny/1", np.ones((3, 3, 4, 4), np.float32))
    assert outputs["mean"].shape == (3, 3)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (507010, "the NPU died or hangs"),
        (507014, "an operator hung on the AI Core"),
        (507015, "an operator crashed the AI Core"),
        (507899, "a call into the driver failed"),
    ],
)
@pytest.mark.parametrize("mode", [0, 1])
async def test_a_lost_npu_costs_the_culprit_alone(
    start_npu: StartNpu, board: Board, tmp_path: Path, mode: int, code: int, words: str
) -> None:
    """A code that means the NPU is gone: a new process, the batch again, the reason in words."""
    poison = fault("execute", code=code, times=0, contains_hex=POISON_HEX)
    board(f"run_mode = {mode}\n{poison}")
    device = await start_npu()
    await load(device, tmp_path)
    pid = device.pid

    outcome = await means_of(device, [1, 2, POISON, 4])

    assert re.search(
        f"the device process lost its device: .* gave {code} .*{words}", str(outcome[2])
    )
    assert [mean for mean in outcome if not isinstance(mean, str)] == [1, 2, 4]
    assert device.pid != pid
    assert words in device.state.reason
    assert await means_of(device, [5, 6]) == [5, 6]
    assert device.state.losses_in_a_row == 0


@pytest.mark.parametrize(
    ("limits_s", "words"),
    [
        ((0.4, 20), "507046 RT_STREAM_SYNC_TIMEOUT: the batch did not end in time"),
        ((0.0, 0.4), "the device process hung past 0.4 s"),
    ],
)
@pytest.mark.parametrize("at", ["execute", "synchronize"])
async def test_a_hanging_batch_is_given_up(
    start_npu: StartNpu,
    board: Board,
    tmp_path: Path,
    at: str,
    limits_s: tuple[float, float],
    words: str,
) -> None:
    """An operator, or the driver, that never returns costs its item and a process, no more.

    *limits_s* are ACL's own, where 0 is none, and the supervisor's: the shorter one tells.
    """
    poison = {"contains_hex": POISON_HEX, "times": 0} if at == "execute" else {"nth": 1, "times": 0}
    board(fault(at, action="hang", **poison))
    device = await start_npu(infer_timeout_s=limits_s[0])
    await load(device, tmp_path)
    pid = device.pid

    outcome = means(await infer_each(device, [POISON], timeout_s=limits_s[1]))

    assert words in str(outcome[0])
    board("")
    assert await means_of(device, [1, 2]) == [1, 2]
    assert device.pid != pid


@pytest.mark.usefixtures("no_findings")
async def test_a_load_without_memory_is_refused(
    start_npu: StartNpu, board: Board, tmp_path: Path
) -> None:
    """207001 names the remedy, takes nothing, and leaves what is loaded as it was."""
    board("memory_mb = 2000\nsystem_mb = 1500\n")
    device = await start_npu()
    await load(device, tmp_path)
    free_bytes = (await device.health(timeout_s=30)).memory_free_bytes
    onnx = save_mean_model(tmp_path / "large.onnx")
    om = compile_om(onnx, tmp_path / "large.om", dynamic_batch=GEARS, work_bytes=600 << 20)

    with pytest.raises(InvalidSettings, match=r"207001 .*no memory left.*GW_DEVICE_MEMORY_MB"):
        await device.load(make_version(om, name="large"), timeout_s=30)

    assert (await device.health(timeout_s=30)).memory_free_bytes == free_bytes
    assert await means_of(device, [1, 2, 3]) == [1, 2, 3]


@pytest.mark.usefixtures("no_findings")
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_buffer_without_memory_unloads_the_model_again(
    start_npu: StartNpu, board: Board, tmp_path: Path, nth: int
) -> None:
    """Whichever buffer cannot be had, the load is refused, and everything before it given back."""
    board(fault("malloc", code=207001, nth=nth))
    device = await start_npu()
    free_bytes = (await device.health(timeout_s=30)).memory_free_bytes

    with pytest.raises(InvalidSettings, match=r"acl\.rt\.malloc gave 207001"):
        await load(device, tmp_path)

    assert (await device.health(timeout_s=30)).memory_free_bytes == free_bytes
    await load(device, tmp_path)
    assert await means_of(device, [1]) == [1]


@pytest.mark.usefixtures("no_findings")
@pytest.mark.parametrize("action", ["other_soc", "truncated"])
async def test_a_model_that_only_acl_refuses_is_refused_in_words(
    start_npu: StartNpu, board: Board, tmp_path: Path, action: str
) -> None:
    """What the file does not show, ACL finds: its code comes with cause, fix and CANN's text."""
    words = {"other_soc": "500002 .*another chip.*E10001", "truncated": "145006 .*truncated"}
    board(fault("load", action=action))
    device = await start_npu()

    with pytest.raises(InvalidSettings, match=words[action]):
        await load(device, tmp_path)

    await load(device, tmp_path)


async def test_a_load_that_loses_the_npu_costs_a_process(
    start_npu: StartNpu, board: Board, tmp_path: Path
) -> None:
    """507010 while loading is told as a loss; the next process loads and runs other models."""
    board(fault("load", code=507010, times=0, model="bad"))
    device = await start_npu()
    await load(device, tmp_path)

    with pytest.raises(DeviceLost, match=r"load_from_file gave 507010"):
        await load(device, tmp_path, name="bad")

    assert set(device.loaded) == {"tiny/1"}
    assert await means_of(device, [1, 2]) == [1, 2]


@pytest.mark.parametrize(
    ("at", "code", "words"),
    [
        ("set_device", 507033, "507033 RT_DEV_SETUP_ERROR: the device cannot be opened.*uid 1000"),
        ("set_device", 107001, "107001 .*no such device.*ASCEND_VISIBLE_DEVICES"),
        ("init", 507899, "507899 .*a call into the driver failed"),
    ],
)
async def test_an_npu_that_cannot_be_opened_says_why(
    start_npu: StartNpu, board: Board, at: str, code: int, words: str
) -> None:
    """The device does not start, with the code's cause and what to look at."""
    board(fault(at, code=code, times=0))

    with pytest.raises(DeviceUnavailable, match=f"gw-device-0 did not start: .*{words}"):
        await start_npu()


async def test_a_copy_that_loses_the_npu_costs_a_process(
    start_npu: StartNpu, board: Board, tmp_path: Path
) -> None:
    """A heartbeat that is lost while outputs are fetched is a loss like any other."""
    board(fault("memcpy", code=507010, nth=2))
    device = await start_npu()
    await load(device, tmp_path)
    pid = device.pid

    with pytest.raises(DeviceLost, match="memcpy gave 507010"):
        await run(device, "tiny/1", np.zeros((1, 3, 4, 4), np.float32))

    assert (await device.health(timeout_s=30)).healthy
    assert device.pid != pid


async def test_without_pyacl_the_device_says_what_is_missing(
    start_npu: StartNpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no ``acl`` can be imported the device does not start, and names it."""
    monkeypatch.delenv("PYTHONPATH")

    with pytest.raises(DeviceUnavailable, match=r'runtime "acl" is not available here.*acl'):
        await start_npu()
