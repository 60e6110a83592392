"""Pictures decoded by the NPU's units are, within a stated tolerance, those that OpenCV decodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import nudenet
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from dispatcher.cards.card import (
    ColourOrder,
    InputSpec,
    Layout,
    ModelCard,
    PictureDecoder,
    ResizeMode,
    YoloDecoder,
)
from dispatcher.decoders import NamedOutput, reduce_outputs
from dispatcher.device.errors import DeviceLost
from dispatcher.device.link import Device
from dispatcher.pictures.decoding import decode_picture
from dispatcher.pictures.geometry import Placement, evened, plan
from dispatcher.pictures.items import EncodedItem, Item
from dispatcher.pictures.tensors import item_shape, write_tensor
from omfile.aipp_text import AippConfig
from omfile.facts import Format, TensorInfo
from omfile.synthetic import Recipe, pack
from pipeline.errors import InvalidSettings, UndecodablePicture
from pipeline.models.findings import Detection
from pipeline.pictures.header import read_picture_header
from tests.builders_om import compile_om
from tests.builders_onnx import make_card, save_identity_model
from tests.conformance.bench import GEARS, TIMEOUT_S
from tests.integration.acl.conftest import StartNpu, make_version

pytestmark = pytest.mark.usefixtures("no_findings")

SIDE_PX = 192
#: The bytes of an item are no multiple of 128, which the units' addresses are.
UNALIGNED_SIDE_PX = 100
SHARED_BYTES = 32 << 20

#: From NV12, full range as in a JPEG, to red, green, blue.
FROM_NV12 = AippConfig(
    input_format="YUV420SP_U8",
    csc_switch=True,
    matrix=(256, 0, 359, 256, -88, -183, 256, 454, 0),
    input_bias=(0, 128, 128),
)
FROM_RGB = AippConfig(input_format="RGB888_U8")
DYNAMIC = AippConfig(aipp_mode="dynamic", max_src_image_size=8 * SIDE_PX * SIDE_PX * 3)

#: What docs/npu.md states: the mean and the largest difference of a picture's pixels, in levels of
#: 255, where OpenCV decodes at full scale as the units do.
MEAN_LEVELS, MOST_LEVELS = 3.0, 80.0
#: The mean where OpenCV decodes at a reduced scale, which smooths what the units' scaling leaves.
REDUCED_MEAN_LEVELS = 8.0


def card_for(layout: Layout, side_px: int = SIDE_PX, **changes: Any) -> ModelCard:
    """Give the card of a model whose pictures the units decode."""
    card = make_card(dtype="uint8", layout=layout, side_px=side_px)
    return replace(card, input=replace(card.input, decode=PictureDecoder.DVPP, **changes))


def photographs() -> Sequence[NDArray[np.uint8]]:
    """Give photographs of even sides, red, green, blue."""
    names = ("astronaut", "chelsea", "coffee", "rocket")
    found = [getattr(skimage.data, name)() for name in names]
    return [picture[: len(picture) // 2 * 2, : picture.shape[1] // 2 * 2] for picture in found]


def jpeg(picture: NDArray[np.uint8], *options: int) -> bytes:
    """Encode a picture."""
    encoded: bytes = cv2.imencode(".jpg", picture[..., ::-1], list(options))[1].tobytes()
    return encoded


def by_opencv(data: bytes, spec: InputSpec, *, whole: bool = False) -> NDArray[Any]:
    """Give a picture as the dispatcher lays it out by itself; *whole*: decoded at full scale."""
    pixels = decode_picture(data, target=None if whole else spec, max_pixels=10_000_000)
    placement = placed(data, spec)
    out = np.empty(item_shape(placement, spec), spec.dtype)
    write_tensor(pixels, placement, spec, out)
    return out


def placed(data: bytes, spec: InputSpec) -> Placement:
    """Give how the units lay a picture out."""
    header = read_picture_header(data)
    return evened(plan((header.width_px, header.height_px), spec))


async def infer(
    device: Device, spec: InputSpec, pictures: Sequence[bytes | NDArray[Any]]
) -> tuple[NDArray[Any], dict[int, str]]:
    """Run pictures, encoded or laid out, as one batch; give what the model saw, and fall-backs."""
    blocks = []
    items: list[Item] = []
    for picture in pictures:
        raw = np.frombuffer(picture, np.uint8) if isinstance(picture, bytes) else picture
        block = await device.inputs.allocate(raw.nbytes)
        blocks.append(block)
        view = block.view(raw.shape, raw.dtype)
        view[...] = raw
        item: NDArray[Any] | EncodedItem = view
        if isinstance(picture, bytes):
            placement = placed(picture, spec)
            shape = item_shape(placement, spec)
            item = EncodedItem(data=view, placement=placement, shape=shape, dtype=spec.dtype)
        items.append(item)
    try:
        with await device.infer("tiny/1", items, timeout_s=TIMEOUT_S) as inference:
            return inference.outputs[0].values.copy(), dict(inference.fell_back)
    finally:
        for block in blocks:
            block.release()


def difference(seen: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.float64]:
    """Give the differences in levels."""
    levels: NDArray[np.float64] = np.abs(seen.astype(np.float64) - expected)
    return levels


async def load(device: Device, folder: Path, card: ModelCard, aipp: AippConfig) -> None:
    """Load a model that answers with what it sees."""
    side_px = card.input.width_px
    onnx = save_identity_model(folder / "m.onnx", side_px=side_px)
    om = compile_om(onnx, folder / "m.om", dynamic_batch=GEARS, aipp=(aipp,))
    await device.load(make_version(om, card), timeout_s=TIMEOUT_S)


def floats(spec: InputSpec) -> InputSpec:
    """Give the input of the same model without a pixel unit."""
    return replace(spec, dtype="float32", layout=Layout.NCHW, scale=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A way in which a model may take its pictures."""

    layout: Layout
    aipp: AippConfig
    colour: ColourOrder = ColourOrder.RGB
    side_px: int = SIDE_PX


