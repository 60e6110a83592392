"""acl.mdl: the pixel unit that is set at run time."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any, SupportsIndex

from acl import _codes, _gears, _models
from acl._aipp import FORMATS, PictureSettings, Settings, picture_bytes, write_settings
from acl._execute_calls import hidden_buffer
from acl._machine import Machine, here
from acl._surface import exported
from omfile.facts import DYNAMIC_AIPP_INPUT

_mdl = exported("acl.mdl")
AIPP = "aipp"
_MOST_PICTURES = 127
_MOST_PADDING_PX = 32
_INT16 = range(-32768, 32768)


@dataclass(slots=True, eq=False)
class AippSet:
    """The settings that a program is putting together."""

    settings: Settings = field(default_factory=Settings)


@_mdl
def create_aipp(batch: int) -> int:
    """Make settings for *batch* pictures; 0 for an impossible number."""
    machine = here()
    if not 1 <= batch <= _MOST_PICTURES:
        machine.fail(_codes.INVALID_PARAM, f"acl.mdl.create_aipp: a batch of {batch}")
        return 0
    made = AippSet()
    made.settings.pictures = [PictureSettings() for _ in range(batch)]
    return machine.ledger.add(AIPP, made)


@_mdl
def destroy_aipp(aipp: int) -> int:
    """Free settings."""
    machine, call = here(), "acl.mdl.destroy_aipp"
    found, code = _settings(machine, aipp, call)
    if found is not None:
        machine.ledger.remove(aipp)
    return code


def _settings(machine: Machine, aipp: int, call: str) -> tuple[Settings | None, int]:
    found = machine.ledger.get(AIPP, aipp, AippSet, call=call)
    if found is None:
        return None, machine.fail(_codes.INVALID_PARAM, f"{call}: no aipp {aipp:#x}")
    return found.settings, 0


def _picture(
    machine: Machine, aipp: int, index: SupportsIndex, call: str
) -> tuple[PictureSettings | None, int]:
    settings, code = _settings(machine, aipp, call)
    if settings is None:
        return None, code
    if not 0 <= int(index) < len(settings.pictures):
        text = f"{call}: picture {int(index)} of {len(settings.pictures)}"
        return None, machine.fail(_codes.INVALID_PARAM, text)
    return settings.pictures[int(index)], 0


@_mdl
def set_aipp_input_format(aipp: int, form: SupportsIndex) -> int:
    """Say what the pictures' bytes are."""
    machine, call = here(), "acl.mdl.set_aipp_input_format"
    settings, code = _settings(machine, aipp, call)
    if settings is None:
        return code
    if int(form) not in FORMATS:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: format {int(form)}")
    settings.format = FORMATS[int(form)]
    return _codes.SUCCESS


@_mdl
def set_aipp_src_image_size(aipp: int, width_px: SupportsIndex, height_px: SupportsIndex) -> int:
    """Say how large the pictures are."""
    machine, call = here(), "acl.mdl.set_aipp_src_image_size"
    settings, code = _settings(machine, aipp, call)
    if settings is None:
        return code
    width, height = int(width_px), int(height_px)
    odd = settings.format == "YUV420SP_U8" and (width % 2 or height % 2)
    if not 2 <= width <= 4096 or not 1 <= height <= 4096 or odd:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: {width}x{height}")
    settings.width_px, settings.height_px = width, height
    return _codes.SUCCESS


@_mdl
def set_aipp_crop_params(  # noqa: PLR0913, PLR0917 - the binding's own signature
    aipp: int,
    switch: SupportsIndex,
    x: SupportsIndex,
    y: SupportsIndex,
    width_px: SupportsIndex,
    height_px: SupportsIndex,
    index: int,
) -> int:
    """Cut a rectangle out of picture *index*."""
    machine, call = here(), "acl.mdl.set_aipp_crop_params"
    picture, code = _picture(machine, aipp, index, call)
    if picture is None:
        return code
    crop = (int(x), int(y), int(width_px), int(height_px))
    if min(crop) < 0:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: {crop}")
    picture.crop = crop if int(switch) else None
    return _codes.SUCCESS


