"""Detections equal those of NudeNet's own code (a YOLOv8 head) on the same pictures and weights."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from dispatcher.cards.card import ColourOrder, InputSpec, ResizeMode, YoloDecoder
from dispatcher.decoders import NamedOutput, reduce_outputs
from dispatcher.pictures.decoding import decode_picture
from dispatcher.pictures.geometry import plan
from dispatcher.pictures.tensors import item_shape, write_tensor
from pipeline.models.findings import Detection

SPEC = InputSpec(
    width_px=320,
    height_px=320,
    resize=ResizeMode.LETTERBOX_TOP_LEFT,
    pad_value=0,
    # The reference swaps the channels twice: what OpenCV reads as BGR reaches the model as BGR.
    colour=ColourOrder.BGR,
)

DECODER = YoloDecoder(version="v8", score_threshold=0.25, iou_threshold=0.45)


@pytest.fixture(scope="module")
def reference() -> Any:
    """Build the reference detector with its own weights."""
    from nudenet import NudeDetector

    return NudeDetector()


def labels() -> list[str]:
    """Give the reference's class names by position."""
    from nudenet import nudenet

    return list(vars(nudenet)["__labels"])


def our_input(picture: NDArray[np.uint8]) -> tuple[NDArray[np.float32], Any]:
    """Bring a BGR picture through our own decoding into one batch, with its placement."""
    png = cv2.imencode(".png", picture)[1].tobytes()
    pixels = decode_picture(png, target=SPEC, max_pixels=50_000_000)
    placement = plan((pixels.width_px, pixels.height_px), SPEC)
    batch = np.empty((1, *item_shape(placement, SPEC)), np.float32)
    write_tensor(pixels, placement, SPEC, batch[0])
    return batch, placement


def our_detections(picture: NDArray[np.uint8], reference: Any) -> list[Detection]:
    """Run a picture through our own path around the reference's weights."""
    batch, placement = our_input(picture)
    session = reference.onnx_session
    (values,) = session.run(None, {reference.input_name: batch})
    outputs = [NamedOutput(name="output0", values=values)]
    return list(reduce_outputs(DECODER, outputs, placement, item=0).detections)


def without_overlaps(detections: list[Detection]) -> list[Detection]:
    """Drop what overlaps a better detection of any class.

    The reference suppresses across classes, our decoder within each.
    """
    kept: list[Detection] = []
    for detection in detections:
        if all(overlap(detection, better) <= DECODER.iou_threshold for better in kept):
            kept.append(detection)
    return kept


def overlap(one: Detection, other: Detection) -> float:
    """Give intersection over union of two boxes."""
    width_px = min(one.box[2], other.box[2]) - max(one.box[0], other.box[0])
    height_px = min(one.box[3], other.box[3]) - max(one.box[1], other.box[1])
    shared = max(0.0, width_px) * max(0.0, height_px)
    areas = sum((d.box[2] - d.box[0]) * (d.box[3] - d.box[1]) for d in (one, other))
    return shared / (areas - shared)


def astronaut(*, width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Cut scikit-image's astronaut from the top left, as BGR."""
    rgb = skimage.data.astronaut()  # type: ignore[no-untyped-call]  # scikit-image has no types
    picture = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return np.ascontiguousarray(picture[:height_px, :width_px])


@pytest.mark.parametrize("size_px", [(512, 512), (512, 320), (384, 512), (320, 320)])
def test_detections_equal_the_reference(size_px: tuple[int, int], reference: Any) -> None:
    """The same classes in the same order; boxes within 2 px, scores within a thousandth."""
    picture = astronaut(width_px=size_px[0], height_px=size_px[1])
    expected = reference.detect(picture)

    found = without_overlaps(our_detections(picture, reference))

    assert any(detection["class"].startswith("FACE") for detection in expected)
    assert [labels()[d.class_id] for d in found] == [d["class"] for d in expected]
    for ours, theirs in zip(found, expected, strict=True):
        x, y, width, height = theirs["box"]
        assert ours.score == pytest.approx(theirs["score"], abs=1e-3)
        assert ours.box == pytest.approx((x, y, x + width, y + height), abs=2)


def test_input_equals_the_reference(reference: Any) -> None:
    """The input tensor of a square picture equals the reference's within a grey level's 255th."""
    from nudenet import nudenet

    picture = astronaut(width_px=512, height_px=512)
    expected = vars(nudenet)["_read_image"](picture, 320)[0]

    batch, _ = our_input(picture)

    assert batch == pytest.approx(expected, abs=1 / 255 + 1e-6)
    assert float(np.abs(batch - expected).mean()) < 1e-4
