"""The JPEG decoder and encoder: asked about a file, and given work."""

from __future__ import annotations

from dataclasses import dataclass

import acl  # type: ignore[import-not-found, unused-ignore]
import numpy as np
from numpy.typing import NDArray

from dispatcher.acl_device.calls import check
from dispatcher.acl_device.dvpp.channel import Channel
from dispatcher.acl_device.dvpp.formats import PictureShape, PixelFormat
from dispatcher.acl_device.dvpp.picture import DevicePicture
from dispatcher.acl_device.memory import address_of


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegInfo:
    """What the decoder says of a file before it decodes: the size is that before any turn."""

    width_px: int
    height_px: int
    components: int


def read_info(data: NDArray[np.uint8]) -> JpegInfo:
    """Have the header of *data* (this program's memory) read; raises AclFailure."""
    width_px, height_px, components, code = acl.media.dvpp_jpeg_get_image_info(
        address_of(data), data.nbytes
    )
    check("acl.media.dvpp_jpeg_get_image_info", code)
    return JpegInfo(width_px=width_px, height_px=height_px, components=components)


def decoded_bytes(data: NDArray[np.uint8], form: PixelFormat) -> int:
    """Say how much memory the decoded picture wants; raises AclFailure."""
    size_bytes, code = acl.media.dvpp_jpeg_predict_dec_size(address_of(data), data.nbytes, form)
    check("acl.media.dvpp_jpeg_predict_dec_size", code)
    return int(size_bytes)


def queue_decode(channel: Channel, feed: tuple[int, int], target: DevicePicture) -> int:
    """Queue the decoding of *feed* (address and size in the units' memory) into *target*.

    Gives the handle of the target's description, good until the channel is synchronised. Raises
    AclFailure for what the decoder refuses by its header.
    """
    desc = channel.empty_picture(target.address, target.size_bytes)
    check(
        "acl.media.dvpp_set_pic_desc_format",
        acl.media.dvpp_set_pic_desc_format(desc, target.shape.format),
    )
    code = acl.media.dvpp_jpeg_decode_async(channel.handle, *feed, desc, channel.stream)
    check("acl.media.dvpp_jpeg_decode_async", code)
    return desc


def read_shape(desc: int) -> PictureShape:
    """Read what the decoder wrote of its picture; a turned one has its sides swapped."""
    media = acl.media
    return PictureShape(
        format=PixelFormat(media.dvpp_get_pic_desc_format(desc)),
        width_px=media.dvpp_get_pic_desc_width(desc),
        height_px=media.dvpp_get_pic_desc_height(desc),
        width_stride=media.dvpp_get_pic_desc_width_stride(desc),
        height_stride=media.dvpp_get_pic_desc_height_stride(desc),
    )


def encoder_settings(channel: Channel, quality: int) -> int:
    """Make the encoder's settings: *quality* from 1 to 100; raises AclFailure."""
    config = channel.settings("jpege")
    code = acl.media.dvpp_set_jpege_config_level(config, quality)
    check("acl.media.dvpp_set_jpege_config_level", code)
    return config


def encoded_bytes(source_desc: int, config: int) -> int:
    """Say how much memory the encoded picture may want; raises AclFailure."""
    size_bytes, code = acl.media.dvpp_jpeg_predict_enc_size(source_desc, config)
    check("acl.media.dvpp_jpeg_predict_enc_size", code)
    return int(size_bytes)


def queue_encode(
    channel: Channel, source_desc: int, target_address: int, size: NDArray[np.uint32], config: int
) -> None:
    """Queue the encoding to *target_address*, which has room for *size[0]* bytes.

    *size* holds the length once the channel is synchronised, and must live until then.
    """
    code = acl.media.dvpp_jpeg_encode_async(
        channel.handle, source_desc, target_address, address_of(size), config, channel.stream
    )
    check("acl.media.dvpp_jpeg_encode_async", code)
