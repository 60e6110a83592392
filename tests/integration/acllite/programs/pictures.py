"""Every kind of picture and of picture work, in the new and old names at once."""

import sys

import acl
import cv2
import numpy as np

from acllite import constants as const
from acllite import utils
from acllite.acllite_image import AclLiteImage
from acllite.acllite_imageproc import AclLiteImageProc
from acllite.resource import AclLiteResource


def colour(picture, region):
    """Give the mean colour, red first, of a region (rows, columns) of an NV12 picture."""
    data = picture.copy_to_host().byte_data_to_np_array()
    rows, luma_rows = picture.alignWidth, picture.alignHeight
    luma = data[: rows * luma_rows].reshape(luma_rows, rows).astype(float)
    chroma = data[rows * luma_rows :].reshape(luma_rows // 2, rows // 2, 2).astype(float) - 128
    u, v = chroma.repeat(2, 0).repeat(2, 1).transpose(2, 0, 1)
    # JPEG's colours have the full range.
    rgb = np.stack((luma + 1.402 * v, luma - 0.344 * u - 0.714 * v, luma + 1.772 * u), axis=-1)
    return [round(float(value)) for value in rgb[region].mean(axis=(0, 1))]


def main():
    """Print what the test compares."""
    jpg, png, out = sys.argv[1:]
    resource = AclLiteResource()
    unit = AclLiteImageProc(resource)

    loaded = AclLiteImage(jpg)
    print("jpeg", loaded.is_loaded(), loaded.width, loaded.height, loaded.is_local())
    flat = AclLiteImage(png)
    print("png", flat.width, flat.height, flat.is_loaded())
    print("missing", AclLiteImage("/nowhere.jpg").is_loaded(), AclLiteImage("a.gif").is_loaded())

    decoded = unit.jpegd(loaded.copy_to_dvpp())
    print("decoded", decoded.width, decoded.height, decoded.alignWidth, decoded.alignHeight)
    resized = unit.resize(decoded, 64, 32)
    print("resized", resized.width, resized.height, colour(resized, np.s_[8:24, 8:56]))

    boxed = unit.crop_and_paste(decoded, loaded.width, loaded.height, 128, 128)
    print("boxed", colour(boxed, np.s_[4:56, 4:120]), colour(boxed, np.s_[72:120, 4:120]))
    filled = unit.crop_and_paste_get_roi(decoded, loaded.width, loaded.height, 128, 128)
    print("filled", colour(filled, np.s_[4:124, 4:124]))

    encoded = unit.jpege(resized)
    encoded.save(out)
    print("encoded", cv2.imread(out).shape)
    print("not a jpeg", unit.jpegd(flat.copy_to_dvpp()))
    print("nothing", unit.jpegd(None))

    raw = AclLiteImage(np.arange(96, dtype=np.uint8), 8, 8)
    device = utils.copy_data_host_to_device(raw.data(), raw.size)
    if resource.run_mode == const.ACL_DEVICE:
        acl.rt.free(device)
        device = utils.copy_data_device_to_device(raw.data(), raw.size)
    back = utils.copy_data_as_numpy(device, raw.size, const.MEMORY_DEVICE, resource.run_mode)
    print("copied", np.array_equal(back, raw.byte_data_to_np_array()))
    acl.rt.free(device)
    print("sizes", utils.align_up128(200), utils.yuv420sp_size(64, 32), utils.rgbu8_size(2, 2))
    try:
        utils.check_ret("acl.rt.free", acl.rt.free(0))
    except Exception as exc:
        print("checked", exc)


if __name__ == "__main__":
    main()
