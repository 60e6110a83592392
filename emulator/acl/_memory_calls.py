"""acl.rt: memory and copies."""

from __future__ import annotations

import ctypes
import time
from typing import SupportsIndex

from acl import _codes
from acl._clock import copy_locked, fill_locked, hold_until
from acl._hanging import hang
from acl._machine import Machine, here
from acl._memory import OutOfMemory, Span
from acl._stream_calls import foreign_stream, no_stream
from acl._streams import Stream, Task
from acl._surface import exported

_rt = exported("acl.rt")

HOST_TO_HOST, HOST_TO_DEVICE, DEVICE_TO_HOST, DEVICE_TO_DEVICE = range(4)
_DEFAULT, _THROUGH_BUFFER = 4, 5
# Kind -> whether source and target are device memory; the rest is judged by address.
_DIRECTIONS = {
    HOST_TO_HOST: (False, False),
    HOST_TO_DEVICE: (False, True),
    DEVICE_TO_HOST: (True, False),
    DEVICE_TO_DEVICE: (True, True),
    _THROUGH_BUFFER: (False, True),
}
_ASYNC_ALIGNMENT = 64

# Attribute of get_mem_info -> all of the memory (None), its huge pages, or the rest.
_MEMORY_PARTS: dict[int, bool | None] = {0: None, 1: None, 2: True, 4: True, 3: False, 5: False}
_ABSENT_PARTS = range(6, 12)


def allocate(
    machine: Machine, size_bytes: int, kind: str, call: str, policy: int = 0
) -> tuple[int, int]:
    """Check and do one allocation; gives the address and the code."""
    if size_bytes == 0:
        return 0, machine.fail(_codes.INVALID_PARAM, f"{call}: 0 bytes")
    if code := machine.not_ready(call):
        return 0, code
    if machine.context() is None:
        return 0, machine.without_context(call)
    fault = machine.faults.strike("malloc")
    if fault is not None and fault.action == "fail":
        return 0, machine.suffer(fault)
    if fault is not None:
        hold_until(time.monotonic() + fault.for_ms / 1000)
    try:
        return machine.memory.allocate(size_bytes, kind, policy=policy), _codes.SUCCESS
    except OutOfMemory as error:
        return 0, machine.fail(_codes.RT_MEMORY_ALLOCATION, f"{call}: {error}")


def release(machine: Machine, address: int, kind: str, call: str) -> int:
    """Check and do one release; gives the code."""
    if not address:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: address 0")
    if not machine.life.initialised and not machine.life.was_finalised:
        return machine.not_ready(call)
    if not machine.memory.release(address, kind, call=call):
        return machine.fail(_codes.INVALID_PARAM, f"{call}: {address:#x}")
    return _codes.SUCCESS


@_rt
def malloc(size_bytes: int, policy: SupportsIndex) -> tuple[int, int]:
    """Allocate device memory; what it holds is anything but zeros."""
    return allocate(here(), size_bytes, "malloc", "acl.rt.malloc", int(policy))


@_rt
def malloc_cached(size_bytes: int, policy: SupportsIndex) -> tuple[int, int]:
    """Allocate device memory behind the cache."""
    return allocate(here(), size_bytes, "malloc", "acl.rt.malloc_cached", int(policy))


@_rt
def malloc_host(size_bytes: int) -> tuple[int, int]:
    """Allocate host memory: the device's own where acl runs on it."""
    return allocate(here(), size_bytes, "malloc_host", "acl.rt.malloc_host")


@_rt
def free(address: int) -> int:
    """Free what malloc gave."""
    return release(here(), address, "malloc", "acl.rt.free")


@_rt
def free_host(address: int) -> int:
    """Free what malloc_host gave."""
    return release(here(), address, "malloc_host", "acl.rt.free_host")


def _cache_call(address: int, size_bytes: int, call: str) -> int:
    machine = here()
    if not address or not size_bytes:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no memory")
    found = machine.memory.span(address, size_bytes, call=call)
    return _codes.SUCCESS if found is not None else _codes.INVALID_PARAM


@_rt
def mem_flush(address: int, size_bytes: int) -> int:
    """Write the cache back."""
    return _cache_call(address, size_bytes, "acl.rt.mem_flush")


@_rt
def mem_invalidate(address: int, size_bytes: int) -> int:
    """Forget the cache."""
    return _cache_call(address, size_bytes, "acl.rt.mem_invalidate")


@_rt
def memset(address: int, most_bytes: int, value: SupportsIndex, count_bytes: int) -> int:
    """Fill memory."""
    machine, call = here(), "acl.rt.memset"
    if count_bytes == 0:
        return _codes.SUCCESS
    if not address:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: address 0")
    if count_bytes > most_bytes:
        return machine.fail(_codes.RT_PARAM_INVALID, f"{call}: {count_bytes} > {most_bytes}")
    if machine.context() is None:
        return machine.without_context(call)
    span = machine.memory.span(address, count_bytes, call=call)
    if span is None:
        return machine.fail(_codes.RT_PARAM_INVALID, f"{call}: bad memory")
    fill_locked(span.real, int(value) & 0xFF, count_bytes)
    return _codes.SUCCESS


