"""Decoding: every accepted kind, every orientation, every way to be damaged."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dispatcher.cards.card import InputSpec, ResizeMode
from dispatcher.pictures.decoding import Pixels, decode_picture
from pipeline.errors import UndecodablePicture

LIMIT_PIXELS = 10_000_000
WIDTH_PX, HEIGHT_PX = 147, 99


def scene() -> Image.Image:
    """Draw four plain quarters, so that every corner of the picture tells which one it is."""
    picture = Image.new("RGB", (WIDTH_PX, HEIGHT_PX))
    colours = [(200, 30, 40), (20, 180, 60), (50, 70, 220), (230, 210, 20)]
    for index, colour in enumerate(colours):
        quarter = Image.new("RGB", (WIDTH_PX // 2 + 1, HEIGHT_PX // 2 + 1), colour)
        picture.paste(quarter, (index % 2 * WIDTH_PX // 2, index // 2 * HEIGHT_PX // 2))
    return picture


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode with Pillow, which is no part of what is tested."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def with_orientation(kind: str, orientation: int, **options: Any) -> bytes:
    """Encode the scene with an Exif orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(scene(), kind, exif=exif, **options)


def bgr_of(picture: Image.Image) -> NDArray[np.uint8]:
    """Give Pillow's pixels in OpenCV's order."""
    return np.asarray(picture.convert("RGB"))[:, :, ::-1]


def decoded(data: bytes, target: InputSpec | None = None) -> Pixels:
    """Decode with a limit that no test picture meets."""
    return decode_picture(data, target=target, max_pixels=LIMIT_PIXELS)


def corners(pixels: NDArray[np.uint8]) -> list[list[int]]:
    """Read the pixels in the middle of the four quarters."""
    height_px, width_px = pixels.shape[:2]
    return [pixels[height_px * y // 4, width_px * x // 4].tolist() for y in (1, 3) for x in (1, 3)]


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True}), ("PNG", {"interlace": 1})],
)
def test_lossless_kinds_give_the_exact_pixels(kind: str, options: dict[str, Any]) -> None:
    """What was stored without loss comes out as it was, in BGR."""
    pixels = decoded(encoded(scene(), kind, **options))

    assert np.array_equal(pixels.bgr, bgr_of(scene()))
    assert (pixels.width_px, pixels.height_px) == (WIDTH_PX, HEIGHT_PX)
    assert (pixels.format, pixels.reduction) == (kind.lower(), 1)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_of_every_colour_space(mode: str, options: dict[str, Any]) -> None:
    """Colour, grey and CMYK JPEG, baseline and progressive, come out as Pillow reads them."""
    data = encoded(scene().convert(mode), "JPEG", quality=95, **options)

    pixels = decoded(data)

    expected = bgr_of(Image.open(io.BytesIO(data)))
    assert np.array(corners(pixels.bgr)) == pytest.approx(np.array(corners(expected)), abs=3)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA"])
def test_png_of_every_mode_becomes_bgr(mode: str) -> None:
    """Grey is repeated, palettes are looked up, and alpha is dropped whatever it is."""
    picture = scene().convert(mode)
    if "A" in mode:
        picture.putalpha(7)

    pixels = decoded(encoded(picture, "PNG"))

    assert np.array_equal(pixels.bgr, bgr_of(picture))


def test_sixteen_bits_keep_their_upper_byte() -> None:
    """A 16-bit sample becomes its upper byte."""
    samples = np.arange(0, 65_536, 13, dtype=np.uint16)[: 50 * 90].reshape(50, 90)
    data = cv2.imencode(".png", samples)[1].tobytes()

    assert np.array_equal(decoded(data).bgr[:, :, 1], samples >> 8)


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_comes_out_upright(orientation: int, reduced: bool) -> None:
    """Each of the eight orientations is undone, mirrored ones too, at full and at reduced scale."""
    data = with_orientation("JPEG", orientation, quality=95)
    target = InputSpec(width_px=24, height_px=24, resize=ResizeMode.STRETCH) if reduced else None

    pixels = decoded(data, target)

    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert (pixels.width_px, pixels.height_px) == expected.size
    assert pixels.reduction == (4 if reduced else 1)
    assert np.array(corners(pixels.bgr)) == pytest.approx(
        np.array(corners(bgr_of(expected))), abs=6
    )


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_counts_in_png_and_webp(kind: str, orientation: int) -> None:
    """An Exif chunk turns a PNG and a WebP as it turns a JPEG."""
    options = {"lossless": True} if kind == "WEBP" else {}
    data = with_orientation(kind, orientation, **options)

    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(decoded(data).bgr, bgr_of(expected))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_equals_opencv(orientation: int) -> None:
    """Our turning gives, to the pixel, what OpenCV gives when it is left to turn."""
    data = with_orientation("JPEG", orientation)

    by_opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert by_opencv is not None
    assert np.array_equal(decoded(data).bgr, by_opencv)


