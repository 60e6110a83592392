"""The pixel unit (AIPP): from picture bytes to the model's input, built in or set at run time.

The steps in order: channel swap, crop, colour conversion, ``(in - mean - min) * var_reci``,
padding.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from acl._gears import static_aipp
from acl._onnx_library import OnnxFailure

if TYPE_CHECKING:
    from omfile.facts import OmFile

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

#: Input formats by the number that set_aipp_input_format takes.
FORMATS = {1: "YUV420SP_U8", 2: "XRGB8888_U8", 3: "RGB888_U8", 4: "YUV400_U8", 7: "ARGB8888_U8"}
_CHANNELS = {"XRGB8888_U8": 4, "ARGB8888_U8": 4, "RGB888_U8": 3, "YUV400_U8": 1}

#: The hidden input: one head, then one part for each picture of the largest batch.
HEAD = struct.Struct("<BbbbB3xii9h6x6B2x16x")
PART = struct.Struct("<bbbb4x4i16x4i4h4e4e16x")


@dataclass(slots=True)
class PictureSettings:
    """What is done to one picture. Crop and padding are None where they are off."""

    crop: tuple[int, int, int, int] | None = None  # x, y, width, height
    padding: tuple[int, int, int, int] | None = None  # top, bottom, left, right
    mean: tuple[float, ...] = (0.0,) * 4
    least: tuple[float, ...] = (0.0,) * 4
    var_reci: tuple[float, ...] = (1.0,) * 4


@dataclass(slots=True)
class Settings:
    """What is done to every picture, and *pictures* for each of them."""

    format: str = ""
    width_px: int = 0
    height_px: int = 0
    csc: bool = False
    rbuv_swap: bool = False
    ax_swap: bool = False
    matrix: tuple[int, ...] = (0,) * 9
    input_bias: tuple[int, ...] = (0,) * 3
    output_bias: tuple[int, ...] = (0,) * 3
    padding_value: float = 0.0
    pictures: list[PictureSettings] = field(default_factory=list)


def static_settings(om: OmFile, index: int, dims: Sequence[int]) -> Settings | None:
    """Give the conversion that is built in front of input *index*, None where there is none."""
    config = static_aipp(om, index)
    if config is None:
        return None
    crop = None
    if config.crop:
        x, y = config.load_start_pos_w, config.load_start_pos_h
        crop = (x, y, config.crop_size_w or dims[2], config.crop_size_h or dims[1])
    padding = None
    if config.padding:
        vertical = (config.top_padding_size, config.bottom_padding_size)
        padding = (*vertical, config.left_padding_size, config.right_padding_size)
    picture = PictureSettings(crop, padding, config.mean, config.min, config.var_reci)
    return Settings(
        format=config.input_format,
        width_px=config.src_image_size_w or dims[2],
        height_px=config.src_image_size_h or dims[1],
        csc=config.csc_switch,
        rbuv_swap=config.rbuv_swap_switch,
        ax_swap=config.ax_swap_switch,
        matrix=config.matrix,
        input_bias=config.input_bias,
        output_bias=config.output_bias,
        padding_value=config.padding_value,
        pictures=[picture] * dims[0],
    )


def dynamic_settings(raw: bytes) -> Settings:
    """Read the conversion from the hidden input's bytes."""
    (form, csc, rbuv, ax, count, width, height, *rest) = HEAD.unpack_from(raw)
    settings = Settings(
        format=FORMATS.get(form, ""),
        width_px=width,
        height_px=height,
        csc=bool(csc),
        rbuv_swap=bool(rbuv),
        ax_swap=bool(ax),
        matrix=tuple(rest[:9]),
        output_bias=tuple(rest[9:12]),
        input_bias=tuple(rest[12:15]),
    )
    for index in range(count):
        values = PART.unpack_from(raw, HEAD.size + index * PART.size)
        settings.pictures.append(
            PictureSettings(
                crop=tuple(values[4:8]) if values[0] else None,
                padding=tuple(values[8:12]) if values[2] else None,
                mean=tuple(values[12:16]),
                least=tuple(values[16:20]),
                var_reci=tuple(values[20:24]),
            )
        )
    return settings


