"""acl.util: numpy and bytes as addresses, and threads."""

from __future__ import annotations

import ctypes
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from acl._machine import here
from acl._memory import DEVICE_OFFSET
from acl._surface import exported, refuse_in_forked_child

_util = exported("acl.util")
Array = npt.NDArray[Any]

_NUMPY_TYPES: tuple[Any, ...] = (
    np.bool_,
    np.int8,
    np.uint8,
    np.int16,
    np.uint16,
    np.int32,
    np.uint32,
    np.int64,
    np.uint64,
    np.longlong,
    np.ulonglong,
    np.float32,
    np.float64,
)


def _references(*given: object) -> int:
    return sys.getrefcount(given[0])


# What the count is for an object that nothing but the call itself refers to.
_ONLY_THE_CALL = _references(bytes(bytearray(8)))


def _deprecated(name: str, instead: str) -> None:
    text = f"acl.util.{name} will be deprecated. Please use acl.util.{instead} instead."
    warnings.warn(text, Warning, stacklevel=3)


def _refuse_temporary(call: str) -> None:
    text = "the object dies with this call and leaves a dangling pointer; give it a name first"
    here().findings.misuse(f"{call}: {text}")


# These two count references, so nothing may stand between them and their caller.
def bytes_to_ptr(*given: Any) -> int:
    """Give the address of a bytes object's content; nothing keeps the object alive."""
    call = "acl.util.bytes_to_ptr"
    refuse_in_forked_child(call)
    if len(given) != 1:
        raise TypeError(f"{call} args parse failed")
    if type(given[0]) is not bytes:
        raise ValueError(f"{call}: needs a bytes object as argument")
    if sys.getrefcount(given[0]) <= _ONLY_THE_CALL:
        _refuse_temporary(call)
    return ctypes.cast(ctypes.c_char_p(given[0]), ctypes.c_void_p).value or 0


def numpy_to_ptr(*given: Any) -> int:
    """Give the address of an array's content; nothing keeps the array alive."""
    call = "acl.util.numpy_to_ptr"
    refuse_in_forked_child(call)
    if len(given) != 1:
        raise TypeError(f"{call} args parse failed")
    if not isinstance(given[0], np.ndarray):
        raise ValueError(f"{call}: needs an ndarray as argument")
    if sys.getrefcount(given[0]) <= _ONLY_THE_CALL and given[0].base is None:
        _refuse_temporary(call)
    _deprecated("numpy_to_ptr", "bytes_to_ptr")
    if not given[0].flags.c_contiguous:
        text = f"{call}: the array is not contiguous, its memory is not its content"
        here().findings.misuse(f"{text}; use numpy.ascontiguousarray")
    return int(given[0].ctypes.data)


for _function in (bytes_to_ptr, numpy_to_ptr):
    _function.__module__ = "acl.util"


@_util
def numpy_contiguous_to_ptr(array: object) -> tuple[int, Array]:
    """Give the address of an array's content, and the contiguous array to keep alive."""
    if not isinstance(array, np.ndarray):
        raise ValueError("acl.util.numpy_contiguous_to_ptr: needs an ndarray as argument")
    _deprecated("numpy_contiguous_to_ptr", "bytes_to_ptr")
    contiguous = np.ascontiguousarray(array)
    return int(contiguous.ctypes.data), contiguous


@_util
def ptr_to_numpy(address: int, shape: tuple[int, ...], numpy_type: SupportsIndex) -> Array:
    """Give a view of memory as an array that owns nothing."""
    call = "acl.util.ptr_to_numpy"
    _deprecated("ptr_to_numpy", "ptr_to_bytes")
    if not 0 <= int(numpy_type) < len(_NUMPY_TYPES) or not all(
        isinstance(side, int) for side in shape
    ):
        raise TypeError(f"{call} args parse failed")
    kind = np.dtype(_NUMPY_TYPES[int(numpy_type)])
    size_bytes = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    real = _host_view(address, size_bytes, call)
    raw = np.ctypeslib.as_array((ctypes.c_uint8 * size_bytes).from_address(real))
    view: Array = raw.view(kind).reshape(shape)
    return view


@_util
def ptr_to_bytes(address: int, size_bytes: int) -> bytes:
    """Copy memory into a bytes object."""
    return ctypes.string_at(_host_view(address, size_bytes, "acl.util.ptr_to_bytes"), size_bytes)


def _host_view(address: int, size_bytes: int, call: str) -> int:
    """Give where Python can read; raises where hardware would end the process."""
    machine = here()
    if address >= DEVICE_OFFSET:
        machine.findings.misuse(f"{call}: {address:#x} is device memory; copy it to the host first")
    span = machine.memory.span(address, size_bytes, call=call)
    if span is None or address >= DEVICE_OFFSET:
        raise MemoryError(f"{call}: {address:#x} cannot be read here")
    return span.real


class _Thread(threading.Thread):
    """A thread that keeps what was raised in it."""

    def __init__(self, function: Callable[..., object], given: list[object] | None) -> None:
        super().__init__(name="acl-thread", daemon=True)
        self._function = function
        self._given = given
        self.raised: BaseException | None = None

    def run(self) -> None:
        """Call the function with its one argument, the list."""
        try:
            if self._given is None:
                self._function()
            else:
                self._function(self._given)
        except BaseException as error:
            self.raised = error


_THREADS: dict[int, _Thread] = {}


@_util
def start_thread(function: object, args: object) -> tuple[int, int]:
    """Start a thread; *function* gets the list *args* as its one argument, or none for None."""
    if not callable(function) or not (args is None or isinstance(args, list)):
        raise TypeError("acl.util.start_thread args parse failed")
    thread = _Thread(function, args)
    thread.start()
    number = thread.ident or 0
    _THREADS[number] = thread
    return number, 0


@_util
def stop_thread(thread_id: int) -> int:
    """Wait for a thread to end. Raises RuntimeError if its function raised."""
    thread = _THREADS.pop(thread_id, None)
    if thread is None:
        return 1
    thread.join()
    if thread.raised is not None:
        raise RuntimeError(f"acl.util.stop_thread: the thread raised {thread.raised!r}")
    return 0
