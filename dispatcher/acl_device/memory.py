"""Device memory: allocated once, filled and read by copies whose kind follows the run mode.

A numpy address is never given to a model, not even on the board itself, where both are the same
RAM: models want memory that ACL allocated.
"""

from __future__ import annotations

from typing import Any

import acl  # type: ignore[import-not-found, unused-ignore]
from numpy.typing import NDArray

from dispatcher.acl_device.calls import check
from dispatcher.acl_device.session import RunMode

# Huge pages where there are any left: a board has a few dozen of them.
_HUGE_PAGES_FIRST = 0
_HOST_TO_DEVICE, _DEVICE_TO_HOST, _DEVICE_TO_DEVICE = 1, 2, 3


class DeviceBuffer:
    """*size_bytes* of device memory, with any content; raises AclFailure if there is none left."""

    def __init__(self, size_bytes: int, run_mode: RunMode) -> None:
        address, code = acl.rt.malloc(size_bytes, _HUGE_PAGES_FIRST)
        check("acl.rt.malloc", code)
        self.address: int = address
        self.size_bytes = size_bytes
        on_host = run_mode is RunMode.HOST
        self._kind_in = _HOST_TO_DEVICE if on_host else _DEVICE_TO_DEVICE
        self._kind_out = _DEVICE_TO_HOST if on_host else _DEVICE_TO_DEVICE

    def write(self, array: NDArray[Any]) -> None:
        """Copy a C-contiguous *array* to the beginning."""
        code = acl.rt.memcpy(
            self.address, self.size_bytes, _address(array), array.nbytes, self._kind_in
        )
        check("acl.rt.memcpy", code)

    def read_into(self, array: NDArray[Any]) -> None:
        """Fill a C-contiguous *array* from the beginning."""
        code = acl.rt.memcpy(
            _address(array), array.nbytes, self.address, array.nbytes, self._kind_out
        )
        check("acl.rt.memcpy", code)

    def zero_from(self, start_bytes: int, count_bytes: int) -> None:
        """Set *count_bytes* from *start_bytes* on to zero."""
        left_bytes = self.size_bytes - start_bytes
        code = acl.rt.memset(self.address + start_bytes, left_bytes, 0, count_bytes)
        check("acl.rt.memset", code)

    def free(self) -> None:
        """Give the memory back, once; nothing may still run on it."""
        check("acl.rt.free", acl.rt.free(self.address))


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