def write_settings(settings: Settings) -> bytes:
    """Write the bytes of the hidden input."""
    form = next((number for number, name in FORMATS.items() if name == settings.format), 0)
    switches = (int(settings.csc), int(settings.rbuv_swap), int(settings.ax_swap))
    size = (settings.width_px, settings.height_px)
    biases = (*settings.output_bias, *settings.input_bias)
    count = len(settings.pictures)
    raw = [HEAD.pack(form, *switches, count, *size, *settings.matrix, *biases)]
    for picture in settings.pictures:
        crop, padding = picture.crop or (0,) * 4, picture.padding or (0,) * 4
        on = (int(picture.crop is not None), 0, int(picture.padding is not None), 0)
        mean = (int(value) for value in picture.mean)
        raw.append(PART.pack(*on, *crop, *padding, *mean, *picture.least, *picture.var_reci))
    return b"".join(raw)


def picture_bytes(settings: Settings) -> int:
    """Give the bytes of one picture before the conversion."""
    pixels = settings.width_px * settings.height_px
    if settings.format == "YUV420SP_U8":
        return pixels * 3 // 2
    return pixels * _CHANNELS.get(settings.format, 0)


def convert(
    raw: npt.NDArray[np.uint8], settings: Settings, dims: Sequence[int], graph: Sequence[int]
) -> Floats:
    """Give the model's input from picture bytes; *dims* is (N, H, W, C), *graph* the graph's own.

    Raises OnnxFailure if the result does not fit the model.
    """
    each = picture_bytes(settings)
    count = dims[0]
    if not each or raw.size < each * count or len(settings.pictures) < count:
        text = f"AIPP: {settings.format or 'no format'}, {raw.size} bytes, {count} pictures"
        raise OnnxFailure(f"{text} of {each} bytes")
    pictures = [
        _picture(raw[index * each : (index + 1) * each], settings, settings.pictures[index])
        for index in range(count)
    ]
    batch = np.stack(pictures)[..., : dims[3]]
    if batch.shape[1:3] != tuple(dims[1:3]):
        raise OnnxFailure(f"AIPP: gives {batch.shape[1:3]}, the model takes {tuple(dims[1:3])}")
    is_nhwc = len(graph) == 4 and graph[3] == dims[3] and graph[1] != dims[3]
    return batch if is_nhwc else np.ascontiguousarray(batch.transpose(0, 3, 1, 2))


def _picture(raw: npt.NDArray[np.uint8], settings: Settings, own: PictureSettings) -> Floats:
    pixels = _unpack(raw, settings).astype(np.float32)
    if own.crop is not None:
        x, y, width, height = own.crop
        pixels = pixels[y : y + height, x : x + width]
        if pixels.shape[:2] != (height, width):
            raise OnnxFailure(f"AIPP: the crop {own.crop} is not inside the picture")
    if settings.csc:
        matrix = np.array(settings.matrix, np.float32).reshape(3, 3)
        shifted = pixels[..., :3] - np.array(settings.input_bias, np.float32)
        turned = shifted @ matrix.T / 256 + np.array(settings.output_bias, np.float32)
        pixels = np.clip(np.rint(turned), 0, 255)
    channels = pixels.shape[2]
    mean = np.array(own.mean[:channels], np.float32) + np.array(own.least[:channels], np.float32)
    pixels = (pixels - mean) * np.array(own.var_reci[:channels], np.float32)
    if own.padding is not None:
        top, bottom, left, right = own.padding
        sides = ((top, bottom), (left, right), (0, 0))
        pixels = np.pad(pixels, sides, constant_values=settings.padding_value)
    return pixels.astype(np.float32)


def _unpack(raw: npt.NDArray[np.uint8], settings: Settings) -> npt.NDArray[np.uint8]:
    """Give (H, W, C) bytes, channels swapped as the switches say."""
    width, height = settings.width_px, settings.height_px
    if settings.format == "YUV420SP_U8":
        luma = raw[: width * height].reshape(height, width, 1)
        chroma = raw[width * height :].reshape(height // 2, width // 2, 2)
        chroma = chroma[..., ::-1] if settings.rbuv_swap else chroma
        return np.concatenate([luma, chroma.repeat(2, 0).repeat(2, 1)], axis=2)
    pixels = raw.reshape(height, width, _CHANNELS[settings.format])
    if pixels.shape[2] == 4:
        # The unit works on the three colours; the fourth channel comes first if ax_swap is on.
        pixels = np.roll(pixels, -1, axis=2) if settings.ax_swap else pixels
    if settings.rbuv_swap and pixels.shape[2] >= 3:
        pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    return pixels
