"""Models as they come from ATC: of one chip, with a pixel unit, damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dispatcher.cards.card import ColourOrder, InputSpec, Layout, ModelCard
from dispatcher.device.link import Device
from dispatcher.pictures.decoding import decode_picture
from dispatcher.pictures.geometry import plan
from dispatcher.pictures.tensors import item_shape, write_tensor
from omfile.aipp_text import AippConfig
from pipeline.errors import InvalidSettings
from tests.builders_om import compile_om
from tests.builders_onnx import make_card, save_identity_model, save_mean_model
from tests.conformance.bench import GEARS, run
from tests.integration.acl.conftest import StartNpu, make_version

pytestmark = pytest.mark.usefixtures("no_findings")

SIDE_PX = 8
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

#: What AIPP does for a card with MEAN and STD: whole means, and factors in half precision.
STATIC = AippConfig(
    input_format="RGB888_U8", mean=(124, 116, 104, 0), var_reci=(0.01712, 0.01751, 0.01743, 1.0)
)
DYNAMIC = AippConfig(aipp_mode="dynamic", max_src_image_size=8 * SIDE_PX * SIDE_PX * 3)


def pixel_card(**changes: object) -> ModelCard:
    """Give the card of a model that takes pixels as they are."""
    card = make_card(side_px=SIDE_PX, dtype="uint8", layout=Layout.NHWC)
    return replace(card, input=replace(card.input, **changes))  # type: ignore[arg-type]


def prepared(count: int, spec: InputSpec) -> NDArray[Any]:
    """Give random pictures, made ready as the dispatcher does it."""
    noise = np.random.default_rng(4).integers(0, 256, (count, 30, 40, 3), dtype=np.uint8)
    items = []
    for picture in noise:
        data = cv2.imencode(".png", picture)[1].tobytes()
        pixels = decode_picture(data, target=spec, max_pixels=10_000)
        placement = plan((40, 30), spec)
        out = np.empty(item_shape(placement, spec), spec.dtype)
        write_tensor(pixels, placement, spec, out)
        items.append(out)
    return np.stack(items)


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("aipp", [STATIC, DYNAMIC], ids=["static", "dynamic"])
async def test_pixels_are_normalised_on_the_device(
    start_npu: StartNpu,
    board: Callable[[str], None],
    tmp_path: Path,
    aipp: AippConfig,
    mode: int,
) -> None:
    """A model behind AIPP takes decoded pixels, and gives what normalised floats would give.

    Static AIPP has the numbers built in; dynamic AIPP gets them from the card.
    """
    board(f"run_mode = {mode}")
    device = await start_npu()
    onnx = save_mean_model(tmp_path / "m.onnx", side_px=SIDE_PX)
    om = compile_om(onnx, tmp_path / "m.om", dynamic_batch=GEARS, aipp=(aipp,))
    normalised = pixel_card(scale=1 / 255, mean=MEAN, std=STD)
    card = normalised if aipp is DYNAMIC else pixel_card()
    description = await device.load(make_version(om, card), timeout_s=30)
    assert description.inputs[0].shape == (-1, SIDE_PX, SIDE_PX, 3)
    floats = replace(normalised.input, dtype="float32", layout=Layout.NCHW)

    for size in (1, 3, 8, 9):
        outputs = await run(device, "tiny/1", prepared(size, card.input))

        expected = prepared(size, floats).mean(axis=(2, 3))
        np.testing.assert_allclose(outputs["mean"], expected, atol=0.02)


async def test_colours_stay_in_the_models_order(start_npu: StartNpu, tmp_path: Path) -> None:
    """Pixels of a BGR model reach it as BGR: AIPP swaps nothing."""
    device = await start_npu()
    onnx = save_identity_model(tmp_path / "m.onnx", side_px=SIDE_PX)
    om = compile_om(onnx, tmp_path / "m.om", batch=1, aipp=(AippConfig(input_format="RGB888_U8"),))
    card = pixel_card(colour=ColourOrder.BGR)
    await device.load(make_version(om, card), timeout_s=30)
    items = prepared(2, card.input)

    outputs = await run(device, "tiny/1", items)

    np.testing.assert_array_equal(outputs["same"], items.transpose(0, 3, 1, 2))
    swapped = cv2.cvtColor(prepared(2, pixel_card().input)[0], cv2.COLOR_RGB2BGR)
    np.testing.assert_array_equal(items[0], swapped)


async def test_a_pixel_model_wants_a_pixel_card(start_npu: StartNpu, tmp_path: Path) -> None:
    """A card that would send normalised floats to AIPP is refused with what the file takes."""
    device = await start_npu()
    onnx = save_mean_model(tmp_path / "m.onnx", side_px=SIDE_PX)
    om = compile_om(onnx, tmp_path / "m.om", batch=1, aipp=(STATIC,))

    with pytest.raises(InvalidSettings, match=r"takes x uint8 \[1, 8, 8, 3\].*gives dtype float32"):
        await device.load(make_version(om, make_card(side_px=SIDE_PX)), timeout_s=30)


@pytest.mark.parametrize(("chip", "other"), [("310B1", "310B4"), ("310B4", "310B1")])
async def test_a_model_of_another_chip_is_refused(
    start_npu: StartNpu, board: Callable[[str], None], tmp_path: Path, chip: str, other: str
) -> None:
    """An OM of the other 310B is refused with the command that mends it; its own is loaded."""
    board(f'soc = "{chip}"')
    device = await start_npu()
    onnx = save_mean_model(tmp_path / "m.onnx")
    wrong = compile_om(onnx, tmp_path / "wrong.om", batch=1, soc_version=f"Ascend{other}")
    right = compile_om(onnx, tmp_path / "right.om", batch=1, soc_version=f"Ascend{chip}")

    sentence = f"built for Ascend{other} and the device is Ascend{chip}: .*--soc_version="
    with pytest.raises(InvalidSettings, match=sentence):
        await device.describe(make_card(), wrong, timeout_s=30)
    with pytest.raises(InvalidSettings, match=sentence):
        await device.load(make_version(wrong), timeout_s=30)
    await device.load(make_version(right), timeout_s=30)


async def refusal(device: Device, path: Path) -> str:
    """Give the sentence with which a file is refused."""
    with pytest.raises(InvalidSettings) as caught:
        await device.describe(make_card(), path, timeout_s=30)
    return str(caught.value)


async def test_a_damaged_file_is_refused_before_it_is_loaded(
    start_npu: StartNpu, tmp_path: Path
) -> None:
    """Truncated, encrypted and foreign files are told apart, each with what to do."""
    device = await start_npu()
    om = compile_om(save_mean_model(tmp_path / "m.onnx"), tmp_path / "m.om", batch=1)
    whole = om.read_bytes()

    om.write_bytes(whole[:-10])
    assert "its header says" in (told := await refusal(device, om))
    assert "copy it again" in told
    om.write_bytes(whole[:80] + b"\x01" + whole[81:])
    assert "the model is encrypted" in await refusal(device, om)
    om.write_bytes((tmp_path / "m.onnx").read_bytes())
    assert "convert the model with ATC" in await refusal(device, om)
    om.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert "git lfs pull" in await refusal(device, om)


async def test_what_is_unloaded_gives_its_memory_back(start_npu: StartNpu, tmp_path: Path) -> None:
    """Free device memory falls by a model's estimate when it is loaded, and rises when it goes."""
    device = await start_npu()
    onnx = save_mean_model(tmp_path / "m.onnx")
    om = compile_om(onnx, tmp_path / "m.om", dynamic_batch=GEARS, work_bytes=200 << 20)

    async def free_bytes() -> int:
        health = await device.health(timeout_s=30)
        assert health.utilization_percent == 0
        return health.memory_free_bytes or 0

    before = await free_bytes()
    description = await device.load(make_version(om), timeout_s=30)
    taken = before - await free_bytes()
    assert 0.9 * taken <= description.memory_bytes <= 1.1 * taken
    await device.unload("tiny/1", timeout_s=30)
    assert await free_bytes() == before
