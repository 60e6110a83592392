"""acl.util: numpy and bytes as addresses, and threads."""

from acl._util_calls import (
    bytes_to_ptr,
    numpy_contiguous_to_ptr,
    numpy_to_ptr,
    ptr_to_bytes,
    ptr_to_numpy,
    start_thread,
    stop_thread,
)

__all__ = [
    "bytes_to_ptr",
    "numpy_contiguous_to_ptr",
    "numpy_to_ptr",
    "ptr_to_bytes",
    "ptr_to_numpy",
    "start_thread",
    "stop_thread",
]
