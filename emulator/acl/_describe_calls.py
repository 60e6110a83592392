"""acl.mdl: what a model takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

from acl import _codes, _gears, _models
from acl._load_calls import not_ready, read_model_file, read_model_memory
from acl._machine import Machine, here
from acl._models import LoadedModel
from acl._surface import exported
from omfile.facts import OmFile, TensorInfo

_mdl = exported("acl.mdl")
DESC = "model desc"

_LONGEST_NAME = 127
_MOST_GEARS = 4096
_NO_NAME = ""
_AIPP_TYPES = {"none": 0, "static": 1, "dynamic": 2}

Dims = dict[str, Any]


@dataclass(slots=True, eq=False)
class ModelDesc:
    """A description, filled by get_desc*. *model* is None where it came from a file or memory."""

    om: OmFile | None = None
    model: LoadedModel | None = None


@_mdl
def create_desc() -> int:
    """Make an empty description."""
    return here().ledger.add(DESC, ModelDesc())


@_mdl
def destroy_desc(desc: int) -> int:
    """Free a description."""
    machine, call = here(), "acl.mdl.destroy_desc"
    if machine.ledger.get(DESC, desc, ModelDesc, call=call) is None:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no desc {desc:#x}")
    machine.ledger.remove(desc)
    return _codes.SUCCESS


def _fill(machine: Machine, desc: int, om: OmFile | int, call: str) -> int:
    found = machine.ledger.get(DESC, desc, ModelDesc, call=call)
    if found is None:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no desc {desc:#x}")
    if isinstance(om, int):
        return om
    found.om, found.model = om, None
    return _codes.SUCCESS


@_mdl
def get_desc(desc: int, model_id: int) -> int:
    """Describe a loaded model."""
    machine, call = here(), "acl.mdl.get_desc"
    if code := not_ready(machine, call):
        return code
    found = machine.ledger.get(DESC, desc, ModelDesc, call=call)
    if found is None:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no desc {desc:#x}")
    model, code = _models.find(machine, model_id, call)
    if model is None:
        return code
    found.om, found.model = model.om, model
    return _codes.SUCCESS


@_mdl
def get_desc_from_file(desc: int, path: str) -> int:
    """Describe the model of a file; needs no device."""
    machine, call = here(), "acl.mdl.get_desc_from_file"
    data = read_model_file(machine, path, call)
    om = data if isinstance(data, int) else _models.describe_om(machine, data, call)
    return _fill(machine, desc, om, call)


@_mdl
def get_desc_from_mem(desc: int, address: int, size_bytes: int) -> int:
    """Describe the model of an OM in memory."""
    machine, call = here(), "acl.mdl.get_desc_from_mem"
    data = read_model_memory(machine, address, size_bytes, call, anywhere=True)
    om = data if isinstance(data, int) else _models.describe_om(machine, data, call)
    return _fill(machine, desc, om, call)


def described(desc: int, call: str) -> ModelDesc | None:
    """Give a filled description, None (with the recent error set) if there is none."""
    machine = here()
    found = machine.ledger.get(DESC, desc, ModelDesc, call=call)
    if found is None or found.om is None:
        machine.fail(_codes.INVALID_PARAM, f"{call}: no filled desc {desc:#x}")
        return None
    return found


def _om(desc: int, call: str) -> OmFile | None:
    found = described(desc, call)
    return None if found is None else found.om


def _inputs(desc: int, call: str) -> Sequence[TensorInfo]:
    om = _om(desc, call)
    return () if om is None else om.inputs


def _outputs(desc: int, call: str) -> Sequence[TensorInfo]:
    om = _om(desc, call)
    return () if om is None else om.outputs


def _tensor(tensors: Sequence[TensorInfo], index: int, call: str) -> TensorInfo | None:
    if index < len(tensors):
        return tensors[index]
    here().fail(_codes.INVALID_PARAM, f"{call}: index {index} of {len(tensors)}")
    return None


@_mdl
def get_num_inputs(desc: int) -> int:
    """Give how many inputs there are, hidden ones included."""
    return len(_inputs(desc, "acl.mdl.get_num_inputs"))


@_mdl
def get_num_outputs(desc: int) -> int:
    """Give how many outputs there are."""
    return len(_outputs(desc, "acl.mdl.get_num_outputs"))


@_mdl
def get_input_size_by_index(desc: int, index: int) -> int:
    """Give an input's bytes at the largest gear; 0 if there is none."""
    call = "acl.mdl.get_input_size_by_index"
    tensor = _tensor(_inputs(desc, call), index, call)
    return 0 if tensor is None else tensor.size_bytes


