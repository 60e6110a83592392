"""One run of a model: checked when it is asked for, done now or when a stream comes to it."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from acl import _codes, _gears
from acl._aipp import convert, dynamic_settings, static_settings
from acl._clock import fill_locked, hold_until, wait_until
from acl._datasets import BUFFER, DATASET, DataBuffer, Dataset
from acl._gears import Gear
from acl._hanging import hang
from acl._memory import POISON, Block, OutOfMemory, Span
from acl._models import LoadedModel
from acl._onnx_library import OnnxFailure
from acl._profiles import duration_s
from omfile.facts import BATCH_GEAR_INPUT, DYNAMIC_AIPP_INPUT, TensorInfo

if TYPE_CHECKING:
    from acl._machine import Machine
    from acl._streams import Stream

Array = npt.NDArray[Any]

# A buffer may be this much smaller than the model asks for.
_TOLERANCE_BYTES = 64
_NUMPY: dict[int, Any] = {
    0: np.float32,
    1: np.float16,
    2: np.int8,
    3: np.int32,
    4: np.uint8,
    6: np.int16,
    7: np.uint16,
    8: np.uint32,
    9: np.int64,
    10: np.uint64,
    11: np.float64,
    12: np.bool_,
}


@dataclass(slots=True, eq=False)
class Execution:
    """A model with the buffers of one run, in the order of its inputs and outputs."""

    model: LoadedModel
    inputs: list[DataBuffer]
    outputs: list[DataBuffer]
    call: str
    asked_at_s: float = field(default_factory=time.monotonic)

    def blocks(self, machine: Machine) -> tuple[Block, ...]:
        """Give the memory that must not be freed before the run is done."""
        found = (machine.memory.block_at(b.address) for b in (*self.inputs, *self.outputs))
        return tuple(block for block in found if block is not None)


def prepare(
    machine: Machine, model: LoadedModel, given: int, taken: int, call: str
) -> Execution | int:
    """Check datasets, counts and sizes, and give the run; or the code for what is wrong."""
    inputs = _buffers(machine, given, len(model.om.inputs), f"{call}: inputs")
    if isinstance(inputs, int):
        return inputs
    outputs = _buffers(machine, taken, len(model.om.outputs), f"{call}: outputs")
    if isinstance(outputs, int):
        return outputs
    if code := _check_sizes(machine, model, inputs, outputs, call):
        return code
    if code := _check_hidden(machine, model, inputs, call):
        return code
    return Execution(model, inputs, outputs, call)


def _buffers(machine: Machine, dataset: int, wanted: int, what: str) -> list[DataBuffer] | int:
    found = machine.ledger.get(DATASET, dataset, Dataset, call=what)
    if found is None:
        return machine.fail(_codes.INVALID_PARAM, f"{what}: no dataset {dataset:#x}")
    if len(found.buffers) != wanted:
        text = f"{what}: E13025: {len(found.buffers)} buffers, the model has {wanted}"
        return machine.fail(_codes.GE_PARAM_INVALID, text)
    buffers = [machine.ledger.get(BUFFER, one, DataBuffer, call=what) for one in found.buffers]
    if None in buffers:
        return machine.fail(_codes.INVALID_PARAM, f"{what}: a data buffer is not there")
    return [buffer for buffer in buffers if buffer is not None]


def _check_sizes(
    machine: Machine,
    model: LoadedModel,
    inputs: list[DataBuffer],
    outputs: list[DataBuffer],
    call: str,
) -> int:
    is_async = call.endswith("async")
    has_gears = bool(model.om.gears) or model.om.aipp.mode == "dynamic"
    for tensor, buffer in zip(model.om.inputs, inputs, strict=True):
        if not buffer.address or not buffer.size_bytes:
            text = f"{call}: the buffer of input {tensor.name} is empty"
            return machine.fail(_codes.INVALID_PARAM, text)
        if not has_gears and (code := _size(machine, tensor, buffer, call)):
            return code
    for tensor, buffer in zip(model.om.outputs, outputs, strict=True):
        if not buffer.address and not buffer.size_bytes and not is_async:
            continue
        if not buffer.address or not buffer.size_bytes:
            text = f"{call}: the buffer of output {tensor.name} is empty"
            return machine.fail(_codes.INVALID_PARAM, text)
        if not has_gears and (code := _size(machine, tensor, buffer, call)):
            return code
    return 0


def _size(machine: Machine, tensor: TensorInfo, buffer: DataBuffer, call: str) -> int:
    if buffer.size_bytes + _TOLERANCE_BYTES < tensor.size_bytes:
        text = f"{call}: E13025: {tensor.name} needs {tensor.size_bytes} bytes, not"
        return machine.fail(_codes.GE_PARAM_INVALID, f"{text} {buffer.size_bytes}")
    if buffer.size_bytes > tensor.size_bytes > 0:
        text = f"{tensor.name} needs {tensor.size_bytes} bytes, not {buffer.size_bytes}"
        machine.findings.warn(f"{call}: {text}")
    return 0


def _check_hidden(machine: Machine, model: LoadedModel, inputs: list[DataBuffer], call: str) -> int:
    setters = {BATCH_GEAR_INPUT: "set_dynamic_*", DYNAMIC_AIPP_INPUT: "set_input_aipp"}
    for tensor, buffer in zip(model.om.inputs, inputs, strict=True):
        if tensor.is_hidden and buffer.value_set != buffer.address:
            text = f"{call}: {tensor.name} was not filled by acl.mdl.{setters[tensor.name]}"
            machine.findings.misuse(text)
            if tensor.name == DYNAMIC_AIPP_INPUT:
                return machine.fail(_codes.GE_PARAM_INVALID, text)
    return 0


def run(machine: Machine, execution: Execution, stream: Stream | None) -> int:
    """Do the run: with the interpreter lock held, or in a stream's worker. Gives its code."""
    model = execution.model
    gear = _chosen_gear(machine, execution)
    if isinstance(gear, int):
        return gear
    spans = [
        _device_span(machine, buffer, _need(execution, index, gear), execution.call)
        for index, buffer in enumerate(execution.inputs)
    ]
    if None in spans:
        return _codes.RT_MODEL_EXECUTE
    given = [span for span in spans if span is not None]
    if code := _suffer(machine, execution, given, stream):
        return code
    try:
        arrays = None if model.engine is None else _compute(execution, given, gear, stream)
    except OnnxFailure as error:
        return machine.fail(_codes.RT_MODEL_EXECUTE, f"{execution.call}: {error}")
    _take_time(machine, execution, gear, stream)
    return _write(machine, execution, arrays, gear)


