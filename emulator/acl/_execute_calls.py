"""acl.mdl: choose a gear, run a model."""

from __future__ import annotations

import ctypes
from typing import Any

from acl import _codes, _gears, _models
from acl._datasets import BUFFER, DATASET, DataBuffer, Dataset
from acl._execution import Execution, prepare, run
from acl._gears import Gear
from acl._machine import Machine, here
from acl._models import LoadedModel
from acl._stream_calls import foreign_stream
from acl._streams import Stream, Task
from acl._surface import exported
from omfile.facts import BATCH_GEAR_INPUT

_mdl = exported("acl.mdl")


@_mdl
def execute(model_id: int, inputs: int, outputs: int) -> int:
    """Run a model to its end, with the interpreter lock held."""
    return _execute(here(), model_id, inputs, outputs, "acl.mdl.execute")


def _execute(machine: Machine, model_id: int, inputs: int, outputs: int, call: str) -> int:
    model, code = _models.find(machine, model_id, call)
    if model is None:
        return code
    if model.running_in:
        machine.findings.misuse(f"{call}: model {model_id} is running in a stream")
    execution = prepare(machine, model, inputs, outputs, call)
    return execution if isinstance(execution, int) else run(machine, execution, None)


@_mdl
def execute_v2(model_id: int, inputs: int, outputs: int, stream: int, handle: int) -> int:
    """Run a model to its end behind the work of a stream."""
    machine, call = here(), "acl.mdl.execute_v2"
    queued_in = machine.stream(stream, call=call)
    if queued_in is not None and (code := queued_in.wait(None)):
        return machine.fail(code, f"{call}: earlier work in the stream failed")
    return _execute(machine, model_id, inputs, outputs, call)


@_mdl
def execute_async(model_id: int, inputs: int, outputs: int, stream: int) -> int:
    """Queue a run; what goes wrong in it is told when the stream is synchronised."""
    machine, call = here(), "acl.mdl.execute_async"
    model, code = _models.find(machine, model_id, call)
    if model is None:
        return code
    queued_in = machine.stream(stream, call=call)
    if queued_in is None:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no stream {stream:#x}")
    if code := foreign_stream(machine, queued_in, call):
        return code
    execution = prepare(machine, model, inputs, outputs, call)
    if isinstance(execution, int):
        return execution
    if any(other != id(queued_in) for other in model.running_in):
        machine.findings.misuse(f"{call}: model {model_id} is running in another stream")
    _queue(machine, model, execution, queued_in)
    return _codes.SUCCESS


def _queue(machine: Machine, model: LoadedModel, execution: Execution, stream: Stream) -> None:
    own = id(stream)
    model.running_in.append(own)
    stream.submit(
        Task(
            execution.call,
            lambda worker: run(machine, execution, worker),
            blocks=execution.blocks(machine),
            ended=lambda: model.running_in.remove(own),
        )
    )


@_mdl
def set_dynamic_batch_size(model_id: int, dataset: int, index: int, batch: int) -> int:
    """Choose the batch size of the runs that follow."""
    call = "acl.mdl.set_dynamic_batch_size"
    return _choose(here(), (model_id, dataset, index), (batch,), call)


@_mdl
def set_dynamic_hw_size(
    model_id: int, dataset: int, index: int, height_px: int, width_px: int
) -> int:
    """Choose the picture size of the runs that follow."""
    call = "acl.mdl.set_dynamic_hw_size"
    return _choose(here(), (model_id, dataset, index), (height_px, width_px), call)


@_mdl
def set_input_dynamic_dims(model_id: int, dataset: int, index: int, dims: dict[str, Any]) -> int:
    """Choose the dims of all inputs, one after another, of the runs that follow."""
    machine, call = here(), "acl.mdl.set_input_dynamic_dims"
    try:
        values = [int(value) for value in dims["dims"]][: int(dims["dimCount"])]
    except (KeyError, TypeError, ValueError):
        raise TypeError(f"{call} args parse failed") from None
    model, code = _models.find(machine, model_id, call)
    if model is None:
        return code
    free = _gears.free_axes(model.om)
    fixed = _gears.joined_dims(model.om, _gears.largest(model.om))
    same = len(values) == len(free) and all(
        is_free or value == wanted
        for is_free, value, wanted in zip(free, values, fixed, strict=True)
    )
    if not same:
        text = f"{call}: {values} does not fit the inputs' {fixed}"
        return machine.fail(_codes.GE_DYNAMIC_INPUT_LENGTH_INVALID, text)
    gear = tuple(value for is_free, value in zip(free, values, strict=True) if is_free)
    return _choose(machine, (model_id, dataset, index), gear, call)


def hidden_buffer(
    machine: Machine, model: LoadedModel, where: tuple[int, int], name: str, call: str
) -> DataBuffer | int:
    """Give the buffer of hidden input *name* at (dataset, index), or the code for why not."""
    dataset, index = where
    found = machine.ledger.get(DATASET, dataset, Dataset, call=call)
    if found is None or index >= len(found.buffers):
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no buffer {index} in the dataset")
    buffer = machine.ledger.get(BUFFER, found.buffers[index], DataBuffer, call=call)
    if buffer is None or not buffer.address:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: buffer {index} is empty")
    inputs = model.om.inputs
    if index >= len(inputs) or inputs[index].name != name:
        machine.findings.misuse(f"{call}: input {index} of the model is not {name}")
        return machine.fail(_codes.INVALID_PARAM, f"{call}: input {index} is not {name}")
    return buffer


def _choose(  # noqa: PLR0911 - one answer for each thing that can be wrong
    machine: Machine, where: tuple[int, int, int], gear: Gear, call: str
) -> int:
    model, code = _models.find(machine, where[0], call)
    if model is None:
        return code
    if 0 in gear:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: {gear}")
    if not model.om.gears:
        return machine.fail(_codes.GE_DYNAMIC_BATCH_SIZE_INVALID, f"{call}: no gears in the model")
    buffer = hidden_buffer(machine, model, where[1:], BATCH_GEAR_INPUT, call)
    if isinstance(buffer, int):
        return buffer
    if buffer.size_bytes < 4 * len(gear):
        text = f"{call}: the buffer has {buffer.size_bytes} bytes"
        return machine.fail(_codes.GE_DYNAMIC_INPUT_LENGTH_INVALID, text)
    if gear not in _gears.all_gears(model.om):
        text = f"{call}: {gear} is none of {_gears.all_gears(model.om)}"
        return machine.fail(_codes.GE_DYNAMIC_BATCH_SIZE_INVALID, text)
    span = machine.memory.span(buffer.address, 4 * len(gear), call=call)
    if span is None:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: bad memory")
    raw = (ctypes.c_int32 * len(gear))(*gear)
    ctypes.memmove(span.real, raw, ctypes.sizeof(raw))
    buffer.value_set = buffer.address
    model.gear = gear
    return _codes.SUCCESS