@_mdl
def get_output_size_by_index(desc: int, index: int) -> int:
    """Give an output's bytes at the largest gear; 0 if there is none."""
    call = "acl.mdl.get_output_size_by_index"
    tensor = _tensor(_outputs(desc, call), index, call)
    return 0 if tensor is None else tensor.size_bytes


def _name(found: ModelDesc | None, side: str, index: int, tensor: TensorInfo) -> str:
    if len(tensor.name) <= _LONGEST_NAME:
        return tensor.name
    number = 0 if found is None or found.model is None else found.model.number
    return f"acl_modelId_{number}_{side}_{index}"


def _dims(
    desc: int, side: str, index: int, call: str, *, real: bool = False, now: bool = False
) -> tuple[Dims, int]:
    found = described(desc, call)
    if found is None or found.om is None:
        return {}, _codes.INVALID_PARAM
    om = found.om
    tensor = _tensor(om.inputs if side == "input" else om.outputs, index, call)
    if tensor is None:
        return {}, _codes.INVALID_PARAM
    dims = tensor.dims_v2 if real and tensor.dims_v2 else tensor.dims
    model = found.model
    if now and model is not None and model.gear:
        dims = _gears.output_dims(om, index, model.gear)
        if not om.gears.dynamic_batch and index < len(model.ran_dims):
            dims = model.ran_dims[index]
    name = _name(found, side, index, tensor)
    return {"name": name, "dimCount": len(dims), "dims": list(dims)}, _codes.SUCCESS


@_mdl
def get_input_dims(desc: int, index: int) -> tuple[Dims, int]:
    """Give the model's view of an input, -1 on free axes."""
    return _dims(desc, "input", index, "acl.mdl.get_input_dims")


@_mdl
def get_input_dims_v2(desc: int, index: int) -> tuple[Dims, int]:
    """Give the shape of an input's buffer: the picture's in front of a built-in conversion."""
    return _dims(desc, "input", index, "acl.mdl.get_input_dims_v2", real=True)


@_mdl
def get_output_dims(desc: int, index: int) -> tuple[Dims, int]:
    """Give an output's dims at the largest gear."""
    return _dims(desc, "output", index, "acl.mdl.get_output_dims")


@_mdl
def get_cur_output_dims(desc: int, index: int) -> tuple[Dims, int]:
    """Give an output's dims for the gear that was set last."""
    machine, call = here(), "acl.mdl.get_cur_output_dims"
    om = _om(desc, call)
    if om is not None and om.is_dynamic_shape:
        return {}, machine.fail(_codes.FEATURE_UNSUPPORTED, f"{call}: a dynamic-shape model")
    return _dims(desc, "output", index, call, now=True)


@_mdl
def get_input_name_by_index(desc: int, index: int) -> str:
    """Give an input's name."""
    call = "acl.mdl.get_input_name_by_index"
    tensor = _tensor(_inputs(desc, call), index, call)
    return _NO_NAME if tensor is None else _name(described(desc, call), "input", index, tensor)


@_mdl
def get_output_name_by_index(desc: int, index: int) -> str:
    """Give an output's name."""
    call = "acl.mdl.get_output_name_by_index"
    tensor = _tensor(_outputs(desc, call), index, call)
    return _NO_NAME if tensor is None else _name(described(desc, call), "output", index, tensor)


@_mdl
def get_input_data_type(desc: int, index: int) -> int:
    """Give an input's element type, -1 if there is none."""
    call = "acl.mdl.get_input_data_type"
    tensor = _tensor(_inputs(desc, call), index, call)
    return -1 if tensor is None else int(tensor.dtype)


@_mdl
def get_output_data_type(desc: int, index: int) -> int:
    """Give an output's element type, -1 if there is none."""
    call = "acl.mdl.get_output_data_type"
    tensor = _tensor(_outputs(desc, call), index, call)
    return -1 if tensor is None else int(tensor.dtype)


@_mdl
def get_input_format(desc: int, index: int) -> int:
    """Give an input's layout, -1 if there is none."""
    call = "acl.mdl.get_input_format"
    tensor = _tensor(_inputs(desc, call), index, call)
    return -1 if tensor is None else int(tensor.format)


