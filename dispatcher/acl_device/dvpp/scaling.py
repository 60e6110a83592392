"""The scaling unit (VPC): what is queued for pictures in the units' memory."""

from __future__ import annotations

from enum import IntEnum

import acl  # type: ignore[import-not-found, unused-ignore]

from dispatcher.acl_device.calls import check
from dispatcher.acl_device.dvpp.channel import Channel
from dispatcher.acl_device.dvpp.formats import Region
from dispatcher.acl_device.dvpp.picture import DevicePicture


class Resampling(IntEnum):
    """How pixels are resampled, by ``acl.media``'s numbers."""

    #: The unit's own choice, which is linear or better.
    DEFAULT = 0
    LINEAR = 1
    NEAREST = 2


def queue_resize(
    channel: Channel,
    source: DevicePicture,
    target: DevicePicture,
    resampling: Resampling = Resampling.DEFAULT,
) -> None:
    """Queue the scaling of *source* to the size of *target*; raises AclFailure."""
    config = _resize_config(channel, resampling)
    code = acl.media.dvpp_vpc_resize_async(
        channel.handle, *_pair(channel, source, target), config, channel.stream
    )
    check("acl.media.dvpp_vpc_resize_async", code)


def queue_crop(
    channel: Channel, source: DevicePicture, crop: Region, target: DevicePicture
) -> None:
    """Queue the scaling of a region of *source* to the size of *target*; raises AclFailure."""
    code = acl.media.dvpp_vpc_crop_async(
        channel.handle, *_pair(channel, source, target), channel.region(crop), channel.stream
    )
    check("acl.media.dvpp_vpc_crop_async", code)


def queue_crop_and_paste(
    channel: Channel, source: DevicePicture, crop: Region, target: DevicePicture, paste: Region
) -> None:
    """Queue the scaling of a region of *source* onto one of *target*; the rest of that stays."""
    code = acl.media.dvpp_vpc_crop_and_paste_async(
        channel.handle,
        *_pair(channel, source, target),
        channel.region(crop),
        channel.region(paste),
        channel.stream,
    )
    check("acl.media.dvpp_vpc_crop_and_paste_async", code)


def queue_convert(channel: Channel, source: DevicePicture, target: DevicePicture) -> None:
    """Queue the conversion of *source* to the format of *target*, of one size with it."""
    code = acl.media.dvpp_vpc_convert_color_async(
        channel.handle, *_pair(channel, source, target), channel.stream
    )
    check("acl.media.dvpp_vpc_convert_color_async", code)


def _pair(channel: Channel, source: DevicePicture, target: DevicePicture) -> tuple[int, int]:
    return (
        channel.picture(source.shape, source.address, source.size_bytes),
        channel.picture(target.shape, target.address, target.size_bytes),
    )


def _resize_config(channel: Channel, resampling: Resampling) -> int:
    config = channel.settings("resize")
    if resampling is not Resampling.DEFAULT:
        code = acl.media.dvpp_set_resize_config_interpolation(config, resampling)
        check("acl.media.dvpp_set_resize_config_interpolation", code)
    return config
