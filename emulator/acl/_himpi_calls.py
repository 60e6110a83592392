"""acl.himpi: the scaling unit through the second interface.

Codes are unsigned here. Boards have been seen where no channel can be created from Python; that is
the state out of the box (``himpi_channels = false``), so that programs keep their other way alive.
"""

from __future__ import annotations

from typing import Any, SupportsIndex

import numpy as np

from acl._dvpp import DVPP_MEMORY, pixels_of
from acl._dvpp import PicDesc as Picture
from acl._machine import Machine, here
from acl._memory_calls import allocate, release
from acl._pixels import SUPPORTED, buffer_bytes, pack, row_bytes, unpack
from acl._surface import exported
from acl._vpc_calls import scale

_himpi = exported("acl.himpi")

CHANNEL = "himpi vpc channel"
_SUCCESS = 0
_NOT_READY = 0xA0078010
_INVALID_PARAM = 0xA0078003
_NO_CHANNEL = 0xA0078005
_KEYS = ("width", "height", "width_stride", "height_stride", "format")


class Channel:
    """A channel with the code of each task that was not asked for yet."""

    def __init__(self) -> None:
        self.results: dict[int, int] = {}
        self.tasks = 0


class _System:
    machine: Machine | None = None


def _fail(machine: Machine, code: int, text: str) -> int:
    machine.fail(code, text)
    return code


@_himpi
def sys_init() -> int:
    """Begin; acl.init and a device come first."""
    machine, call = here(), "acl.himpi.sys_init"
    if machine.not_ready(call) or machine.context() is None:
        return _fail(machine, _NOT_READY, f"{call}: acl is not initialised, or no device is set")
    _System.machine = machine
    return _SUCCESS


@_himpi
def sys_exit() -> int:
    """End."""
    _System.machine = None
    return _SUCCESS


@_himpi
def dvpp_malloc(device_id: SupportsIndex, size_bytes: int) -> tuple[int, int]:
    """Allocate memory for the picture units."""
    address, code = allocate(here(), size_bytes, DVPP_MEMORY, "acl.himpi.dvpp_malloc")
    return address, _INVALID_PARAM if code else _SUCCESS


@_himpi
def dvpp_free(address: int) -> int:
    """Free what dvpp_malloc gave."""
    code = release(here(), address, DVPP_MEMORY, "acl.himpi.dvpp_free")
    return _INVALID_PARAM if code else _SUCCESS


def _create(machine: Machine, number: int | None, call: str) -> tuple[int, int]:
    if _System.machine is not machine:
        return 0, _fail(machine, _NOT_READY, f"{call}: acl.himpi.sys_init was not called")
    if not machine.configuration.himpi_channels:
        text = f"{call}: no channel can be created here; use acl.media"
        return 0, _fail(machine, _NO_CHANNEL, text)
    taken = {handle for handle, _ in machine.ledger.of_kind(CHANNEL, Channel)}
    free = [one for one in range(machine.configuration.channels) if one not in taken]
    chosen = number if number is not None else (free[0] if free else -1)
    if chosen not in free:
        return 0, _fail(machine, _NO_CHANNEL, f"{call}: channel {chosen} is not free")
    return machine.ledger.add(CHANNEL, Channel(), handle=chosen), _SUCCESS


@_himpi
def vpc_sys_create_chn(attributes: dict[str, Any]) -> tuple[int, int]:
    """Open any free channel."""
    return _create(here(), None, "acl.himpi.vpc_sys_create_chn")


@_himpi
def vpc_create_chn(channel: SupportsIndex, attributes: dict[str, Any]) -> int:
    """Open a channel of one's choice."""
    return _create(here(), int(channel), "acl.himpi.vpc_create_chn")[1]


def _channel(machine: Machine, number: int, call: str) -> Channel | None:
    found = machine.ledger.peek(CHANNEL, number, Channel)
    if found is None:
        _fail(machine, _INVALID_PARAM, f"{call}: channel {number} is not open")
    return found


@_himpi
def vpc_destroy_chn(channel: SupportsIndex) -> int:
    """Close a channel."""
    machine, number = here(), int(channel)
    if _channel(machine, number, "acl.himpi.vpc_destroy_chn") is None:
        return _INVALID_PARAM
    machine.ledger.remove(number)
    return _SUCCESS


def _picture(machine: Machine, given: dict[str, Any], call: str) -> Picture | None:
    try:
        values = {key: int(given[f"picture_{key}"]) for key in _KEYS}
        picture = Picture(
            data=int(given["picture_address"]), size=int(given["picture_buffer_size"]), **values
        )
    except (KeyError, TypeError, ValueError) as error:
        _fail(machine, _INVALID_PARAM, f"{call}: the picture has no right {error}")
        return None
    fits = (
        picture.format in SUPPORTED
        and picture.width_stride >= row_bytes(picture.format, picture.width)
        and picture.height_stride >= picture.height
        and picture.size
        >= buffer_bytes(picture.format, picture.width_stride, picture.height_stride)
    )
    if not fits:
        _fail(machine, _INVALID_PARAM, f"{call}: {given} does not fit together")
        return None
    return picture


@_himpi
def vpc_resize(  # noqa: PLR0913, PLR0917 - the binding's own signature
    channel: SupportsIndex,
    source: dict[str, Any],
    target: dict[str, Any],
    across: float,
    down: float,
    interpolation: SupportsIndex,
    timeout_ms: SupportsIndex,
) -> tuple[int, int]:
    """Scale a picture to the target's size; gives the task to ask for."""
    machine, call = here(), "acl.himpi.vpc_resize"
    found = _channel(machine, int(channel), call)
    given = _picture(machine, source, call)
    wanted = _picture(machine, target, call)
    if found is None or given is None or wanted is None:
        return 0, _INVALID_PARAM
    raw_in, raw_out = pixels_of(machine, given, call), pixels_of(machine, wanted, call)
    if raw_in is None or raw_out is None:
        return 0, _INVALID_PARAM
    strides = (given.width_stride, given.height_stride)
    pixels = unpack(raw_in, given.format, (given.width, given.height), strides)
    scaled = scale(np.ascontiguousarray(pixels), wanted.width, wanted.height, int(interpolation))
    pack(scaled, raw_out, wanted.format, (wanted.width_stride, wanted.height_stride))
    found.tasks += 1
    found.results[found.tasks] = _SUCCESS
    return found.tasks, _SUCCESS


@_himpi
def vpc_get_process_result(
    channel: SupportsIndex, task: SupportsIndex, timeout_ms: SupportsIndex
) -> int:
    """Wait for a task and give its code."""
    machine, call = here(), "acl.himpi.vpc_get_process_result"
    found = _channel(machine, int(channel), call)
    if found is None or int(task) not in found.results:
        return _fail(machine, _INVALID_PARAM, f"{call}: no task {int(task)}")
    return found.results.pop(int(task))


def _no_decoder(call: str) -> int:
    return _fail(here(), _NO_CHANNEL, f"{call}: the decoder has no channel here; use acl.media")


@_himpi
def vdec_create_chn(channel: SupportsIndex, attributes: dict[str, Any]) -> int:
    """Say that there is no decoder channel."""
    return _no_decoder("acl.himpi.vdec_create_chn")