MODELS = {
    "nv12": Model(layout=Layout.NV12, aipp=FROM_NV12),
    "nv12 unaligned": Model(layout=Layout.NV12, aipp=FROM_NV12, side_px=UNALIGNED_SIDE_PX),
    "nv12 set to bgr": Model(layout=Layout.NV12, aipp=DYNAMIC, colour=ColourOrder.BGR),
    "rgb": Model(layout=Layout.NHWC, aipp=FROM_RGB),
    "bgr unaligned": Model(
        layout=Layout.NHWC, aipp=FROM_RGB, colour=ColourOrder.BGR, side_px=UNALIGNED_SIDE_PX
    ),
}


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("resize", [ResizeMode.LETTERBOX, ResizeMode.CENTER_CROP])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
async def test_the_units_show_the_model_what_opencv_would(
    start_npu: StartNpu,
    board: Callable[[str], None],
    tmp_path: Path,
    model: Model,
    resize: ResizeMode,
    mode: int,
) -> None:
    """Photographs, decoded and laid out either way, differ by no more than is stated."""
    board(f"run_mode = {mode}")
    device = await start_npu(shared_bytes=SHARED_BYTES)
    card = card_for(model.layout, model.side_px, resize=resize, colour=model.colour)
    await load(device, tmp_path, card, model.aipp)
    pictures = [jpeg(picture) for picture in photographs()]

    seen, fell_back = await infer(device, card.input, pictures)

    assert fell_back == {}
    for values, data in zip(seen, pictures, strict=True):
        whole = difference(values, by_opencv(data, floats(card.input), whole=True))
        assert whole.mean() <= MEAN_LEVELS
        assert whole.max() <= MOST_LEVELS
        reduced = difference(values, by_opencv(data, floats(card.input)))
        assert reduced.mean() <= REDUCED_MEAN_LEVELS


@pytest.fixture
def device_of(start_npu: StartNpu, tmp_path: Path) -> Callable[[], Awaitable[Device]]:
    """Give a function that starts an NPU with a model of NV12 pictures."""

    async def start() -> Device:
        device = await start_npu(shared_bytes=SHARED_BYTES)
        await load(device, tmp_path, card_for(Layout.NV12), FROM_NV12)
        return device

    return start


async def test_a_batch_mixes_both_kinds(device_of: Callable[[], Awaitable[Device]]) -> None:
    """Encoded and laid-out items share a batch, each at its place, padding behind them."""
    device, spec = await device_of(), card_for(Layout.NV12).input
    pictures = [jpeg(picture) for picture in photographs()[:3]]
    laid_out = by_opencv(pictures[1], spec)

    mixed, fell_back = await infer(device, spec, [pictures[0], laid_out, pictures[2]])
    each: list[bytes | NDArray[Any]] = [*pictures, laid_out]
    alone = [(await infer(device, spec, [picture]))[0][0] for picture in each]

    assert fell_back == {}
    np.testing.assert_array_equal(mixed[0], alone[0])
    np.testing.assert_array_equal(mixed[1], alone[3])
    np.testing.assert_array_equal(mixed[2], alone[2])


