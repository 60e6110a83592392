"""AclLite's helpers: return codes checked, memory copied, sizes aligned.

Everything that is copied here belongs to the caller: memory of :func:`copy_data_to_dvpp` is given
back with ``acl.media.dvpp_free``, that of the functions to the device with ``acl.rt.free``, that of
the functions to the host with ``acl.rt.free_host``.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, ParamSpec, Self, TypeVar

import acl  # type: ignore[import-not-found, unused-ignore]
import numpy as np
from numpy.typing import NDArray

from acllite import acllite_logger
from acllite import constants as const
from dispatcher.acl_device.errors import AclFailure

P = ParamSpec("P")
R = TypeVar("R")


class AclLiteError(Exception):
    """A call of pyACL that failed; *ret* is its return code."""

    def __init__(self, message: str, ret: int) -> None:
        super().__init__(message)
        self.ret = ret

    @classmethod
    def of(cls, failure: AclFailure) -> Self:
        """Tell a failure of the device layer in AclLite's words."""
        ret = failure.code.number
        return cls(f"{failure.call} failed ret_int={ret}: {failure}", ret)


def check_ret(message: str, ret_int: int) -> None:
    """Raise AclLiteError with CANN's own words where *ret_int* is not success."""
    if ret_int != const.ACL_SUCCESS:
        # Must be the next call in this thread: any other may forget the text.
        told = " ".join((acl.get_recent_err_msg() or "").split())
        detail = f": {told}" if told else ""
        raise AclLiteError(f"{message} failed ret_int={ret_int}{detail}", ret_int)


def check_none(message: str, ret_none: Any) -> None:
    """Raise AclLiteError where *ret_none* is None."""
    if ret_none is None:
        raise AclLiteError(f"{message} failed: no value", const.ACL_ERROR_INVALID_PARAM)


def copy_data_device_to_host(device_data: int, data_size: int) -> int | None:
    """Give host memory with a copy of *data_size* bytes of the device; None on failure."""
    return _copied(_malloc_host, device_data, data_size, const.ACL_MEMCPY_DEVICE_TO_HOST)


def copy_data_device_to_device(device_data: int, data_size: int) -> int | None:
    """Give device memory with a copy of *data_size* bytes of the device; None on failure."""
    return _copied(_malloc_device, device_data, data_size, const.ACL_MEMCPY_DEVICE_TO_DEVICE)


def copy_data_host_to_device(host_data: int, data_size: int) -> int | None:
    """Give device memory with a copy of *data_size* bytes of the host; None on failure."""
    return _copied(_malloc_device, host_data, data_size, const.ACL_MEMCPY_HOST_TO_DEVICE)


def copy_data_host_to_host(host_data: int, data_size: int) -> int | None:
    """Give host memory with a copy of *data_size* bytes of the host; None on failure."""
    return _copied(_malloc_host, host_data, data_size, const.ACL_MEMCPY_HOST_TO_HOST)


def copy_data_to_dvpp(data: int, size: int, run_mode: int) -> int | None:
    """Give memory of the DVPP unit with a copy of *size* bytes of this program; None on failure."""
    return _copied(_malloc_dvpp, data, size, kind_to_device(run_mode))


def copy_data_as_numpy(
    data: int, size: int, data_mem_type: int, run_mode: int
) -> NDArray[np.uint8] | None:
    """Give *size* bytes at *data* as a numpy array of its own, uint8; None on failure.

    *data_mem_type* is one of the ``MEMORY_`` constants.
    """
    copied = np.empty(size, np.uint8)
    on_host = data_mem_type in (const.MEMORY_HOST, const.MEMORY_CTYPES)
    kind = const.ACL_MEMCPY_DEVICE_TO_DEVICE
    if run_mode == const.ACL_HOST:
        kind = const.ACL_MEMCPY_HOST_TO_HOST if on_host else const.ACL_MEMCPY_DEVICE_TO_HOST
    ret = acl.rt.memcpy(address_of(copied), size, data, size, kind)
    if ret != const.ACL_SUCCESS:
        acllite_logger.log_error(f"acl.rt.memcpy of {size} bytes failed, ret={ret}")
        return None
    return copied


def kind_to_device(run_mode: int) -> int:
    """Give the kind of a copy from this program's memory to the device's."""
    on_host = run_mode == const.ACL_HOST
    return const.ACL_MEMCPY_HOST_TO_DEVICE if on_host else const.ACL_MEMCPY_DEVICE_TO_DEVICE


def address_of(array: NDArray[Any]) -> int:
    """Give the address of an array's first element; the caller keeps the array alive."""
    address: int = array.__array_interface__["data"][0]
    return address


def align_up(value: int, align: int) -> int:
    """Round *value* up to a multiple of *align*."""
    return (value + align - 1) // align * align


def align_up128(value: int) -> int:
    """Round up to a multiple of 128."""
    return align_up(value, 128)


def align_up64(value: int) -> int:
    """Round up to a multiple of 64."""
    return align_up(value, 64)


def align_up16(value: int) -> int:
    """Round up to a multiple of 16."""
    return align_up(value, 16)


def align_up2(value: int) -> int:
    """Round up to a multiple of 2."""
    return align_up(value, 2)


def yuv420sp_size(width: int, height: int) -> int:
    """Give the bytes of an NV12 or NV21 picture."""
    return width * height * 3 // 2


def rgbu8_size(width: int, height: int) -> int:
    """Give the bytes of a picture of three bytes a pixel."""
    return width * height * 3


def display_time(func: Callable[P, R]) -> Callable[P, R]:
    """Print how long each call of *func* takes, in milliseconds."""

    @functools.wraps(func)
    def timed(*args: P.args, **kwargs: P.kwargs) -> R:
        begin = time.perf_counter()
        try:
            return func(*args, **kwargs)
        finally:
            cost_ms = (time.perf_counter() - begin) * 1000
            acllite_logger.log_info(f"{func.__name__} cost {cost_ms:.1f} ms")

    return timed


def _malloc_device(size: int) -> tuple[int, int]:
    address, ret = acl.rt.malloc(size, const.ACL_MEM_MALLOC_HUGE_FIRST)
    return address, ret


def _malloc_host(size: int) -> tuple[int, int]:
    address, ret = acl.rt.malloc_host(size)
    return address, ret


def _malloc_dvpp(size: int) -> tuple[int, int]:
    address, ret = acl.media.dvpp_malloc(size)
    return address, ret


_FREE: dict[Callable[[int], tuple[int, int]], Callable[[int], int]] = {
    _malloc_device: lambda address: int(acl.rt.free(address)),
    _malloc_host: lambda address: int(acl.rt.free_host(address)),
    _malloc_dvpp: lambda address: int(acl.media.dvpp_free(address)),
}


def _copied(
    malloc: Callable[[int], tuple[int, int]], source: int, size: int, kind: int
) -> int | None:
    address, ret = malloc(size)
    if ret != const.ACL_SUCCESS or not address:
        acllite_logger.log_error(f"no memory for {size} bytes, ret={ret}")
        return None
    ret = acl.rt.memcpy(address, size, source, size, kind)
    if ret != const.ACL_SUCCESS:
        acllite_logger.log_error(f"acl.rt.memcpy of {size} bytes failed, ret={ret}")
        _FREE[malloc](address)
        return None
    return address
