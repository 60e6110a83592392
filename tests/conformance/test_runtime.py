"""What every runtime does alike, seen through the device that it runs in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from dispatcher.cards.card import Layout
from dispatcher.device.errors import ModelNotLoaded
from dispatcher.device.link import Device, DeviceConfig
from dispatcher.onnx_runtime import OnnxRuntime
from dispatcher.runtime import RuntimeOptions, TensorSpec
from pipeline.errors import InvalidSettings, ModelFault
from tests.builders_onnx import (
    make_card,
    save_argmax_model,
    save_identity_model,
    save_mean_model,
    save_two_input_model,
)
from tests.conformance.bench import BOARDS, Bench, child_path
from tests.conformance.graphs import SIDE_PX, save_convolution

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(BOARDS))
async def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bench]:
    """Give each runtime in turn, in a device process that all tests of it share."""
    board: str = request.param
    device = Device(
        DeviceConfig(
            runtime="acl" if board.startswith("acl") else "onnx",
            options=RuntimeOptions(threads=1, infer_timeout_s=60),
            input_bytes=1 << 20,
            output_bytes=1 << 20,
        )
    )
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("PYTHONPATH", child_path())
        for name, value in BOARDS[board].items():
            environ.setenv(name, value)
        await device.start()
        yield Bench(board=board, device=device, folder=tmp_path_factory.mktemp("models"))
        await device.stop()


def pixels(count: int, side_px: int = 4) -> NDArray[np.float32]:
    """Give *count* items of NCHW noise, the same each time."""
    return np.random.default_rng(1).random((count, 3, side_px, side_px), dtype=np.float32)


async def test_a_file_for_any_batch_is_described(bench: Bench) -> None:
    """The batch is a free axis of inputs and outputs, under the names that the model gave them."""
    path = bench.save(save_mean_model, "free")

    description = await bench.describe(make_card(), path)

    assert description.inputs == (TensorSpec(name="x", shape=(-1, 3, 4, 4), dtype="float32"),)
    assert description.outputs == (TensorSpec(name="mean", shape=(-1, 3), dtype="float32"),)
    assert description.memory_bytes > path.stat().st_size


async def test_a_file_for_one_batch_size_is_described(bench: Bench) -> None:
    """The one batch size is an axis, and the only gear; loading says the same as describing."""
    path = bench.save(save_mean_model, "fixed", batch=4)

    description = await bench.describe(make_card(name="fixed"), path)

    assert description.inputs == (TensorSpec(name="x", shape=(4, 3, 4, 4), dtype="float32"),)
    assert description.outputs == (TensorSpec(name="mean", shape=(4, 3), dtype="float32"),)
    assert description.batch_sizes == (4,)
    assert await bench.load(make_card(name="fixed"), path) == description


@pytest.mark.parametrize("batch", [None, 1, 4])
async def test_any_batch_gives_an_entry_for_each_item(bench: Bench, batch: int | None) -> None:
    """Outputs come in the file's order, and padding never reaches them, whatever the gears."""
    name = f"identity-{batch or 'any'}"
    await bench.load(make_card(name=name), bench.save(save_identity_model, name, batch=batch))

    for size in (1, 2, 3, 4, 5, 8, 9, 17):
        items = pixels(size)
        outputs = await bench.infer(f"{name}/1", items)

        assert list(outputs) == ["same", "negative"]
        np.testing.assert_array_equal(outputs["same"], items)
        np.testing.assert_array_equal(outputs["negative"], -items)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("batch", [None, 3])
async def test_the_outputs_are_those_of_onnx_runtime(
    bench: Bench, tmp_path: Path, batch: int | None, half: bool
) -> None:
    """For each batch of 1 to 8, values and types are what the graph gives anywhere else."""
    name = f"convolution-{batch or 'any'}-{'half' if half else 'single'}"
    dtype = "float16" if half else "float32"
    card = make_card(name=name, side_px=SIDE_PX, dtype=dtype)
    await bench.load(card, bench.save(partial(save_convolution, half=half), name, batch=batch))
    reference = OnnxRuntime(RuntimeOptions(threads=1))
    reference.load("reference", card, save_convolution(tmp_path / "model.onnx", half=half))

    for size in range(1, 9):
        items = pixels(size, SIDE_PX).astype(dtype)
        outputs = await bench.infer(f"{name}/1", items)
        expected = reference.infer("reference", items)

        assert list(outputs) == list(expected)
        for output, values in expected.items():
            assert outputs[output].dtype == values.dtype
            np.testing.assert_allclose(outputs[output], values, rtol=1e-3 if half else 1e-5)


