"""Input tensors against a plain reading of the card's formula."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dispatcher.cards.card import ColourOrder, InputSpec, Interpolation, Layout, ResizeMode
from dispatcher.pictures.decoding import Pixels
from dispatcher.pictures.geometry import Placement, plan
from dispatcher.pictures.tensors import item_shape, write_tensor
from pipeline.pictures.header import PictureFormat

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def noise(width_px: int, height_px: int, *, reduction: int = 1) -> Pixels:
    """Give pixels that are all different, as a decoded picture."""
    bgr = np.random.default_rng(7).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    return Pixels(
        bgr=bgr,
        width_px=width_px * reduction,
        height_px=height_px * reduction,
        format=PictureFormat.JPEG,
        reduction=reduction,
    )


def written(pixels: Pixels, spec: InputSpec) -> tuple[NDArray[Any], Placement]:
    """Write into memory full of rubbish, so that anything left unwritten shows."""
    placement = plan((pixels.width_px, pixels.height_px), spec)
    out = np.full(item_shape(placement, spec), 99, dtype=spec.dtype)
    write_tensor(pixels, placement, spec, out)
    return out, placement


def expected(pixels: Pixels, placement: Placement, spec: InputSpec) -> NDArray[Any]:
    """Follow the card's formula step by step, in double precision, for pictures not reduced."""
    source, target = placement.source, placement.target
    cut = pixels.bgr[source.y_px :, source.x_px :][: source.height_px, : source.width_px]
    scaled = cv2.resize(cut, (target.width_px, target.height_px), interpolation=cv2.INTER_LINEAR)
    canvas = np.full((placement.input_height_px, placement.input_width_px, 3), spec.pad_value)
    rows = slice(target.y_px, target.y_px + target.height_px)
    canvas[rows, target.x_px : target.x_px + target.width_px] = scaled
    values = canvas.astype(np.float64)
    if spec.colour is ColourOrder.RGB:
        values = values[:, :, ::-1]
    if spec.dtype != "uint8":
        values = (values * spec.scale - spec.mean) / spec.std
    if spec.layout is Layout.NCHW:
        values = values.transpose(2, 0, 1)
    return values.astype(spec.dtype)


@settings(deadline=None, max_examples=200)
@given(
    size_px=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    input_px=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    mode=st.sampled_from(ResizeMode),
    colour=st.sampled_from(ColourOrder),
    layout=st.sampled_from([Layout.NCHW, Layout.NHWC]),
    dtype=st.sampled_from(["float32", "float16", "uint8"]),
)
def test_every_card_is_written_as_it_reads(
    size_px: tuple[int, int],
    input_px: tuple[int, int],
    mode: ResizeMode,
    colour: ColourOrder,
    layout: Layout,
    dtype: str,
) -> None:
    """Every mode, colour order, layout and dtype gives the formula's values, padding included."""
    spec = InputSpec(
        width_px=input_px[0],
        height_px=input_px[1],
        min_side_px=20,
        max_side_px=64,
        side_multiple_px=8,
        resize=mode,
        colour=colour,
        layout=layout,
        dtype=dtype,
        mean=MEAN,
        std=STD,
    )
    pixels = noise(*size_px)

    out, placement = written(pixels, spec)

    assert np.array_equal(out, expected(pixels, placement, spec))


def test_one_pixel_by_hand() -> None:
    """A pixel's three values land in the model's order, scaled, shifted and divided by its own."""
    pixels = noise(1, 1)
    pixels.bgr[0, 0] = (51, 102, 255)
    spec = InputSpec(width_px=1, height_px=1, mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0))

    out, _ = written(pixels, spec)

    assert out.reshape(3) == pytest.approx([1.0, 0.15, 0.1])


def test_padding_is_normalised_as_pixels_are() -> None:
    """The pad value goes through the formula too: grey padding is grey to the model."""
    spec = InputSpec(
        width_px=8, height_px=8, resize=ResizeMode.LETTERBOX, pad_value=114, mean=MEAN, std=STD
    )

    out, _ = written(noise(8, 2), spec)

    for channel in range(3):
        value = (114 / 255 - MEAN[channel]) / STD[channel]
        assert out[channel, :3] == pytest.approx(np.full((3, 8), value), rel=1e-6)
        assert out[channel, 5:] == pytest.approx(np.full((3, 8), value), rel=1e-6)


