"""AclLite's picture: bytes in one of several kinds of memory, encoded or raw."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import acl  # type: ignore[import-not-found, unused-ignore]
import numpy as np
from numpy.typing import NDArray

from acllite import acllite_logger
from acllite import acllite_utils as utils
from acllite import constants as const
from acllite.acllite_resource import resource_list
from pipeline.errors import InvalidPicture
from pipeline.pictures.header import read_picture_header

_ENCODED = {".jpg": const.ENCODE_FORMAT_JPEG, ".jpeg": const.ENCODE_FORMAT_JPEG}
_ENCODED[".png"] = const.ENCODE_FORMAT_PNG


class AclLiteImage:
    """A picture from a file (.jpg, .jpeg, .png, .yuv), an array, or an address of *memory_type*.

    *width* and *height* are the picture's, *align_width* and *align_height* those of its rows and
    lines in memory, *size* its bytes. A file that cannot be read is logged: then
    :meth:`is_loaded` is False.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # AclLite's signature
        self,
        image: str | int | NDArray[Any],
        width: int = 0,
        height: int = 0,
        align_width: int = 0,
        align_height: int = 0,
        size: int = 0,
        memory_type: int = const.MEMORY_NORMAL,
    ) -> None:
        self.width = width
        self.height = height
        self.alignWidth = align_width
        self.alignHeight = align_height
        self.size = size
        self.channels = 0
        self._memory_type = memory_type
        self._encode_format = const.ENCODE_FORMAT_UNKNOW
        self._array: NDArray[Any] | None = None
        self._address = 0
        run_mode, ret = acl.rt.get_run_mode()
        utils.check_ret("acl.rt.get_run_mode", ret)
        self._run_mode: int = run_mode
        match image:
            case str():
                self._read(Path(image))
            case int():
                self._address = image
                resource_list.register(self)
            case np.ndarray():
                self._hold(image)
            case _:
                acllite_logger.log_error(f"a picture cannot be made of a {type(image).__name__}")

    def is_loaded(self) -> bool:
        """Tell whether there are bytes."""
        return self._array is not None or self._address != 0

    def byte_data_to_np_array(self) -> NDArray[Any] | None:
        """Give the bytes as an array of this program's memory, uint8 unless made of an array."""
        if self._array is not None:
            return self._array
        if not self._address:
            return None
        return utils.copy_data_as_numpy(self._address, self.size, self._memory_type, self._run_mode)

    def data(self) -> int:
        """Give the address of the bytes, 0 where there are none."""
        return self._address if self._array is None else utils.address_of(self._array)

    def copy_to_dvpp(self) -> AclLiteImage | None:
        """Give a copy in the DVPP unit's memory; None on failure."""
        if self.is_local():
            address = utils.copy_data_to_dvpp(self.data(), self.size, self._run_mode)
        else:
            address = utils.copy_data_to_dvpp(self.data(), self.size, const.ACL_DEVICE)
        return None if address is None else self._copy_at(address, const.MEMORY_DVPP)

    def copy_to_host(self) -> AclLiteImage | None:
        """Give a copy in memory that this program reads; None on failure."""
        if self._run_mode == const.ACL_HOST and self.is_local():
            address = utils.copy_data_host_to_host(self.data(), self.size)
        elif self._run_mode == const.ACL_HOST:
            address = utils.copy_data_device_to_host(self.data(), self.size)
        else:
            # On the board itself the device's memory is this program's, too.
            address = utils.copy_data_device_to_device(self.data(), self.size)
        kind = const.MEMORY_HOST if self._run_mode == const.ACL_HOST else const.MEMORY_DEVICE
        return None if address is None else self._copy_at(address, kind)

    def is_local(self) -> bool:
        """Tell whether this program can read the bytes where they lie."""
        if self._run_mode == const.ACL_DEVICE:
            return True
        return self._memory_type not in (const.MEMORY_DEVICE, const.MEMORY_DVPP)

    def save(self, filename: str) -> None:
        """Write the bytes as they are to *filename*."""
        values = self.byte_data_to_np_array()
        if values is None:
            acllite_logger.log_error(f"there is nothing to write to {filename}")
            return
        values.tofile(filename)

    def destroy(self) -> None:
        """Give the memory back, where it was taken for this picture. Again does nothing."""
        address, self._address, self._array = self._address, 0, None
        if not address:
            return
        resource_list.unregister(self)
        match self._memory_type:
            case const.MEMORY_HOST:
                acl.rt.free_host(address)
            case const.MEMORY_DEVICE:
                acl.rt.free(address)
            case const.MEMORY_DVPP:
                acl.media.dvpp_free(address)

    def __del__(self) -> None:
        # Late in the interpreter's end there may be nothing left to give back.
        with suppress(Exception):
            self.destroy()

    def _copy_at(self, address: int, memory_type: int) -> AclLiteImage:
        copy = AclLiteImage(
            address, self.width, self.height, self.alignWidth, self.alignHeight, self.size,
            memory_type,
        )  # fmt: skip  # as the signature reads
        copy._encode_format = self._encode_format
        return copy

    def _hold(self, values: NDArray[Any]) -> None:
        self._array = np.ascontiguousarray(values)
        self.size = self._array.nbytes
        if values.ndim >= 2 and not self.width:
            self.height, self.width = values.shape[:2]

    def _read(self, path: Path) -> None:
        suffix = path.suffix.lower()
        if suffix not in (*_ENCODED, ".yuv"):
            acllite_logger.log_error(f"{path}: only .jpg, .jpeg, .png and .yuv files are read")
            return
        try:
            content = np.fromfile(path, np.uint8)
            if suffix in _ENCODED:
                header = read_picture_header(content.tobytes())
                self.width, self.height = header.width_px, header.height_px
                self._encode_format = _ENCODED[suffix]
        except (OSError, InvalidPicture) as exc:
            acllite_logger.log_error(f"{path} cannot be read: {exc}")
            return
        self._array = content
        self.size = content.nbytes