def _chosen_gear(machine: Machine, execution: Execution) -> Gear | int:
    """Read the gear back from the hidden input's memory, as the device does."""
    om = execution.model.om
    if not om.gears:
        return ()
    for tensor, buffer in zip(om.inputs, execution.inputs, strict=True):
        if tensor.name != BATCH_GEAR_INPUT or buffer.value_set != buffer.address:
            continue
        length = len(_gears.largest(om))
        span = _device_span(machine, buffer, 4 * length, execution.call)
        if span is None:
            return _codes.RT_MODEL_EXECUTE
        gear = tuple((ctypes.c_int32 * length).from_address(span.real))
        if gear not in _gears.all_gears(om):
            text = f"{execution.call}: {gear} is no gear of the model"
            return machine.fail(_codes.GE_DYNAMIC_BATCH_SIZE_INVALID, text)
        return gear
    return _gears.largest(om)


def _need(execution: Execution, index: int, gear: Gear) -> int:
    """Give how many bytes of an input are read; what the tolerance lets miss is not."""
    om, buffer = execution.model.om, execution.inputs[index]
    wanted = _gears.input_bytes(om, index, gear)
    if om.gears or om.aipp.mode == "dynamic":
        return min(wanted, buffer.size_bytes) if om.inputs[index].is_hidden else wanted
    return min(wanted, buffer.size_bytes)


def _device_span(machine: Machine, buffer: DataBuffer, size_bytes: int, call: str) -> Span | None:
    if size_bytes > buffer.size_bytes:
        text = f"{call}: a buffer of {buffer.size_bytes} bytes where {size_bytes} are used"
        machine.findings.misuse(text)
        return None
    span = machine.memory.span(buffer.address, size_bytes, call=call)
    if span is not None and not span.on_device:
        text = f"{call}: {buffer.address:#x} is host memory; a model needs acl.rt.malloc memory"
        machine.findings.misuse(text)
        return None
    if span is not None and span.block is not None:
        machine.memory.check_guards(span.block, call=call)
    return span


def _suffer(
    machine: Machine, execution: Execution, given: list[Span], stream: Stream | None
) -> int:
    def payload() -> bytes:
        return b"".join(ctypes.string_at(span.real, span.size_bytes) for span in given)

    fault = machine.faults.strike("execute", model=execution.model.name, payload=payload)
    if fault is None:
        return 0
    if fault.action == "fail":
        return machine.suffer(fault)
    if fault.action == "hang":
        return hang(machine, fault.for_ms, stream)
    if fault.action == "slow":
        until_s = time.monotonic() + fault.for_ms / 1000
        if stream is None:
            hold_until(until_s)
        else:
            wait_until(until_s, stream.stopped)
    return 0