@_mdl
def set_aipp_padding_params(  # noqa: PLR0913, PLR0917 - the binding's own signature
    aipp: int,
    switch: SupportsIndex,
    top: SupportsIndex,
    bottom: SupportsIndex,
    left: SupportsIndex,
    right: SupportsIndex,
    index: int,
) -> int:
    """Put a border around picture *index*, at most 32 pixels a side."""
    machine, call = here(), "acl.mdl.set_aipp_padding_params"
    picture, code = _picture(machine, aipp, index, call)
    if picture is None:
        return code
    padding = (int(top), int(bottom), int(left), int(right))
    if min(padding) < 0 or max(padding) > _MOST_PADDING_PX:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: {padding}")
    picture.padding = padding if int(switch) else None
    return _codes.SUCCESS


@_mdl
def set_aipp_csc_params(  # noqa: PLR0913, PLR0917 - the binding's own signature
    aipp: int,
    switch: SupportsIndex,
    r0c0: SupportsIndex,
    r0c1: SupportsIndex,
    r0c2: SupportsIndex,
    r1c0: SupportsIndex,
    r1c1: SupportsIndex,
    r1c2: SupportsIndex,
    r2c0: SupportsIndex,
    r2c1: SupportsIndex,
    r2c2: SupportsIndex,
    output_bias_0: SupportsIndex,
    output_bias_1: SupportsIndex,
    output_bias_2: SupportsIndex,
    input_bias_0: SupportsIndex,
    input_bias_1: SupportsIndex,
    input_bias_2: SupportsIndex,
) -> int:
    """Set the colour conversion: a matrix in 256ths, what is added after and taken off before."""
    machine, call = here(), "acl.mdl.set_aipp_csc_params"
    settings, code = _settings(machine, aipp, call)
    if settings is None:
        return code
    matrix = tuple(map(int, (r0c0, r0c1, r0c2, r1c0, r1c1, r1c2, r2c0, r2c1, r2c2)))
    after = tuple(map(int, (output_bias_0, output_bias_1, output_bias_2)))
    before = tuple(map(int, (input_bias_0, input_bias_1, input_bias_2)))
    if any(value not in _INT16 for value in matrix) or not all(
        0 <= value <= 255 for value in (*after, *before)
    ):
        return machine.fail(_codes.INVALID_PARAM, f"{call}: {matrix}, {after}, {before}")
    settings.csc = bool(int(switch))
    settings.matrix, settings.output_bias, settings.input_bias = matrix, after, before
    return _codes.SUCCESS


@_mdl
def set_aipp_rbuv_swap_switch(aipp: int, switch: SupportsIndex) -> int:
    """Swap red and blue, or U and V."""
    settings, code = _settings(here(), aipp, "acl.mdl.set_aipp_rbuv_swap_switch")
    if settings is not None:
        settings.rbuv_swap = bool(int(switch))
    return code


@_mdl
def set_aipp_ax_swap_switch(aipp: int, switch: SupportsIndex) -> int:
    """Take the first of four channels as the one that is left out."""
    settings, code = _settings(here(), aipp, "acl.mdl.set_aipp_ax_swap_switch")
    if settings is not None:
        settings.ax_swap = bool(int(switch))
    return code


@_mdl
def set_aipp_dtc_pixel_mean(
    aipp: int,
    c0: SupportsIndex,
    c1: SupportsIndex,
    c2: SupportsIndex,
    c3: SupportsIndex,
    index: int,
) -> int:
    """Set the means of the channels of picture *index*."""
    picture, code = _picture(here(), aipp, index, "acl.mdl.set_aipp_dtc_pixel_mean")
    if picture is not None:
        picture.mean = (float(int(c0)), float(int(c1)), float(int(c2)), float(int(c3)))
    return code


