"""Dynamic AIPP: the pixel unit in front of a model, set from the model card.

The card's value of a pixel is ``(pixel * scale - mean) / std``; the unit computes
``(pixel - mean_chn - min_chn) * var_reci`` with a whole ``mean_chn`` from 0 to 255 and
half-precision others. Pixels of three bytes arrive in the model's own colour order, so nothing is
swapped. NV12 is converted first, full range as in a JPEG, by a matrix whose rows are the model's
channels in its own order.
"""

from __future__ import annotations

import math
from contextlib import ExitStack

import acl  # type: ignore[import-not-found, unused-ignore]

from dispatcher.acl_device.calls import check, check_handle
from dispatcher.cards.card import ColourOrder, InputSpec, Layout

_YUV420SP_U8, _RGB888_U8 = 1, 3
# Rows of the conversion from Y, U and V, in 256ths; what is taken off before, and added after.
_RED, _GREEN, _BLUE = (256, 0, 359), (256, -88, -183), (256, 454, 0)
_BEFORE, _AFTER = (0, 128, 128), (0, 0, 0)
_LARGEST_MEAN = 255
# The fourth channel is that of formats with four bytes a pixel.
_UNUSED_MEAN, _UNUSED_MIN, _UNUSED_FACTOR = 0, 0.0, 1.0


def set_pixel_unit(model_id: int, dataset: int, index: int, *, batch: int, spec: InputSpec) -> None:
    """Fill input *index* of *dataset* with the conversion of *spec*; raises AclFailure.

    *batch* is the largest that the model runs. The setting stays in the dataset's buffer.
    """
    offsets = [mean / spec.scale for mean in spec.mean]
    wholes = [min(_LARGEST_MEAN, max(0, math.floor(offset))) for offset in offsets]
    rests = [offset - whole for offset, whole in zip(offsets, wholes, strict=True)]
    factors = [spec.scale / std for std in spec.std]
    mdl = acl.mdl
    with ExitStack() as closing:
        unit = check_handle("acl.mdl.create_aipp", mdl.create_aipp(batch))
        closing.callback(lambda: check("acl.mdl.destroy_aipp", mdl.destroy_aipp(unit)))
        _set_format(unit, spec)
        for item in range(batch):
            code = mdl.set_aipp_dtc_pixel_mean(unit, *wholes, _UNUSED_MEAN, item)
            check("acl.mdl.set_aipp_dtc_pixel_mean", code)
            code = mdl.set_aipp_dtc_pixel_min(unit, *rests, _UNUSED_MIN, item)
            check("acl.mdl.set_aipp_dtc_pixel_min", code)
            code = mdl.set_aipp_pixel_var_reci(unit, *factors, _UNUSED_FACTOR, item)
            check("acl.mdl.set_aipp_pixel_var_reci", code)
        code = mdl.set_input_aipp(model_id, dataset, index, unit)
        check("acl.mdl.set_input_aipp", code)


def _set_format(unit: int, spec: InputSpec) -> None:
    mdl, is_nv12 = acl.mdl, spec.layout is Layout.NV12
    code = mdl.set_aipp_input_format(unit, _YUV420SP_U8 if is_nv12 else _RGB888_U8)
    check("acl.mdl.set_aipp_input_format", code)
    code = mdl.set_aipp_src_image_size(unit, spec.width_px, spec.height_px)
    check("acl.mdl.set_aipp_src_image_size", code)
    if is_nv12:
        rows = (_RED, _GREEN, _BLUE)
        ordered = rows if spec.colour is ColourOrder.RGB else rows[::-1]
        matrix = (factor for row in ordered for factor in row)
        code = mdl.set_aipp_csc_params(unit, 1, *matrix, *_AFTER, *_BEFORE)
        check("acl.mdl.set_aipp_csc_params", code)
