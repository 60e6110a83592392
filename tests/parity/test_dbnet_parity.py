"""Text regions equal those of PP-OCR's published detector, on the same pictures and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
import skimage.data
from numpy.typing import NDArray
from shapely.geometry import Polygon  # type: ignore[import-untyped]  # ships no types

from dispatcher.cards.card import ColourOrder, DbnetDecoder, InputSpec, ResizeMode
from dispatcher.decoders import NamedOutput, reduce_outputs
from dispatcher.pictures.decoding import decode_picture
from dispatcher.pictures.geometry import Placement, plan
from dispatcher.pictures.tensors import item_shape, write_tensor
from pipeline.models.findings import TextRegion

SPEC = InputSpec(
    resize=ResizeMode.FREE,
    min_side_px=736,
    max_side_px=1984,
    side_multiple_px=32,
    colour=ColourOrder.BGR,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)


@pytest.fixture(scope="module")
def reference() -> Any:
    """Build the reference detector with its own settings and weights."""
    import rapidocr_onnxruntime
    from rapidocr_onnxruntime.ch_ppocr_det import TextDetector
    from rapidocr_onnxruntime.utils import read_yaml

    root = Path(rapidocr_onnxruntime.__file__).parent
    settings = read_yaml(root / "config.yaml")["Det"]
    settings["model_path"] = str(root / settings["model_path"])
    return TextDetector(settings)


def our_regions(png: bytes, session: onnxruntime.InferenceSession) -> list[TextRegion]:
    """Run a picture through our own path around the given weights."""
    batch, placement = our_input(png)
    (values,) = session.run(None, {session.get_inputs()[0].name: batch})
    outputs = [NamedOutput(name="map", values=values)]
    return list(reduce_outputs(DbnetDecoder(), outputs, placement, item=0).text_regions)


def overlap(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Give intersection over union of two quadrilaterals, shape (4, 2)."""
    # OpenCV's own intersection errs where edges coincide.
    first, second = Polygon(one), Polygon(other)
    return float(first.intersection(second).area / first.union(second).area)


def drawn(name: str, *, turn_degrees: float, grow: float) -> NDArray[np.uint8]:
    """Give one of scikit-image's grey pictures as BGR, tinted, turned and grown."""
    grey = getattr(skimage.data, name)()
    tinted = (cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR) * np.array([0.7, 0.9, 1.0])).astype(np.uint8)
    height_px, width_px = grey.shape
    size = (round(width_px * grow), round(height_px * grow))
    turn = cv2.getRotationMatrix2D((width_px / 2, height_px / 2), turn_degrees, grow)
    turn[:, 2] += (np.array(size) - (width_px, height_px)) / 2
    return np.asarray(cv2.warpAffine(tinted, turn, size, borderMode=cv2.BORDER_REPLICATE))


def our_input(png: bytes) -> tuple[NDArray[np.float32], Placement]:
    """Bring a picture through our own decoding into one batch, with its placement."""
    pixels = decode_picture(png, target=SPEC, max_pixels=50_000_000)
    placement = plan((pixels.width_px, pixels.height_px), SPEC)
    batch = np.empty((1, *item_shape(placement, SPEC)), np.float32)
    write_tensor(pixels, placement, SPEC, batch[0])
    return batch, placement


@pytest.mark.parametrize("name", ["page", "text"])
def test_input_equals_the_reference(name: str, reference: Any) -> None:
    """The input tensor is the reference's, channel by channel, to rounding."""
    picture = drawn(name, turn_degrees=0, grow=1.0)
    expected = reference.get_preprocess(max(picture.shape))(picture)

    batch, _ = our_input(cv2.imencode(".png", picture)[1].tobytes())

    assert batch.shape == expected.shape
    assert float(np.abs(batch - expected).max()) < 1e-6


@pytest.mark.parametrize(
    ("turn_degrees", "grow"), [(0, 1.0), (7, 1.0), (-25, 1.5), (0, 3.1)], ids=str
)
@pytest.mark.parametrize("name", ["page", "text"])
def test_regions_equal_the_reference(
    name: str, turn_degrees: float, grow: float, reference: Any
) -> None:
    """As many regions as the reference finds, each overlapping its counterpart by 0.9 or more."""
    picture = drawn(name, turn_degrees=turn_degrees, grow=grow)
    expected, _ = reference(picture)

    found = our_regions(cv2.imencode(".png", picture)[1].tobytes(), reference.infer.session)

    assert len(expected) >= 3
    assert len(found) == len(expected)
    unmatched = [np.array(region.quad) for region in found]
    for quad in expected:
        overlaps: list[float] = [overlap(quad, candidate) for candidate in unmatched]
        assert max(overlaps) >= 0.9
        unmatched.pop(int(np.argmax(overlaps)))
