"""Data buffers, datasets and tensor descriptions: lists of addresses that own no memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import SupportsIndex

from acl import _codes
from acl._machine import Machine, here
from acl._surface import exported

_acl = exported("acl")
_mdl = exported("acl.mdl")

BUFFER = "data buffer"
DATASET = "dataset"
TENSOR_DESC = "tensor desc"
_32_BITS = (1 << 32) - 1
_MOST_DIMS = 128


@dataclass(slots=True, eq=False)
class DataBuffer:
    """An address and a size. *value_set* is the address that set_dynamic_* or AIPP filled."""

    address: int
    size_bytes: int
    value_set: int = 0


@dataclass(slots=True, eq=False)
class Dataset:
    """Handles of data buffers, and of tensor descriptions by position."""

    buffers: list[int] = field(default_factory=list)
    descs: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class TensorDesc:
    """Element type, dims and format."""

    dtype: int
    dims: tuple[int, ...]
    format: int


def _invalid(machine: Machine, text: str) -> int:
    return machine.fail(_codes.INVALID_PARAM, text)


@_acl
def create_data_buffer(address: int, size_bytes: int) -> int:
    """Describe memory; (0, 0) is an output that a run allocates."""
    return here().ledger.add(BUFFER, DataBuffer(address, size_bytes))


@_acl
def destroy_data_buffer(buffer: int) -> int:
    """Free the description, not the memory; a dataset that lists it can only be destroyed."""
    machine, call = here(), "acl.destroy_data_buffer"
    if machine.ledger.get(BUFFER, buffer, DataBuffer, call=call) is None:
        return _invalid(machine, f"{call}: no data buffer {buffer:#x}")
    machine.ledger.remove(buffer)
    return _codes.SUCCESS


@_acl
def update_data_buffer(buffer: int, address: int, size_bytes: int) -> int:
    """Describe other memory with the same handle."""
    machine, call = here(), "acl.update_data_buffer"
    found = machine.ledger.get(BUFFER, buffer, DataBuffer, call=call)
    if found is None:
        return _invalid(machine, f"{call}: no data buffer {buffer:#x}")
    found.address, found.size_bytes = address, size_bytes
    return _codes.SUCCESS


@_acl
def get_data_buffer_addr(buffer: int) -> int:
    """Give the address, 0 for no buffer."""
    found = here().ledger.get(BUFFER, buffer, DataBuffer, call="acl.get_data_buffer_addr")
    return 0 if found is None else found.address


@_acl
def get_data_buffer_size(buffer: int) -> int:
    """Give the size cut to 32 bits."""
    found = here().ledger.get(BUFFER, buffer, DataBuffer, call="acl.get_data_buffer_size")
    return 0 if found is None else found.size_bytes & _32_BITS


@_acl
def get_data_buffer_size_v2(buffer: int) -> int:
    """Give the size."""
    found = here().ledger.get(BUFFER, buffer, DataBuffer, call="acl.get_data_buffer_size_v2")
    return 0 if found is None else found.size_bytes


@_acl
def create_tensor_desc(dtype: SupportsIndex, dims: list[int], fmt: SupportsIndex) -> int:
    """Describe a tensor; 0 for more than 128 axes."""
    if len(dims) > _MOST_DIMS:
        return 0
    if not all(isinstance(dim, int) for dim in dims):
        raise TypeError("acl.create_tensor_desc args parse failed")
    return here().ledger.add(TENSOR_DESC, TensorDesc(int(dtype), tuple(dims), int(fmt)))


@_acl
def destroy_tensor_desc(desc: int) -> None:
    """Free a tensor description."""
    machine = here()
    call = "acl.destroy_tensor_desc"
    if machine.ledger.get(TENSOR_DESC, desc, TensorDesc, call=call) is not None:
        machine.ledger.remove(desc)


@_mdl
def create_dataset() -> int:
    """Make an empty list of buffers."""
    return here().ledger.add(DATASET, Dataset())


@_mdl
def destroy_dataset(dataset: int) -> int:
    """Free the list and its tensor descriptions, not the buffers."""
    machine, call = here(), "acl.mdl.destroy_dataset"
    found = machine.ledger.get(DATASET, dataset, Dataset, call=call)
    if found is None:
        return _invalid(machine, f"{call}: no dataset {dataset:#x}")
    for desc in set(found.descs.values()):
        if machine.ledger.peek(TENSOR_DESC, desc, TensorDesc) is not None:
            machine.ledger.remove(desc)
    machine.ledger.remove(dataset)
    return _codes.SUCCESS


@_mdl
def add_dataset_buffer(dataset: int, buffer: int) -> tuple[int, int]:
    """Append a buffer; gives the dataset and the code."""
    machine, call = here(), "acl.mdl.add_dataset_buffer"
    found = machine.ledger.get(DATASET, dataset, Dataset, call=call)
    if found is None or machine.ledger.get(BUFFER, buffer, DataBuffer, call=call) is None:
        return dataset, _invalid(machine, f"{call}: a dataset and a data buffer are needed")
    found.buffers.append(buffer)
    return dataset, _codes.SUCCESS


@_mdl
def get_dataset_buffer(dataset: int, index: int) -> int:
    """Give the buffer at *index*, 0 if there is none."""
    call = "acl.mdl.get_dataset_buffer"
    found = here().ledger.get(DATASET, dataset, Dataset, call=call)
    return found.buffers[index] if found is not None and index < len(found.buffers) else 0


@_mdl
def get_dataset_num_buffers(dataset: int) -> int:
    """Give how many buffers there are."""
    call = "acl.mdl.get_dataset_num_buffers"
    found = here().ledger.get(DATASET, dataset, Dataset, call=call)
    return 0 if found is None else len(found.buffers)


@_mdl
def set_dataset_tensor_desc(dataset: int, desc: int, index: int) -> tuple[int, int]:
    """Give the buffer at *index* a shape; gives the dataset and the code."""
    machine, call = here(), "acl.mdl.set_dataset_tensor_desc"
    found = machine.ledger.get(DATASET, dataset, Dataset, call=call)
    known = machine.ledger.get(TENSOR_DESC, desc, TensorDesc, call=call)
    if found is None or known is None or index >= len(found.buffers):
        return dataset, _invalid(machine, f"{call}: a dataset, a tensor desc and its position")
    found.descs[index] = desc
    return dataset, _codes.SUCCESS


@_mdl
def get_dataset_tensor_desc(dataset: int, index: int) -> int:
    """Give the tensor description at *index*, 0 if there is none."""
    call = "acl.mdl.get_dataset_tensor_desc"
    found = here().ledger.get(DATASET, dataset, Dataset, call=call)
    return 0 if found is None else found.descs.get(index, 0)
