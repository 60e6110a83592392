"""Device memory: allocated once, filled and read by copies whose kind follows the run mode.

A numpy address is never given to a model, not even on the board itself, where both are the same
RAM: models want memory that ACL allocated.
"""

from __future__ import annotations

from typing import Any, Self

import acl  # type: ignore[import-not-found, unused-ignore]
from numpy.typing import NDArray

from dispatcher.acl_device.calls import check
from dispatcher.acl_device.session import RunMode

# Huge pages where there are any left: a board has a few dozen of them.
_HUGE_PAGES_FIRST = 0
_HOST_TO_DEVICE, _DEVICE_TO_HOST, _DEVICE_TO_DEVICE = 1, 2, 3


class DeviceBuffer:
    """*size_bytes* of device memory, with any content; raises AclFailure if there is none left.

    With *for_pictures* it is the picture units' own kind, which models take as well.
    """

    def __init__(self, size_bytes: int, run_mode: RunMode, *, for_pictures: bool = False) -> None:
        if for_pictures:
            address, code = acl.media.dvpp_malloc(size_bytes)
            check("acl.media.dvpp_malloc", code)
        else:
            address, code = acl.rt.malloc(size_bytes, _HUGE_PAGES_FIRST)
            check("acl.rt.malloc", code)
        self._for_pictures = for_pictures
        self._describe(address, size_bytes, run_mode)

    @classmethod
    def over(cls, address: int, size_bytes: int, run_mode: RunMode) -> Self:
        """Give a buffer over memory that somebody else frees."""
        made = cls.__new__(cls)
        made._for_pictures = False
        made._describe(address, size_bytes, run_mode)
        return made

    def _describe(self, address: int, size_bytes: int, run_mode: RunMode) -> None:
        self.address = address
        self.size_bytes = size_bytes
        on_host = run_mode is RunMode.HOST
        self._kind_in = _HOST_TO_DEVICE if on_host else _DEVICE_TO_DEVICE
        self._kind_out = _DEVICE_TO_HOST if on_host else _DEVICE_TO_DEVICE

    def write(self, array: NDArray[Any], *, at_bytes: int = 0) -> None:
        """Copy a C-contiguous *array* to *at_bytes* and after."""
        left_bytes = self.size_bytes - at_bytes
        source, size_bytes = address_of(array), array.nbytes
        code = acl.rt.memcpy(self.address + at_bytes, left_bytes, source, size_bytes, self._kind_in)
        check("acl.rt.memcpy", code)

    def copy_from(self, address: int, size_bytes: int, *, at_bytes: int) -> None:
        """Copy device memory to *at_bytes* and after."""
        left_bytes = self.size_bytes - at_bytes
        target = self.address + at_bytes
        code = acl.rt.memcpy(target, left_bytes, address, size_bytes, _DEVICE_TO_DEVICE)
        check("acl.rt.memcpy", code)

    def read_into(self, array: NDArray[Any]) -> None:
        """Fill a C-contiguous *array* from the beginning."""
        code = acl.rt.memcpy(
            address_of(array), array.nbytes, self.address, array.nbytes, self._kind_out
        )
        check("acl.rt.memcpy", code)

    def zero_from(self, start_bytes: int, count_bytes: int) -> None:
        """Set *count_bytes* from *start_bytes* on to zero."""
        self.fill(0, start_bytes, count_bytes)

    def fill(self, value: int, start_bytes: int, count_bytes: int) -> None:
        """Set *count_bytes* from *start_bytes* on to *value*."""
        left_bytes = self.size_bytes - start_bytes
        code = acl.rt.memset(self.address + start_bytes, left_bytes, value, count_bytes)
        check("acl.rt.memset", code)

    def free(self) -> None:
        """Give the memory back, once; nothing may still run on it."""
        if self._for_pictures:
            check("acl.media.dvpp_free", acl.media.dvpp_free(self.address))
        else:
            check("acl.rt.free", acl.rt.free(self.address))


def address_of(array: NDArray[Any]) -> int:
    """Give where *array*'s first byte lies in this process."""
    address: int = array.__array_interface__["data"][0]
    return address