def _compute(
    execution: Execution, given: list[Span], gear: Gear, stream: Stream | None
) -> list[Array]:
    model, engine = execution.model, execution.model.engine
    if engine is None:
        raise OnnxFailure("the model was unloaded")
    by_name: dict[bytes, Array] = {}
    settings = None
    for index, tensor in enumerate(model.om.inputs):
        if tensor.name == DYNAMIC_AIPP_INPUT:
            settings = dynamic_settings(
                ctypes.string_at(given[index].real, given[index].size_bytes)
            )
    graph = iter(engine.inputs)
    for index, tensor in enumerate(model.om.inputs):
        if tensor.is_hidden:
            continue
        end = next(graph, None)
        if end is None:
            raise OnnxFailure(f"the graph has no input for {tensor.name}")
        dims = _gears.input_dims(model.om, index, gear)
        static = static_settings(model.om, index, dims)
        if static is not None:
            by_name[end.name] = convert(_bytes(given[index]), static, dims, end.dims)
        elif settings is not None and tensor.dtype == 4 and len(dims) == 4:
            by_name[end.name] = convert(_bytes(given[index]), settings, dims, end.dims)
        else:
            by_name[end.name] = _tensor(given[index], tensor, dims)
    inputs = [by_name[end.name] for end in engine.inputs]
    return engine.run(inputs, hold=stream is None)


def _bytes(span: Span) -> npt.NDArray[np.uint8]:
    return np.ctypeslib.as_array((ctypes.c_uint8 * span.size_bytes).from_address(span.real))


def _tensor(span: Span, tensor: TensorInfo, dims: tuple[int, ...]) -> Array:
    kind = _NUMPY.get(tensor.dtype)
    if kind is None:
        raise OnnxFailure(f"{tensor.name}: element type {tensor.dtype} is not emulated")
    wanted = prod(dims) * np.dtype(kind).itemsize
    raw = _bytes(span)
    if raw.size < wanted:
        raw = np.concatenate([raw, np.full(wanted - raw.size, POISON, np.uint8)])
    view: Array = raw[:wanted].view(kind).reshape(dims)
    return view


def _take_time(machine: Machine, execution: Execution, gear: Gear, stream: Stream | None) -> None:
    profile = execution.model.profile
    if profile is None:
        return
    count = _gears.items(execution.model.om, gear)
    lasts_s = duration_s(profile, count, time_scale=machine.configuration.time_scale)
    if stream is None:
        hold_until(machine.timeline.reserve(lasts_s, not_before_s=execution.asked_at_s))
        return
    earliest_s = max(execution.asked_at_s, stream.ended_at_s)
    stream.ended_at_s = machine.timeline.reserve(lasts_s, not_before_s=earliest_s)
    wait_until(stream.ended_at_s, stream.stopped)


def _write(machine: Machine, execution: Execution, arrays: list[Array] | None, gear: Gear) -> int:
    om = execution.model.om
    execution.model.ran_dims = [] if arrays is None else [array.shape for array in arrays]
    for index, (tensor, buffer) in enumerate(zip(om.outputs, execution.outputs, strict=True)):
        content = None
        size_bytes = _gears.output_bytes(om, index, gear)
        if arrays is not None:
            kind = _NUMPY.get(tensor.dtype, np.uint8)
            content = np.ascontiguousarray(arrays[index], dtype=kind)
            size_bytes = content.nbytes
        if not om.gears and buffer.size_bytes:
            size_bytes = min(size_bytes, buffer.size_bytes)
        if not buffer.address and (code := _give_output(machine, tensor, buffer, size_bytes)):
            return code
        if _device_span(machine, buffer, size_bytes, execution.call) is None:
            return _codes.RT_MODEL_EXECUTE
        whole = machine.memory.span(buffer.address, buffer.size_bytes, call=execution.call)
        if whole is None:
            return _codes.RT_MODEL_EXECUTE
        if content is None:
            fill_locked(whole.real, 0, size_bytes)
        else:
            ctypes.memmove(whole.real, content.ctypes.data, size_bytes)
        # What the run did not write must not pass for a result.
        fill_locked(whole.real + size_bytes, POISON, buffer.size_bytes - size_bytes)
    return _codes.SUCCESS


def _give_output(machine: Machine, tensor: TensorInfo, buffer: DataBuffer, size_bytes: int) -> int:
    """Allocate an output that came as (0, 0); the program frees it with acl.rt.free."""
    wanted = max(size_bytes, tensor.size_bytes, 1)
    try:
        buffer.address = machine.memory.allocate(wanted, "malloc")
    except OutOfMemory as error:
        return machine.fail(_codes.RT_MEMORY_ALLOCATION, str(error))
    buffer.size_bytes = wanted
    return 0
