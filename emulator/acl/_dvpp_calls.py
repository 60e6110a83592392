"""acl.media: memory, channels, picture descriptions and settings of the picture units."""

from __future__ import annotations

from typing import SupportsIndex, TypeVar

from acl import _codes
from acl._dvpp import (
    CHANNEL_DESC,
    DVPP_MEMORY,
    JPEGE,
    PIC_DESC,
    RESIZE,
    ROI,
    ChannelDesc,
    Choice,
    PicDesc,
    Roi,
)
from acl._machine import Machine, here
from acl._memory_calls import allocate, release
from acl._surface import exported

T = TypeVar("T")
_media = exported("acl.media")


def _find(machine: Machine, kind: str, handle: int, wanted: type[T], call: str) -> T | int:
    found = machine.ledger.get(kind, handle, wanted, call=call)
    if found is None:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no {kind} {handle:#x}")
    return found


def _destroy(kind: str, handle: int, wanted: type[object], call: str) -> int:
    machine = here()
    found = _find(machine, kind, handle, wanted, call)
    if isinstance(found, int):
        return found
    machine.ledger.remove(handle)
    return _codes.SUCCESS


@_media
def dvpp_malloc(size_bytes: int) -> tuple[int, int]:
    """Allocate memory for the picture units, aligned to 128 bytes."""
    return allocate(here(), size_bytes, DVPP_MEMORY, "acl.media.dvpp_malloc")


@_media
def dvpp_free(address: int) -> int:
    """Free what dvpp_malloc gave."""
    return release(here(), address, DVPP_MEMORY, "acl.media.dvpp_free")


@_media
def dvpp_create_channel_desc() -> int:
    """Describe a channel."""
    return here().ledger.add(CHANNEL_DESC, ChannelDesc())


@_media
def dvpp_destroy_channel_desc(desc: int) -> int:
    """Free a channel's description, after its channel."""
    machine, call = here(), "acl.media.dvpp_destroy_channel_desc"
    found = _find(machine, CHANNEL_DESC, desc, ChannelDesc, call)
    if isinstance(found, int):
        return found
    if found.is_open:
        text = f"{call}: destroy the channel first"
        return machine.fail(_codes.DVPP_RESOURCE_NOT_CLEARED, text)
    machine.ledger.remove(desc)
    return _codes.SUCCESS


@_media
def dvpp_create_channel(desc: int) -> int:
    """Open a channel."""
    machine, call = here(), "acl.media.dvpp_create_channel"
    if code := machine.not_ready(call):
        return code
    if machine.context() is None:
        return machine.without_context(call)
    found = _find(machine, CHANNEL_DESC, desc, ChannelDesc, call)
    if isinstance(found, int):
        return found
    channels = machine.ledger.of_kind(CHANNEL_DESC, ChannelDesc)
    limit = machine.configuration.channels
    if found.is_open or sum(channel.is_open for _, channel in channels) >= limit:
        text = f"{call}: it is open already, or {limit} others are"
        return machine.fail(_codes.RT_RESOURCE_ALLOC_FAIL, text)
    found.is_open = True
    return _codes.SUCCESS


@_media
def dvpp_destroy_channel(desc: int) -> int:
    """Close a channel."""
    machine, call = here(), "acl.media.dvpp_destroy_channel"
    found = _find(machine, CHANNEL_DESC, desc, ChannelDesc, call)
    if isinstance(found, int):
        return found
    if not found.is_open:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: the channel is not open")
    found.is_open = False
    return _codes.SUCCESS


@_media
def dvpp_create_pic_desc() -> int:
    """Describe a picture."""
    return here().ledger.add(PIC_DESC, PicDesc())


@_media
def dvpp_destroy_pic_desc(desc: int) -> int:
    """Free a picture's description, not its memory."""
    return _destroy(PIC_DESC, desc, PicDesc, "acl.media.dvpp_destroy_pic_desc")


def _set(desc: int, field: str, value: int) -> int:
    found = _find(here(), PIC_DESC, desc, PicDesc, f"acl.media.dvpp_set_pic_desc_{field}")
    if isinstance(found, int):
        return found
    setattr(found, field, value)
    return _codes.SUCCESS


def _get(desc: int, field: str) -> int:
    found = _find(here(), PIC_DESC, desc, PicDesc, f"acl.media.dvpp_get_pic_desc_{field}")
    return 0 if isinstance(found, int) else int(getattr(found, field))


@_media
def dvpp_set_pic_desc_data(desc: int, address: int) -> int:
    """Say where the picture lies."""
    return _set(desc, "data", address)


@_media
def dvpp_set_pic_desc_size(desc: int, size_bytes: SupportsIndex) -> int:
    """Say how large its memory is."""
    return _set(desc, "size", int(size_bytes))


@_media
def dvpp_set_pic_desc_format(desc: int, form: SupportsIndex) -> int:
    """Say how its pixels are laid out."""
    return _set(desc, "format", int(form))


@_media
def dvpp_set_pic_desc_width(desc: int, width_px: SupportsIndex) -> int:
    """Say how wide it is."""
    return _set(desc, "width", int(width_px))


@_media
def dvpp_set_pic_desc_height(desc: int, height_px: SupportsIndex) -> int:
    """Say how high it is."""
    return _set(desc, "height", int(height_px))


@_media
def dvpp_set_pic_desc_width_stride(desc: int, stride: SupportsIndex) -> int:
    """Say how many bytes a row takes."""
    return _set(desc, "width_stride", int(stride))


@_media
def dvpp_set_pic_desc_height_stride(desc: int, stride: SupportsIndex) -> int:
    """Say how many rows a plane takes."""
    return _set(desc, "height_stride", int(stride))


@_media
def dvpp_get_pic_desc_data(desc: int) -> int:
    """Give where the picture lies."""
    return _get(desc, "data")


@_media
def dvpp_get_pic_desc_size(desc: int) -> int:
    """Give how large its memory, or what was written of it, is."""
    return _get(desc, "size")


@_media
def dvpp_get_pic_desc_format(desc: int) -> int:
    """Give how its pixels are laid out."""
    return _get(desc, "format")


@_media
def dvpp_get_pic_desc_width(desc: int) -> int:
    """Give how wide it is."""
    return _get(desc, "width")


@_media
def dvpp_get_pic_desc_height(desc: int) -> int:
    """Give how high it is."""
    return _get(desc, "height")


@_media
def dvpp_get_pic_desc_width_stride(desc: int) -> int:
    """Give how many bytes a row takes."""
    return _get(desc, "width_stride")


@_media
def dvpp_get_pic_desc_height_stride(desc: int) -> int:
    """Give how many rows a plane takes."""
    return _get(desc, "height_stride")


@_media
def dvpp_get_pic_desc_ret_code(desc: int) -> int:
    """Give the code of the work that wrote it last."""
    return _get(desc, "ret_code")


@_media
def dvpp_create_roi_config(
    left: SupportsIndex, right: SupportsIndex, top: SupportsIndex, bottom: SupportsIndex
) -> int:
    """Describe a rectangle, both ends included."""
    return here().ledger.add(ROI, Roi(int(left), int(right), int(top), int(bottom)))


@_media
def dvpp_destroy_roi_config(config: int) -> int:
    """Free a rectangle."""
    return _destroy(ROI, config, Roi, "acl.media.dvpp_destroy_roi_config")


@_media
def dvpp_create_resize_config() -> int:
    """Make the settings of a resize."""
    return here().ledger.add(RESIZE, Choice())


@_media
def dvpp_destroy_resize_config(config: int) -> int:
    """Free the settings of a resize."""
    return _destroy(RESIZE, config, Choice, "acl.media.dvpp_destroy_resize_config")


@_media
def dvpp_set_resize_config_interpolation(config: int, interpolation: SupportsIndex) -> int:
    """Choose the interpolation; 0 and 1 are linear, 2 is the nearest pixel."""
    machine, call = here(), "acl.media.dvpp_set_resize_config_interpolation"
    found = _find(machine, RESIZE, config, Choice, call)
    if isinstance(found, int):
        return found
    if int(interpolation) not in range(5):
        return machine.fail(_codes.INVALID_PARAM, f"{call}: {int(interpolation)}")
    found.value = int(interpolation)
    return _codes.SUCCESS


@_media
def dvpp_get_resize_config_interpolation(config: int) -> int:
    """Give the interpolation."""
    call = "acl.media.dvpp_get_resize_config_interpolation"
    found = _find(here(), RESIZE, config, Choice, call)
    return 0 if isinstance(found, int) else found.value


@_media
def dvpp_create_jpege_config() -> int:
    """Make the settings of the encoder."""
    return here().ledger.add(JPEGE, Choice(100))


@_media
def dvpp_destroy_jpege_config(config: int) -> int:
    """Free the settings of the encoder."""
    return _destroy(JPEGE, config, Choice, "acl.media.dvpp_destroy_jpege_config")


@_media
def dvpp_set_jpege_config_level(config: int, level: SupportsIndex) -> int:
    """Choose the quality: 1..100, 0 stands for 100."""
    machine, call = here(), "acl.media.dvpp_set_jpege_config_level"
    found = _find(machine, JPEGE, config, Choice, call)
    if isinstance(found, int):
        return found
    if not 0 <= int(level) <= 100:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: level {int(level)}")
    found.value = int(level) or 100
    return _codes.SUCCESS


@_media
def dvpp_get_jpege_config_level(config: int) -> int:
    """Give the quality."""
    found = _find(here(), JPEGE, config, Choice, "acl.media.dvpp_get_jpege_config_level")
    return 0 if isinstance(found, int) else found.value
