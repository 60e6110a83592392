"""acl.rt: devices, contexts and what the board tells about itself."""

from __future__ import annotations

from typing import SupportsIndex

from acl import _codes, _slots
from acl._contexts import CONTEXT, Current
from acl._machine import DEFAULT_CONTEXT, Machine, here
from acl._models import MODEL, LoadedModel
from acl._streams import STREAM, Stream
from acl._surface import exported

_rt = exported("acl.rt")


def _no_such_device(machine: Machine, device_id: int, call: str) -> int:
    count = machine.configuration.device_count
    if 0 <= device_id < count:
        return 0
    return machine.fail(
        _codes.RT_INVALID_DEVICEID, f"{call}: device {device_id} is not in 0..{count - 1}"
    )


@_rt
def set_device(device_id: SupportsIndex) -> int:
    """Open a device and make its default context this thread's."""
    machine, call, number = here(), "acl.rt.set_device", int(device_id)
    if machine.life.dead_code:
        return machine.fail(_codes.RT_DEV_SETUP_ERROR, f"{call}: the device is dead")
    if code := machine.not_ready(call) or _no_such_device(machine, number, call):
        return code
    if fault := machine.faults.strike("set_device"):
        return machine.suffer(fault)
    settings = machine.configuration
    if not _slots.take(settings.process_folder, settings.processes):
        text = f"{call}: {settings.processes} processes use the device already"
        return machine.fail(_codes.RT_RESOURCE_ALLOC_FAIL, text)
    contexts = machine.contexts
    if not contexts.uses.get(number):
        default = Current(number, is_default=True)
        default.handle = machine.ledger.add(DEFAULT_CONTEXT, default)
        contexts.defaults[number] = default
    contexts.uses[number] = contexts.uses.get(number, 0) + 1
    contexts.enter(contexts.defaults[number])
    return _codes.SUCCESS


@_rt
def reset_device(device_id: SupportsIndex) -> int:
    """Take one set_device back; the last one closes the device."""
    machine, call, number = here(), "acl.rt.reset_device", int(device_id)
    if code := machine.not_ready(call) or _no_such_device(machine, number, call):
        return code
    uses = machine.contexts.uses.get(number, 0)
    if not uses:
        text = f"{call}: device {number} is not set; one reset_device for each set_device"
        return machine.fail(_codes.RT_PARAM_INVALID, text)
    machine.contexts.uses[number] = uses - 1
    if uses == 1:
        return _close(machine, number, call)
    return _codes.SUCCESS


@_rt
def reset_device_force(device_id: SupportsIndex) -> int:
    """Close a device whatever the number of set_device."""
    machine, call, number = here(), "acl.rt.reset_device_force", int(device_id)
    if code := machine.not_ready(call) or _no_such_device(machine, number, call):
        return code
    if not machine.contexts.uses.get(number):
        return machine.fail(_codes.RT_PARAM_INVALID, f"{call}: device {number} is not set")
    machine.contexts.uses[number] = 0
    return _close(machine, number, call)


def _close(machine: Machine, device_id: int, call: str) -> int:
    default = machine.contexts.defaults.pop(device_id)
    default.alive = False
    machine.end_default_stream(default)
    machine.ledger.remove(default.handle)
    left = [
        kind
        for kind in (CONTEXT, STREAM, "event", MODEL)
        for _ in range(machine.ledger.count(kind))
    ]
    if left:
        machine.findings.misuse(f"{call}: still live: {', '.join(left)}; destroy them first")
    return _codes.SUCCESS


@_rt
def get_device() -> tuple[int, int]:
    """Give the device of this thread's context."""
    machine = here()
    current = machine.context()
    if current is None:
        return 0, machine.without_context("acl.rt.get_device")
    return current.device_id, _codes.SUCCESS