async def test_raw_pixels_are_taken(bench: Bench) -> None:
    """A uint8 NHWC model gets bytes, and an integer output comes back as it is."""
    card = make_card(name="raw", dtype="uint8", layout=Layout.NHWC)
    await bench.load(card, bench.save(save_argmax_model, "raw"))
    items = np.random.default_rng(2).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)

    outputs = await bench.infer("raw/1", items)

    assert outputs["best"].dtype == np.int64
    np.testing.assert_array_equal(outputs["best"], items.argmax(axis=3))


async def test_models_do_not_mix(bench: Bench) -> None:
    """Two loaded models, run in turn at changing sizes, each give their own."""
    await bench.load(make_card(name="one"), bench.save(save_identity_model, "one"))
    await bench.load(make_card(name="two"), bench.save(save_mean_model, "two"))

    for size in (3, 8, 1, 5):
        items = pixels(size)
        one, two = await bench.infer("one/1", items), await bench.infer("two/1", items)

        np.testing.assert_array_equal(one["same"], items)
        np.testing.assert_allclose(two["mean"], items.mean(axis=(2, 3)), rtol=1e-5)


async def test_loading_again_replaces(bench: Bench) -> None:
    """A key stands for what was loaded last; unloaded it is gone, and unloading again is well."""
    card = make_card(name="again")
    await bench.load(card, bench.save(save_identity_model, "again-1"))
    await bench.load(card, bench.save(save_mean_model, "again-2"))

    assert list(await bench.infer("again/1", pixels(1))) == ["mean"]

    await bench.device.unload("again/1", timeout_s=30)
    await bench.device.unload("again/1", timeout_s=30)
    with pytest.raises(ModelNotLoaded):
        await bench.infer("again/1", pixels(1))


async def test_a_card_that_contradicts_the_file_is_not_loaded(bench: Bench) -> None:
    """The wrong side, the wrong type, and a second input are refused with what the file takes."""
    mean = bench.save(save_mean_model, "contradicted")
    two_inputs = bench.save(save_two_input_model, "two-inputs")

    with pytest.raises(InvalidSettings, match=r"x float32 \[\?, 3, 4, 4\], the card gives 5"):
        await bench.load(make_card(side_px=5), mean)
    with pytest.raises(InvalidSettings, match="the card gives dtype uint8"):
        await bench.load(make_card(dtype="uint8"), mean)
    with pytest.raises(InvalidSettings, match="takes 2 inputs"):
        await bench.load(make_card(), two_inputs)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08\x12", b"IMOD"])
async def test_a_file_that_is_no_model_is_refused(
    bench: Bench, tmp_path: Path, content: bytes
) -> None:
    """Rubbish, an empty file and an absent one are refused by name, in one sentence."""
    path = tmp_path / "model.any"
    path.write_bytes(content)

    with pytest.raises(InvalidSettings, match=r"model\.any cannot be"):
        await bench.load(make_card(), path)
    with pytest.raises(InvalidSettings, match=r"absent\.any cannot be"):
        await bench.describe(make_card(), tmp_path / "absent.any")


async def test_items_of_another_shape_fail_by_themselves(bench: Bench) -> None:
    """A batch that does not fit is the model's fault on it, and the next one runs."""
    await bench.load(make_card(name="strict"), bench.save(save_identity_model, "strict"))

    with pytest.raises(ModelFault):
        await bench.infer("strict/1", pixels(2, side_px=5))

    assert len((await bench.infer("strict/1", pixels(2)))["same"]) == 2


async def test_the_device_tells_its_free_memory(bench: Bench) -> None:
    """A device that answers is healthy, and says what memory is left."""
    health = await bench.device.health(timeout_s=30)

    assert health.healthy
    assert health.memory_free_bytes is None or health.memory_free_bytes > 1_000_000
    assert health.memory_free_bytes is not None or not bench.is_acl