def test_writes_into_one_item_of_a_batch_and_nowhere_else() -> None:
    """A view on a batch in shared memory receives one picture; its neighbours stay."""
    spec = InputSpec(width_px=16, height_px=16, resize=ResizeMode.LETTERBOX)
    pixels = noise(20, 10)
    placement = plan((20, 10), spec)
    batch = np.frombuffer(bytearray(3 * 3 * 16 * 16 * 4), np.float32).reshape(3, 3, 16, 16)

    write_tensor(pixels, placement, spec, batch[1])

    assert np.array_equal(batch[1], expected(pixels, placement, spec))
    assert not batch[0].any()
    assert not batch[2].any()


def test_a_crop_of_reduced_pixels_is_cut_in_their_scale() -> None:
    """The part that is cut out is the same part of the picture at a reduced scale."""
    bgr = np.zeros((100, 300, 3), np.uint8)
    bgr[:, 100:200] = 255
    reduced = Pixels(bgr=bgr, width_px=1200, height_px=400, format=PictureFormat.JPEG, reduction=4)
    spec = InputSpec(width_px=50, height_px=50, resize=ResizeMode.CENTER_CROP)

    out, placement = written(reduced, spec)

    assert placement.source.width_px == 400
    assert out.min() == 1.0


@pytest.mark.parametrize(
    ("interpolation", "flag"),
    [
        (Interpolation.LINEAR, cv2.INTER_LINEAR),
        (Interpolation.AREA, cv2.INTER_AREA),
        (Interpolation.CUBIC, cv2.INTER_CUBIC),
    ],
)
def test_the_card_chooses_the_interpolation(interpolation: Interpolation, flag: int) -> None:
    """Pixels are resampled as the card says."""
    pixels = noise(90, 70)
    spec = InputSpec(width_px=32, height_px=24, dtype="uint8", interpolation=interpolation)

    out, _ = written(pixels, spec)

    scaled = cv2.resize(pixels.bgr, (32, 24), interpolation=flag)
    assert np.array_equal(out, scaled[:, :, ::-1].transpose(2, 0, 1))


@pytest.mark.parametrize(
    "out",
    [
        np.empty((3, 8, 9), np.float32),
        np.empty((3, 8, 8), np.float64),
        np.empty((3, 8, 16), np.float32)[:, :, ::2],
    ],
    ids=["shape", "dtype", "strides"],
)
def test_memory_that_does_not_fit_is_refused(out: NDArray[Any]) -> None:
    """Another shape, dtype or layout than the card's is the caller's mistake."""
    spec = InputSpec(width_px=8, height_px=8)

    with pytest.raises(ValueError, match="the input needs"):
        write_tensor(noise(8, 8), plan((8, 8), spec), spec, out)


def colours(nv12: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.float64]:
    """Convert NV12 to red, green and blue by the full-range formula of JFIF."""
    luma = nv12[:height_px, :, 0].astype(np.float64)
    pairs = nv12[height_px:].reshape(height_px // 2, width_px // 2, 2).astype(np.float64) - 128
    u, v = pairs.repeat(2, 0).repeat(2, 1).transpose(2, 0, 1)
    return np.stack([luma + 1.402 * v, luma - 0.344136 * u - 0.714136 * v, luma + 1.772 * u], 2)


@pytest.mark.parametrize("mode", [ResizeMode.LETTERBOX, ResizeMode.CENTER_CROP, ResizeMode.STRETCH])
def test_nv12_holds_the_same_colours(mode: ResizeMode) -> None:
    """Smooth pictures come back from NV12 within rounding, and grey padding is grey."""
    ramp = np.linspace(20, 235, 90, dtype=np.float32)
    bgr = np.stack(np.broadcast_arrays(ramp[None, :], ramp[::-1][None, :], ramp[:60, None]), 2)
    pixels = replace(noise(90, 60), bgr=np.ascontiguousarray(bgr.astype(np.uint8)))
    spec = InputSpec(width_px=48, height_px=36, resize=mode, dtype="uint8", layout=Layout.NV12)

    seen, _ = written(pixels, spec)
    rgb, placement = written(pixels, replace(spec, layout=Layout.NHWC))

    assert seen.shape == (54, 48, 1)
    inside = np.zeros((36, 48), bool)
    target = placement.target
    # The squares of four on an edge mix the picture's colours with the padding's.
    inside[
        target.y_px + 1 : target.y_px + target.height_px - 1,
        target.x_px + 1 : target.x_px + target.width_px - 1,
    ] = True
    difference = np.abs(colours(seen, 48, 36) - rgb.astype(np.float64))
    # Two neighbours share a colour that differs by up to 4.8 levels from pixel to pixel.
    assert difference[inside].max() <= 8
    if mode is ResizeMode.LETTERBOX:
        assert (seen[:2, :, 0] == spec.pad_value).all()
        assert (seen[36, :, 0] == 128).all()