async def test_what_the_units_fail_on_is_decoded_by_opencv(
    device_of: Callable[[], Awaitable[Device]], board: Callable[[str], None]
) -> None:
    """A picture that fails in the units is told with CANN's word for it, and the batch is whole."""
    board('faults = [{ at = "jpeg_decode", code = 507011, nth = 3, times = 2 }]')
    device, spec = await device_of(), card_for(Layout.NV12).input
    pictures = [jpeg(picture) for picture in photographs()]
    # Past the supervisor's look at the header, which would not have sent it.
    pictures[3] = jpeg(photographs()[3], cv2.IMWRITE_JPEG_PROGRESSIVE, 1)

    seen, fell_back = await infer(device, spec, pictures)

    assert set(fell_back) == {0, 3}
    assert "507011 RT_MODEL_EXECUTE" in fell_back[0]
    assert "148052 UNSUPPORTED_JPEG" in fell_back[3]
    for values, data in zip(seen, pictures, strict=True):
        assert difference(values, by_opencv(data, floats(spec))).mean() < REDUCED_MEAN_LEVELS


async def test_a_damaged_picture_is_its_own_fault(
    device_of: Callable[[], Awaitable[Device]],
) -> None:
    """What neither the units nor OpenCV decode is refused as a picture, and the next one runs."""
    device, spec = await device_of(), card_for(Layout.NV12).input
    good, bad = (jpeg(picture) for picture in photographs()[:2])

    with pytest.raises(UndecodablePicture, match="cut off"):
        await infer(device, spec, [good, bad[: len(bad) // 2]])

    assert (await infer(device, spec, [good]))[1] == {}


async def test_a_board_without_a_free_channel_refuses_the_model(
    start_npu: StartNpu, board: Callable[[str], None], tmp_path: Path
) -> None:
    """Where the picture units cannot be opened the device is lost with the code that says so."""
    board("channels = 0")
    device = await start_npu(shared_bytes=SHARED_BYTES)

    with pytest.raises(DeviceLost, match="dvpp_create_channel gave 207005"):
        await load(device, tmp_path, card_for(Layout.NV12), FROM_NV12)


async def test_a_model_takes_the_pictures_it_was_built_for(
    start_npu: StartNpu, tmp_path: Path
) -> None:
    """NV12 for an RGB model, and the other way round, are refused with the words of the card."""
    device = await start_npu()
    with pytest.raises(InvalidSettings, match=r'layout = "nv12" with YUV420SP_U8'):
        await load(device, tmp_path, card_for(Layout.NHWC), FROM_NV12)
    with pytest.raises(InvalidSettings, match=r'layout = "nhwc" goes with .*RGB888_U8'):
        await load(device, tmp_path, card_for(Layout.NV12), FROM_RGB)
    with pytest.raises(InvalidSettings, match="no dynamic AIPP that could apply them"):
        await load(device, tmp_path, card_for(Layout.NV12, mean=(1.0, 1.0, 1.0)), FROM_NV12)


def save_detector(path: Path) -> Path:
    """Write an OM of NudeNet's YOLOv8 behind the pixel unit."""
    onnx = Path(str(nudenet.__file__)).parent / "320n.onnx"
    aipp = replace(FROM_NV12, var_reci=(1 / 255, 1 / 255, 1 / 255, 1.0))
    recipe = Recipe(
        name="detector",
        inputs=(TensorInfo(name="images", dims=(-1, 3, 320, 320), format=Format.NCHW),),
        outputs=(TensorInfo(name="output0", dims=(-1, 22, 2100)),),
        dynamic_batch=GEARS,
        aipp=(aipp,),
    )
    path.write_bytes(pack(onnx.read_bytes(), recipe))
    return path


def overlap(one: Detection, other: Detection) -> float:
    """Give the intersection of two boxes over their union."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = one.box, other.box
    width, height = min(ax1, bx1) - max(ax0, bx0), min(ay1, by1) - max(ay0, by0)
    both = max(0.0, width) * max(0.0, height)
    return both / ((ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - both)


async def test_detections_stay(start_npu: StartNpu, tmp_path: Path) -> None:
    """A real detector finds the same things in the same places, whoever decodes."""
    device = await start_npu(shared_bytes=SHARED_BYTES)
    card = card_for(Layout.NV12, 320, resize=ResizeMode.LETTERBOX)
    om = save_detector(tmp_path / "detector.om")
    await device.load(make_version(om, card), timeout_s=TIMEOUT_S)
    decoder = YoloDecoder(version="v8", score_threshold=0.4)
    found = 0
    for picture in photographs():
        data = jpeg(picture)
        placement = placed(data, card.input)
        by_units, fell_back = await infer(device, card.input, [data])
        by_cpu, _ = await infer(device, card.input, [by_opencv(data, card.input)])
        assert fell_back == {}
        ours, theirs = (
            reduce_outputs(decoder, [NamedOutput(name="output0", values=values)], placement, item=0)
            for values in (by_units, by_cpu)
        )
        assert [d.class_id for d in ours.detections] == [d.class_id for d in theirs.detections]
        for one, other in zip(ours.detections, theirs.detections, strict=True):
            assert overlap(one, other) >= 0.9
            assert abs(one.score - other.score) <= 0.1
            found += 1
    assert found