@_mdl
def set_aipp_dtc_pixel_min(
    aipp: int, c0: float, c1: float, c2: float, c3: float, index: int
) -> int:
    """Set the minima of the channels of picture *index*."""
    picture, code = _picture(here(), aipp, index, "acl.mdl.set_aipp_dtc_pixel_min")
    if picture is not None:
        picture.least = (c0, c1, c2, c3)
    return code


@_mdl
def set_aipp_pixel_var_reci(
    aipp: int, c0: float, c1: float, c2: float, c3: float, index: int
) -> int:
    """Set the factors of the channels of picture *index*."""
    picture, code = _picture(here(), aipp, index, "acl.mdl.set_aipp_pixel_var_reci")
    if picture is not None:
        picture.var_reci = (c0, c1, c2, c3)
    return code


@_mdl
def set_input_aipp(  # noqa: PLR0911 - one answer for each thing that can be wrong
    model_id: int, dataset: int, index: int, aipp: int
) -> int:
    """Give the settings to the runs that follow."""
    machine, call = here(), "acl.mdl.set_input_aipp"
    model, code = _models.find(machine, model_id, call)
    if model is None:
        return code
    settings, code = _settings(machine, aipp, call)
    if settings is None:
        return code
    if model.om.aipp.mode != "dynamic":
        text = f"{call}: the model has no pixel unit that is set at run time"
        return machine.fail(_codes.GE_AIPP_NOT_EXIST, text)
    batch = _gears.items(model.om, _gears.largest(model.om))
    picture = next(tensor for tensor in model.om.inputs if not tensor.is_hidden)
    if len(settings.pictures) != batch or not 0 < picture_bytes(settings) <= picture.size_bytes:
        text = f"{call}: {len(settings.pictures)} pictures of {picture_bytes(settings)} bytes"
        text = f"{text} for a batch of {batch} in {picture.size_bytes} bytes"
        return machine.fail(_codes.GE_PARAM_INVALID, text)
    buffer = hidden_buffer(machine, model, (dataset, index), DYNAMIC_AIPP_INPUT, call)
    if isinstance(buffer, int):
        return buffer
    raw = write_settings(settings)
    span = machine.memory.span(buffer.address, len(raw), call=call)
    if span is None or buffer.size_bytes < len(raw):
        return machine.fail(_codes.GE_PARAM_INVALID, f"{call}: {len(raw)} bytes are needed")
    ctypes.memmove(span.real, raw, len(raw))
    buffer.value_set = buffer.address
    return _codes.SUCCESS


@_mdl
def get_first_aipp_info(model_id: int, index: int) -> tuple[dict[str, Any] | None, int]:
    """Give the built-in conversion in front of an input, None where there is none."""
    machine, call = here(), "acl.mdl.get_first_aipp_info"
    model, code = _models.find(machine, model_id, call)
    if model is None:
        return None, code
    config = _gears.static_aipp(model.om, index)
    if config is None:
        text = f"{call}: nothing is built in front of input {index}"
        return None, machine.fail(_codes.GE_AIPP_NOT_EXIST, text)
    form = next(number for number, name in FORMATS.items() if name == config.input_format)
    info = {
        "inputFormat": form,
        "srcImageSizeW": config.src_image_size_w,
        "srcImageSizeH": config.src_image_size_h,
        "cropSwitch": int(config.crop),
        "loadStartPosW": config.load_start_pos_w,
        "loadStartPosH": config.load_start_pos_h,
        "cropSizeW": config.crop_size_w,
        "cropSizeH": config.crop_size_h,
        "cscSwitch": int(config.csc_switch),
        "rbuvSwapSwitch": int(config.rbuv_swap_switch),
        "axSwapSwitch": int(config.ax_swap_switch),
        "paddingSwitch": int(config.padding),
    }
    return info, _codes.SUCCESS