@_mdl
def get_output_format(desc: int, index: int) -> int:
    """Give an output's layout, -1 if there is none."""
    call = "acl.mdl.get_output_format"
    tensor = _tensor(_outputs(desc, call), index, call)
    return -1 if tensor is None else int(tensor.format)


def _index(tensors: Sequence[TensorInfo], name: str, call: str) -> tuple[int, int]:
    for index, tensor in enumerate(tensors):
        if tensor.name == name:
            return index, _codes.SUCCESS
    return 0, here().fail(_codes.INVALID_PARAM, f"{call}: there is no {name}")


@_mdl
def get_input_index_by_name(desc: int, name: str) -> tuple[int, int]:
    """Give the position of an input."""
    call = "acl.mdl.get_input_index_by_name"
    return _index(_inputs(desc, call), name, call)


@_mdl
def get_output_index_by_name(desc: int, name: str) -> tuple[int, int]:
    """Give the position of an output."""
    call = "acl.mdl.get_output_index_by_name"
    return _index(_outputs(desc, call), name, call)


@_mdl
def get_dynamic_batch(desc: int) -> tuple[Dims, int]:
    """List the batch sizes that the model was built for."""
    om = _om(desc, "acl.mdl.get_dynamic_batch")
    if om is None:
        return {}, _codes.INVALID_PARAM
    gears = list(om.gears.dynamic_batch)
    return {"batchCount": len(gears), "batch": gears}, _codes.SUCCESS


@_mdl
def get_dynamic_hw(desc: int, index: SupportsIndex) -> tuple[Dims, int]:
    """List the picture sizes that the model was built for."""
    om = _om(desc, "acl.mdl.get_dynamic_hw")
    if om is None:
        return {}, _codes.INVALID_PARAM
    gears = [list(gear) for gear in om.gears.dynamic_hw]
    return {"hwCount": len(gears), "hw": gears}, _codes.SUCCESS


@_mdl
def get_input_dynamic_gear_count(desc: int, index: SupportsIndex) -> tuple[int, int]:
    """Give how many sets of free dims the model was built for."""
    om = _om(desc, "acl.mdl.get_input_dynamic_gear_count")
    return (0, _codes.INVALID_PARAM) if om is None else (len(om.gears.dynamic_dims), 0)


@_mdl
def get_input_dynamic_dims(
    desc: int, index: SupportsIndex, gear_count: int
) -> tuple[list[Dims] | None, int]:
    """List the sets of dims, each of all inputs one after another."""
    machine, call = here(), "acl.mdl.get_input_dynamic_dims"
    om = _om(desc, call)
    if om is None or gear_count > _MOST_GEARS:
        return None, machine.fail(_codes.INVALID_PARAM, f"{call}: {gear_count} gears")
    rows = (_gears.joined_dims(om, gear) for gear in om.gears.dynamic_dims[:gear_count])
    return [{"name": "", "dimCount": len(row), "dims": row} for row in rows], _codes.SUCCESS


@_mdl
def get_op_attr(desc: int, op_name: str, attr: str) -> str:
    """Give an operator's attribute: there are none in what is emulated."""
    described(desc, "acl.mdl.get_op_attr")
    return _NO_NAME


@_mdl
def get_tensor_real_name(desc: int, name: str) -> str:
    """Give the full name behind one that was generated for being too long."""
    call = "acl.mdl.get_tensor_real_name"
    found = described(desc, call)
    for side, tensors in (("input", _inputs(desc, call)), ("output", _outputs(desc, call))):
        for index, tensor in enumerate(tensors):
            if name in {tensor.name, _name(found, side, index, tensor)}:
                return tensor.name
    return _NO_NAME


@_mdl
def get_aipp_type(model_id: int, index: int) -> tuple[int, int, int]:
    """Give the kind of pixel unit in front of an input, and where its settings go."""
    machine, call = here(), "acl.mdl.get_aipp_type"
    model, code = _models.find(machine, model_id, call)
    if model is None:
        return 0, 0, code
    if index >= len(model.om.inputs):
        return 0, 0, machine.fail(_codes.INVALID_PARAM, f"{call}: index {index}")
    if model.om.inputs[index].name == "ascend_dynamic_aipp_data":
        return 3, index, _codes.SUCCESS
    kind = _AIPP_TYPES[str(model.om.aipp.mode)]
    names = [tensor.name for tensor in model.om.inputs]
    where = names.index("ascend_dynamic_aipp_data") if kind == 2 else 0xFFFFFFFF
    return kind, where, _codes.SUCCESS
