"""A picture in the picture units' memory."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dispatcher.acl_device.dvpp.formats import PictureShape
from dispatcher.acl_device.memory import DeviceBuffer
from dispatcher.acl_device.session import RunMode


class DevicePicture:
    """Memory for a picture of *shape*, with any content; raises AclFailure if there is none left.

    *shape* may be set anew where a unit tells what it wrote; it never outgrows the memory. Close
    it, or hand its memory over.
    """

    def __init__(self, shape: PictureShape, run_mode: RunMode, *, size_bytes: int = 0) -> None:
        self.shape = shape
        self._run_mode = run_mode
        size_bytes = max(size_bytes, shape.size_bytes)
        self._buffer: DeviceBuffer | None = DeviceBuffer(size_bytes, run_mode, for_pictures=True)
        self._address = self._buffer.address
        self._size_bytes = size_bytes

    @classmethod
    def lent(
        cls, shape: PictureShape, address: int, run_mode: RunMode, *, size_bytes: int = 0
    ) -> Self:
        """Give a picture over dvpp_malloc memory that somebody else frees."""
        made = cls.__new__(cls)
        made.shape = shape
        made._run_mode = run_mode
        made._buffer = None
        made._address = address
        made._size_bytes = size_bytes or shape.size_bytes
        return made

    @property
    def address(self) -> int:
        """Where it lies, for calls of ACL."""
        return self._address

    @property
    def size_bytes(self) -> int:
        """How large the memory is: the shape's size or more."""
        return self._size_bytes

    def detach(self) -> int:
        """Give the address up to the caller, who frees it with ``acl.media.dvpp_free``."""
        self._buffer = None
        return self._address

    def read(self) -> NDArray[np.uint8]:
        """Copy the bytes of the shape, strides included, to this program's memory."""
        values = np.empty(self.shape.size_bytes, np.uint8)
        self._memory().read_into(values)
        return values

    def write(self, values: NDArray[np.uint8]) -> None:
        """Fill the memory from the beginning."""
        self._memory().write(values)

    def close(self) -> None:
        """Free the memory, unless it is lent or detached. Closing again does nothing."""
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            buffer.free()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _memory(self) -> DeviceBuffer:
        if self._buffer is not None:
            return self._buffer
        return DeviceBuffer.over(self._address, self._size_bytes, self._run_mode)