@pytest.mark.parametrize(
    ("input_side_px", "reduction"),
    [(400, 1), (201, 1), (200, 2), (101, 2), (100, 4), (51, 4), (50, 8), (3, 8)],
)
def test_jpeg_is_reduced_only_as_far_as_the_input_needs(input_side_px: int, reduction: int) -> None:
    """The scale is the smallest that still leaves as many pixels as the input shows."""
    data = encoded(Image.new("RGB", (400, 300)), "JPEG")
    target = InputSpec(width_px=input_side_px, height_px=input_side_px, resize=ResizeMode.LETTERBOX)

    pixels = decoded(data, target)

    assert pixels.reduction == reduction
    assert pixels.bgr.shape == (-(-300 // reduction), -(-400 // reduction), 3)
    assert (pixels.width_px, pixels.height_px) == (400, 300)


def test_other_formats_are_not_reduced() -> None:
    """Only the JPEG decoder saves work by a smaller scale."""
    target = InputSpec(width_px=8, height_px=8)

    assert decoded(encoded(scene(), "PNG"), target).reduction == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize("kept", [0.0, 0.05, 0.3, 0.6, 0.9, 0.999])
def test_cut_off_pictures_are_refused(kind: str, kept: float) -> None:
    """No part of a picture is taken for the whole."""
    data = encoded(scene(), kind)

    with pytest.raises(UndecodablePicture):
        decoded(data[: int(len(data) * kept)])


def grain(mode: str = "RGB") -> Image.Image:
    """Draw noise, which codes to many bytes evenly over the picture."""
    noise = np.random.default_rng(5).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("side_px", [WIDTH_PX, 18])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_false_end_does_not_hide_a_cut(mode: str, side_px: int, kept: float) -> None:
    """A JPEG cut in its pixels and closed with an end marker is refused, at reduced scale too."""
    data = encoded(grain(mode), "JPEG")
    target = InputSpec(width_px=side_px, height_px=side_px, resize=ResizeMode.LETTERBOX)
    scan = data.rindex(b"\xff\xda") + 14
    cut = data[: scan + int((len(data) - scan) * kept)].rstrip(b"\xff") + b"\xff\xd9"

    assert decoded(data, target).width_px == WIDTH_PX
    with pytest.raises(UndecodablePicture, match="its pixels end before the picture does"):
        decoded(cut, target)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("trailer", [b"", b"trailer"])
def test_a_picture_that_is_grey_at_its_end_is_whole(
    mode: str, options: dict[str, Any], trailer: bytes
) -> None:
    """The fill's own grey in the last corner is no sign of a cut when the pixels are all there."""
    picture = grain(mode)
    # Pillow stores CMYK inverted: 127 is 128 in the file.
    grey = 127 if mode == "CMYK" else 128
    picture.paste(Image.new(mode, (99, 99), (grey,) * len(picture.getbands())), (60, 40))

    pixels = decoded(encoded(picture, "JPEG", quality=95, **options) + trailer)

    assert pixels.bgr[-1, -1].tolist() in ([128] * 3, [65] * 3)


def damaged_png() -> bytes:
    """Build a PNG whose pixels end early, although its chunks are whole."""
    body = zlib.compress(bytes(100))
    data = encoded(scene(), "PNG")
    start = data.index(b"IDAT") - 4
    chunk = struct.pack(">I", len(body)) + b"IDAT" + body
    chunk += struct.pack(">I", zlib.crc32(chunk[4:]))
    return data[:start] + chunk + data[-12:]


def damaged_webp() -> bytes:
    """Build a WebP whose frame is noise behind a sound header."""
    data = bytearray(encoded(scene(), "WEBP", lossless=True))
    data[25:] = bytes(len(data) - 25)
    return bytes(data)


@pytest.mark.parametrize("data", [damaged_png(), damaged_webp()], ids=["png", "webp"])
def test_damaged_pixels_are_refused(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """A sound header over unreadable pixels is damage, told once and not in OpenCV's own log."""
    with pytest.raises(UndecodablePicture, match=r"is damaged: its pixels cannot be read\."):
        decoded(data)

    captured = capfd.readouterr()
    assert "global" not in captured.err + captured.out


def test_foreign_bytes_are_refused_with_the_reason() -> None:
    """What the header reader says is the job's reason."""
    with pytest.raises(UndecodablePicture, match="A GIF was sent"):
        decoded(encoded(scene(), "GIF"))


def test_more_pixels_than_the_limit_are_refused() -> None:
    """The limit holds for the size in the header, and is met exactly by an equal one."""
    data = encoded(scene(), "PNG")

    assert decode_picture(data, target=None, max_pixels=WIDTH_PX * HEIGHT_PX).width_px == WIDTH_PX
    with pytest.raises(UndecodablePicture, match="147 x 99 pixels; at most 14552 are decoded"):
        decode_picture(data, target=None, max_pixels=WIDTH_PX * HEIGHT_PX - 1)


@settings(deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "BMP", "WEBP"]),
    changes=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=6),
)
def test_damage_gives_a_picture_or_a_reason(kind: str, changes: list[tuple[int, int]]) -> None:
    """Whatever bytes are damaged, there is a picture of the declared size or UndecodablePicture."""
    data = bytearray(encoded(scene(), kind))
    for position, value in changes:
        data[position % len(data)] = value

    try:
        pixels = decode_picture(bytes(data), target=None, max_pixels=200_000)
    except UndecodablePicture:
        return
    assert pixels.bgr.shape == (pixels.height_px, pixels.width_px, 3)
