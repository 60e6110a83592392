"""Tries a device out with work of gw's own, so that no client's picture is risked on a sick one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import numpy as np

from dispatcher.device.errors import DeviceLost
from dispatcher.device.link import Device
from dispatcher.models.repository import ModelVersion
from dispatcher.pictures.geometry import plan
from dispatcher.pictures.tensors import item_shape
from pipeline.errors import GwError, ModelFault

#: The picture that is made up where the model takes any size.
_SIDE_PX = 64


async def try_out(device: Device, versions: Sequence[ModelVersion], *, timeout_s: float) -> str:
    """Ask the device how it is and have it answer something; give what is wrong, empty if nothing.

    A loaded model runs on one black picture; without one the first of *versions* is described.
    """
    try:
        async with asyncio.timeout(2 * timeout_s):
            health = await device.health(timeout_s=timeout_s)
            if not health.healthy:
                return health.reason or "the device says that it is not healthy"
            loaded = list(device.loaded.values())
            if loaded:
                await _infer_black(device, loaded[0], timeout_s)
            elif versions:
                version = versions[0]
                await device.describe(version.card, version.path, timeout_s=timeout_s)
    except TimeoutError:
        return f"its probe did not end within {2 * timeout_s:g} s"
    except ModelFault as fault:
        # Only a loss is the device's: a model may refuse a black picture.
        return str(fault) if isinstance(fault, DeviceLost) else ""
    except GwError as exc:
        return str(exc)
    return ""


async def _infer_black(device: Device, version: ModelVersion, timeout_s: float) -> None:
    spec = version.card.input
    shape = item_shape(plan((_SIDE_PX, _SIDE_PX), spec), spec)
    size_bytes = math.prod(shape) * np.dtype(spec.dtype).itemsize
    block = await device.inputs.allocate(size_bytes)
    try:
        item = block.view(shape, spec.dtype)
        item[...] = 0
        (await device.infer(version.key, [item], timeout_s=timeout_s)).release()
    finally:
        block.release()