@_rt
def memcpy(target: int, most_bytes: int, source: int, count_bytes: int, kind: SupportsIndex) -> int:
    """Copy memory, with the interpreter lock held."""
    machine, call = here(), "acl.rt.memcpy"
    if count_bytes == 0:
        return _codes.SUCCESS
    code = _check_copy(machine, (target, most_bytes, source, count_bytes, int(kind)), call)
    if code or target == source:
        return code
    fault = machine.faults.strike("memcpy")
    if fault is not None and fault.action == "fail":
        return machine.suffer(fault)
    if fault is not None and fault.action == "hang":
        return hang(machine, fault.for_ms, None)
    if fault is not None:
        hold_until(time.monotonic() + fault.for_ms / 1000)
    spans = _spans(machine, target, source, count_bytes, call)
    if spans is None or (code := _check_direction(machine, spans, int(kind), call)):
        return code or machine.fail(_codes.RT_PARAM_INVALID, f"{call}: bad memory")
    copy_locked(spans[0].real, spans[1].real, count_bytes)
    return _codes.SUCCESS


@_rt
def memcpy_async(  # noqa: PLR0911 - one answer for each thing that can be wrong
    target: int, most_bytes: int, source: int, count_bytes: int, kind: SupportsIndex, stream: int
) -> int:
    """Queue a copy: both sides are touched when the stream comes to it."""
    machine, call = here(), "acl.rt.memcpy_async"
    if count_bytes == 0:
        return _codes.SUCCESS
    code = _check_copy(machine, (target, most_bytes, source, count_bytes, int(kind)), call)
    if code:
        return code
    queued_in = machine.stream(stream, call=call)
    if queued_in is None:
        return no_stream(machine, stream, call)
    if code := foreign_stream(machine, queued_in, call):
        return code
    if machine.configuration.run_mode == 1 and int(kind) == HOST_TO_HOST:
        return machine.fail(_codes.RT_FEATURE_NOT_SUPPORT, f"{call}: host to host")
    if target % _ASYNC_ALIGNMENT or source % _ASYNC_ALIGNMENT:
        text = f"{call}: {target:#x} and {source:#x} must be multiples of {_ASYNC_ALIGNMENT}"
        return machine.fail(_codes.RT_ADDR_UNALIGNED, text)
    spans = _spans(machine, target, source, count_bytes, call)
    if spans is None or (code := _check_direction(machine, spans, int(kind), call)):
        return code or machine.fail(_codes.RT_PARAM_INVALID, f"{call}: bad memory")

    def copy(_stream: Stream) -> int:
        late = _spans(machine, target, source, count_bytes, call)
        if late is None:
            return _codes.RT_PARAM_INVALID
        ctypes.memmove(late[0].real, late[1].real, count_bytes)
        return 0

    blocks = tuple(span.block for span in spans if span.block is not None)
    queued_in.submit(Task(call, copy, blocks=blocks))
    return _codes.SUCCESS


def _check_copy(machine: Machine, copy: tuple[int, int, int, int, int], call: str) -> int:
    """Check a copy of more than 0 bytes in the order of the runtime."""
    target, most_bytes, source, count_bytes, kind = copy
    if not target or not source:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: address 0")
    if kind not in range(6):
        return machine.fail(_codes.INVALID_PARAM, f"{call}: kind {kind}")
    if most_bytes == 0 or count_bytes > most_bytes:
        text = f"{call}: {count_bytes} bytes into {most_bytes}"
        return machine.fail(_codes.RT_PARAM_INVALID, text)
    if machine.life.dead_code:
        return machine.not_ready(call)
    if machine.context() is None:
        return machine.without_context(call)
    return 0


def _spans(
    machine: Machine, target: int, source: int, count_bytes: int, call: str
) -> tuple[Span, Span] | None:
    into = machine.memory.span(target, count_bytes, call=f"{call}: target")
    out_of = machine.memory.span(source, count_bytes, call=f"{call}: source")
    return None if into is None or out_of is None else (into, out_of)


def _check_direction(machine: Machine, spans: tuple[Span, Span], kind: int, call: str) -> int:
    into, out_of = spans
    if machine.configuration.run_mode == 0:
        if kind in {HOST_TO_DEVICE, DEVICE_TO_HOST}:
            machine.findings.warn(f"{call}: on the device itself copies are device to device (3)")
        return 0
    wanted = _DIRECTIONS.get(kind)
    if wanted is None or wanted == (out_of.on_device, into.on_device):
        return 0
    sides = ("device" if out_of.on_device else "host", "device" if into.on_device else "host")
    text = f"{call}: kind {kind} does not fit a copy from {sides[0]} to {sides[1]} memory"
    return machine.fail(_codes.RT_PARAM_INVALID, text)


@_rt
def get_mem_info(attr: SupportsIndex) -> tuple[int, int, int]:
    """Give free and total bytes of one kind of memory."""
    machine, call, number = here(), "acl.rt.get_mem_info", int(attr)
    if code := machine.not_ready(call):
        return 0, 0, code
    if machine.context() is None:
        return 0, 0, machine.without_context(call)
    if number in _ABSENT_PARTS:
        return 0, 0, _codes.SUCCESS
    if number not in _MEMORY_PARTS:
        return 0, 0, machine.fail(_codes.INVALID_PARAM, f"{call}: attribute {number}")
    free_bytes, total_bytes = machine.memory.budget(huge=_MEMORY_PARTS[number])
    return free_bytes, total_bytes, _codes.SUCCESS


@_rt
def peek_at_last_error(level: SupportsIndex) -> int:
    """Give this thread's last code, and keep it."""
    return here().findings.last_code(take=False)


@_rt
def get_last_error(level: SupportsIndex) -> int:
    """Give this thread's last code, and forget it."""
    return here().findings.last_code(take=True)