@_rt
def get_device_count() -> tuple[int, int]:
    """Give how many devices there are."""
    machine = here()
    if code := machine.not_ready("acl.rt.get_device_count"):
        return 0, code
    return machine.configuration.device_count, _codes.SUCCESS


@_rt
def get_run_mode() -> tuple[int, int]:
    """Give 0 where acl runs on the device itself, 1 on a host. Needs no init."""
    return here().configuration.run_mode, _codes.SUCCESS


@_rt
def get_device_utilization_rate(device_id: SupportsIndex) -> tuple[dict[str, int | None], int]:
    """Give utilizations in per cent, -1 where not supported."""
    machine, call = here(), "acl.rt.get_device_utilization_rate"
    if code := machine.not_ready(call) or _no_such_device(machine, int(device_id), call):
        return {}, code
    busy = 100 if machine.copies_pending() else 0
    rates: dict[str, int | None] = {
        "cube_utilization": busy,
        "vector_utilization": busy,
        "aicpu_utilization": 0,
        "memory_utilization": -1,
        "utilization_extend": None,
    }
    return rates, _codes.SUCCESS


@_rt
def query_device_status(device_id: SupportsIndex) -> tuple[int, int]:
    """Say that the call is not there: it is made for other products."""
    machine, call = here(), "acl.rt.query_device_status"
    if code := machine.not_ready(call) or _no_such_device(machine, int(device_id), call):
        return 0, code
    return 0, machine.fail(_codes.RT_FEATURE_NOT_SUPPORT, f"{call}: not on a 310B")


@_rt
def create_context(device_id: SupportsIndex) -> tuple[int, int]:
    """Make a context, and make it this thread's."""
    machine, call, number = here(), "acl.rt.create_context", int(device_id)
    if code := machine.not_ready(call) or _no_such_device(machine, number, call):
        return 0, code
    if machine.ledger.count(CONTEXT) >= machine.configuration.contexts:
        text = f"{call}: {machine.configuration.contexts} contexts are the most"
        return 0, machine.fail(_codes.RT_RESOURCE_ALLOC_FAIL, text)
    context = Current(number, is_default=False)
    context.handle = machine.ledger.add(CONTEXT, context)
    machine.contexts.enter(context)
    return context.handle, _codes.SUCCESS


def _context(machine: Machine, handle: int, call: str) -> Current | None:
    default = machine.ledger.peek(DEFAULT_CONTEXT, handle, Current)
    return default or machine.ledger.get(CONTEXT, handle, Current, call=call)


@_rt
def set_context(context: int) -> int:
    """Make *context* this thread's."""
    machine, call = here(), "acl.rt.set_context"
    if code := machine.not_ready(call):
        return code
    found = _context(machine, context, call)
    if found is None:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no context {context:#x}")
    machine.contexts.enter(found)
    return _codes.SUCCESS


@_rt
def get_context() -> tuple[int, int]:
    """Give this thread's context."""
    machine, call = here(), "acl.rt.get_context"
    if code := machine.not_ready(call):
        return 0, code
    current = machine.context()
    if current is None:
        return 0, machine.without_context(call)
    return current.handle, _codes.SUCCESS


@_rt
def destroy_context(context: int) -> int:
    """Destroy a context that create_context made."""
    machine, call = here(), "acl.rt.destroy_context"
    if code := machine.not_ready(call):
        return code
    found = _context(machine, context, call)
    if found is None:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no context {context:#x}")
    if found.is_default:
        text = f"{call}: a default context goes with reset_device"
        return machine.fail(_codes.INVALID_PARAM, text)
    left = [STREAM for _, s in machine.ledger.of_kind(STREAM, Stream) if s.context is found]
    models = machine.ledger.of_kind(MODEL, LoadedModel)
    left += [MODEL for _, model in models if model.context is found]
    if left:
        machine.findings.misuse(f"{call}: still live in it: {', '.join(left)}")
    found.alive = False
    machine.end_default_stream(found)
    machine.ledger.remove(context)
    return _codes.SUCCESS
