"""Dynamic AIPP: the pixel unit in front of a model, set from the model card.

The card's value of a pixel is ``(pixel * scale - mean) / std``; the unit computes
``(pixel - mean_chn - min_chn) * var_reci`` with a whole ``mean_chn`` and half-precision others.
Pixels arrive in the model's own colour order, so nothing is swapped or converted.
"""

from __future__ import annotations

import math
from contextlib import ExitStack

import acl  # type: ignore[import-not-found, unused-ignore]

from dispatcher.acl_device.calls import check, check_handle
from dispatcher.cards.card import InputSpec

_RGB888_U8 = 3
# The fourth channel is that of formats with four bytes a pixel.
_UNUSED_MEAN, _UNUSED_MIN, _UNUSED_FACTOR = 0, 0.0, 1.0


def set_pixel_unit(model_id: int, dataset: int, index: int, *, batch: int, spec: InputSpec) -> None:
    """Fill input *index* of *dataset* with the conversion of *spec*; raises AclFailure.

    *batch* is the largest that the model runs. The setting stays in the dataset's buffer.
    """
    offsets = [mean / spec.scale for mean in spec.mean]
    wholes = [math.floor(offset) for offset in offsets]
    rests = [offset - whole for offset, whole in zip(offsets, wholes, strict=True)]
    factors = [spec.scale / std for std in spec.std]
    mdl = acl.mdl
    with ExitStack() as closing:
        unit = check_handle("acl.mdl.create_aipp", mdl.create_aipp(batch))
        closing.callback(lambda: check("acl.mdl.destroy_aipp", mdl.destroy_aipp(unit)))
        check("acl.mdl.set_aipp_input_format", mdl.set_aipp_input_format(unit, _RGB888_U8))
        code = mdl.set_aipp_src_image_size(unit, spec.width_px, spec.height_px)
        check("acl.mdl.set_aipp_src_image_size", code)
        for item in range(batch):
            code = mdl.set_aipp_dtc_pixel_mean(unit, *wholes, _UNUSED_MEAN, item)
            check("acl.mdl.set_aipp_dtc_pixel_mean", code)
            code = mdl.set_aipp_dtc_pixel_min(unit, *rests, _UNUSED_MIN, item)
            check("acl.mdl.set_aipp_dtc_pixel_min", code)
            code = mdl.set_aipp_pixel_var_reci(unit, *factors, _UNUSED_FACTOR, item)
            check("acl.mdl.set_aipp_pixel_var_reci", code)
        code = mdl.set_input_aipp(model_id, dataset, index, unit)
        check("acl.mdl.set_input_aipp", code)
