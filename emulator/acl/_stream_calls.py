"""acl.rt: streams, and waiting for their work."""

from __future__ import annotations

import time
from typing import SupportsIndex

from acl import _codes
from acl._machine import Machine, here
from acl._streams import STREAM, Stream
from acl._surface import exported

_rt = exported("acl.rt")


def usable(machine: Machine, call: str) -> int:
    """Give 0 if acl is initialised and this thread has a context, else the code for that."""
    if code := machine.not_ready(call):
        return code
    return 0 if machine.context() is not None else machine.without_context(call)


def no_stream(machine: Machine, handle: int, call: str) -> int:
    """Answer a call with a stream that is none."""
    return machine.fail(_codes.INVALID_PARAM, f"{call}: no stream {handle:#x}")


def foreign_stream(machine: Machine, stream: Stream, call: str) -> int:
    """Give 0 if *stream* belongs to this thread's context, else the code for that."""
    if stream.context is machine.context():
        return 0
    return machine.fail(_codes.RT_STREAM_CONTEXT, f"{call}: the stream is of another context")


@_rt
def create_stream() -> tuple[int, int]:
    """Make a stream in this thread's context."""
    return _create(here(), "acl.rt.create_stream")


@_rt
def create_stream_with_config(priority: SupportsIndex, flag: SupportsIndex) -> tuple[int, int]:
    """Make a stream; priority and flag change nothing here."""
    return _create(here(), "acl.rt.create_stream_with_config")


def _create(machine: Machine, call: str) -> tuple[int, int]:
    if code := machine.not_ready(call):
        return 0, code
    current = machine.context()
    if current is None:
        return 0, machine.without_context(call)
    if machine.ledger.count(STREAM) >= machine.configuration.streams:
        text = f"{call}: {machine.configuration.streams} streams are the most"
        return 0, machine.fail(_codes.RT_NO_STREAM_RESOURCE, text)
    stream = Stream(machine.findings, machine.life_code, current)
    return machine.ledger.add(STREAM, stream), _codes.SUCCESS


@_rt
def destroy_stream(stream: int) -> int:
    """Destroy a stream whose work is done."""
    machine, call = here(), "acl.rt.destroy_stream"
    if code := machine.not_ready(call) if not machine.life.dead_code else 0:
        return code
    found = machine.ledger.get(STREAM, stream, Stream, call=call)
    if found is None:
        return no_stream(machine, stream, call)
    if not found.is_idle() and not machine.life.dead_code:
        machine.findings.misuse(f"{call}: it has work that is not done; synchronise first")
    found.stop()
    machine.ledger.remove(stream)
    return _codes.SUCCESS


@_rt
def destroy_stream_force(stream: int) -> int:
    """Destroy a stream and drop its work."""
    machine, call = here(), "acl.rt.destroy_stream_force"
    found = machine.ledger.get(STREAM, stream, Stream, call=call)
    if found is None:
        return no_stream(machine, stream, call)
    found.stop()
    machine.ledger.remove(stream)
    return _codes.SUCCESS


def _synchronise(machine: Machine, stream: Stream, timeout_s: float | None, call: str) -> int:
    fault = machine.faults.strike("synchronize")
    if fault is not None and fault.action == "hang":
        stream.stopped.wait(fault.for_ms / 1000 or timeout_s)
        if timeout_s is not None:
            return machine.fail(_codes.RT_STREAM_SYNC_TIMEOUT, f"{call}: out of time")
    if fault is not None and fault.action == "fail":
        return machine.suffer(fault)
    code = stream.wait(timeout_s)
    if machine.life.dead_code:
        return machine.fail(machine.life.dead_code, f"{call}: the device does not answer any more")
    if code is None:
        return machine.fail(_codes.RT_STREAM_SYNC_TIMEOUT, f"{call}: out of time")
    if code:
        if not machine.configuration.sticky_stream_errors:
            stream.take_error()
        return machine.fail(code, f"{call}: work in the stream failed with {code}")
    return _codes.SUCCESS


@_rt
def synchronize_stream(stream: int) -> int:
    """Wait for all work of a stream (0: the default one); errors of that work come out here."""
    machine, call = here(), "acl.rt.synchronize_stream"
    if code := usable(machine, call):
        return code
    found = machine.stream(stream, call=call)
    if found is None:
        return no_stream(machine, stream, call)
    return _synchronise(machine, found, None, call)


@_rt
def synchronize_stream_with_timeout(stream: int, timeout_ms: SupportsIndex) -> int:
    """Wait at most *timeout_ms* (-1: for ever) for all work of a stream."""
    machine, call = here(), "acl.rt.synchronize_stream_with_timeout"
    if code := usable(machine, call):
        return code
    found = machine.stream(stream, call=call)
    if found is None:
        return no_stream(machine, stream, call)
    limit = int(timeout_ms)
    if limit < -1:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: a timeout of {limit} ms")
    return _synchronise(machine, found, None if limit < 0 else limit / 1000, call)


@_rt
def stream_query(stream: int) -> tuple[int, int]:
    """Give 0 if the stream's work is done, 1 if not."""
    machine, call = here(), "acl.rt.stream_query"
    if code := usable(machine, call):
        return 0, code
    found = machine.stream(stream, call=call)
    if found is None:
        return 0, no_stream(machine, stream, call)
    return int(not found.is_idle()), _codes.SUCCESS


@_rt
def synchronize_device() -> int:
    """Wait for all work on the device, with the interpreter lock released."""
    machine, call = here(), "acl.rt.synchronize_device"
    if code := usable(machine, call):
        return code
    codes = [_synchronise(machine, stream, None, call) for stream in machine.all_streams()]
    return next((code for code in codes if code), _codes.SUCCESS)


@_rt
def synchronize_device_with_timeout(timeout_ms: SupportsIndex) -> int:
    """Wait at most *timeout_ms* for all work on the device."""
    machine, call = here(), "acl.rt.synchronize_device_with_timeout"
    if code := usable(machine, call):
        return code
    limit = int(timeout_ms)
    until_s = time.monotonic() + limit / 1000
    for stream in machine.all_streams():
        left_s = None if limit < 0 else max(0.0, until_s - time.monotonic())
        if code := _synchronise(machine, stream, left_s, call):
            return code
    return _codes.SUCCESS


@_rt
def ctx_get_current_default_stream() -> tuple[int, int]:
    """Give the default stream of this thread's context, which 0 stands for as well."""
    machine, call = here(), "acl.rt.ctx_get_current_default_stream"
    if code := machine.not_ready(call):
        return 0, code
    current = machine.context()
    if current is None:
        return 0, machine.without_context(call)
    return machine.default_stream(current)[0], _codes.SUCCESS


@_rt
def set_op_wait_timeout(seconds: SupportsIndex) -> int:
    """Accept a limit for waits between operators; nothing here takes that long."""
    return here().not_ready("acl.rt.set_op_wait_timeout")


@_rt
def set_op_execute_time_out(seconds: SupportsIndex) -> int:
    """Bound a hung operator: a hang that is injected ends after *seconds* with 507014."""
    machine, call = here(), "acl.rt.set_op_execute_time_out"
    if code := machine.not_ready(call):
        return code
    machine.op_timeout_s = float(int(seconds))
    return _codes.SUCCESS
