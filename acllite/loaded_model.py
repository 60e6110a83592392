"""A model on the device with any number of inputs and outputs, as programs of AclLite load it.

The device and its context are the calling thread's: AclLite's programs open them as they like.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import acl  # type: ignore[import-not-found, unused-ignore]
import numpy as np
from numpy.typing import NDArray

from acllite import constants as const
from acllite.acllite_resource import resource_list
from acllite.acllite_utils import AclLiteError, check_ret
from dispatcher.acl_device.datasets import Dataset
from dispatcher.acl_device.errors import AclFailure
from dispatcher.acl_device.memory import DeviceBuffer
from dispatcher.acl_device.session import RunMode
from dispatcher.acl_device.tensors import DTYPES
from omfile.facts import BATCH_GEAR_INPUT


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceData:
    """An input that lies on the device already, or was copied there: *size* bytes at *address*."""

    address: int
    size: int


class LoadedModel:
    """Loads the OM file at *path* when constructed; raises AclFailure or AclLiteError.

    With *from_memory* the file is read into memory first. Use it in the context it was made in.
    """

    def __init__(self, path: Path, *, from_memory: bool) -> None:
        mode, code = acl.rt.get_run_mode()
        check_ret("acl.rt.get_run_mode", code)
        self._run_mode = RunMode(mode)
        with ExitStack() as opened:
            self._model_id = self._load_bytes(path) if from_memory else _load_file(path)
            opened.callback(lambda: check_ret("acl.mdl.unload", acl.mdl.unload(self._model_id)))
            self._desc = acl.mdl.create_desc()
            opened.callback(
                lambda: check_ret("acl.mdl.destroy_desc", acl.mdl.destroy_desc(self._desc))
            )
            check_ret("acl.mdl.get_desc", acl.mdl.get_desc(self._desc, self._model_id))
            self._describe()
            self._outputs = Dataset(self._output_sizes, self._run_mode)
            opened.callback(self._outputs.close)
            self._opened = opened.pop_all()
        # Filled as inputs that lie in this program's memory come: one each, used again.
        self._copies: dict[int, DeviceBuffer] = {}

    def close(self) -> None:
        """Unload the model and free its buffers. Closing again does nothing."""
        copies, self._copies = self._copies, {}
        for buffer in copies.values():
            buffer.free()
        self._opened.close()

    def copy_in(self, index: int, values: NDArray[Any]) -> DeviceData:
        """Copy *values* to the device as input *index*; the memory is used again by the next call.

        Raises AclLiteError where the first call had fewer bytes and the model takes fewer.
        """
        values = np.ascontiguousarray(values)
        buffer = self._copies.get(index)
        if buffer is None:
            room = max(self.visible_sizes[index], values.nbytes)
            buffer = self._copies[index] = DeviceBuffer(room, self._run_mode)
        if values.nbytes > buffer.size_bytes:
            raise AclLiteError(
                f"input {index} has {values.nbytes} bytes, there is room for {buffer.size_bytes}",
                const.ACL_ERROR_INVALID_PARAM,
            )
        buffer.write(values)
        return DeviceData(address=buffer.address, size=values.nbytes)

    def run(
        self, inputs: Sequence[DeviceData], *, gear: int | None, trimmed: bool
    ) -> list[NDArray[Any]]:
        """Run once; give a copy of each output, shaped as the largest gear's or, *trimmed*, as run.

        *inputs* are those of the model without its hidden one, which *gear* fills. Raises
        AclFailure or AclLiteError.
        """
        data = list(inputs)
        with ExitStack() as opened:
            if self.gear_index is not None:
                hidden = DeviceBuffer(self.input_sizes[self.gear_index], self._run_mode)
                opened.callback(hidden.free)
                data.insert(
                    self.gear_index, DeviceData(address=hidden.address, size=hidden.size_bytes)
                )
            dataset = _dataset_of(data, opened)
            if self.gear_index is not None:
                chosen = gear if gear is not None else max(self.gears)
                code = acl.mdl.set_dynamic_batch_size(
                    self._model_id, dataset, self.gear_index, chosen
                )
                check_ret("acl.mdl.set_dynamic_batch_size", code)
            code = acl.mdl.execute(self._model_id, dataset, self._outputs.handle)
            check_ret("acl.mdl.execute", code)
        return [self._output(index, trimmed=trimmed) for index in range(len(self._output_sizes))]

    def _describe(self) -> None:
        desc, mdl = self._desc, acl.mdl
        count = mdl.get_num_inputs(desc)
        self.input_sizes = [mdl.get_input_size_by_index(desc, index) for index in range(count)]
        names = [mdl.get_input_name_by_index(desc, index) for index in range(count)]
        self.gear_index = names.index(BATCH_GEAR_INPUT) if BATCH_GEAR_INPUT in names else None
        self.gears: tuple[int, ...] = ()
        if self.gear_index is not None:
            gears, code = mdl.get_dynamic_batch(desc)
            check_ret("acl.mdl.get_dynamic_batch", code)
            self.gears = tuple(sorted(gears["batch"][: gears["batchCount"]]))
        outputs = range(mdl.get_num_outputs(desc))
        self._output_sizes = [mdl.get_output_size_by_index(desc, index) for index in outputs]

    @property
    def visible_sizes(self) -> list[int]:
        """Give the sizes of the inputs that a program fills, in bytes."""
        return [size for index, size in enumerate(self.input_sizes) if index != self.gear_index]

    def _output(self, index: int, *, trimmed: bool) -> NDArray[Any]:
        ask = acl.mdl.get_cur_output_dims if trimmed else acl.mdl.get_output_dims
        dims, code = ask(self._desc, index)
        check_ret("acl.mdl.get_output_dims", code)
        dtype = DTYPES[acl.mdl.get_output_data_type(self._desc, index)]
        values = np.empty(tuple(dims["dims"]), dtype)
        self._outputs.buffers[index].read_into(values)
        return values

    def _load_bytes(self, path: Path) -> int:
        """Load from memory: the device's where this program runs on it, else this program's."""
        content = np.fromfile(path, np.uint8)
        address: int = content.__array_interface__["data"][0]
        with ExitStack() as opened:
            if self._run_mode is RunMode.DEVICE:
                buffer = DeviceBuffer(content.nbytes, self._run_mode)
                opened.callback(buffer.free)
                buffer.write(content)
                address = buffer.address
            model_id, code = acl.mdl.load_from_mem(address, content.nbytes)
            check_ret("acl.mdl.load_from_mem", code)
        return int(model_id)


def _load_file(path: Path) -> int:
    model_id, code = acl.mdl.load_from_file(str(path))
    check_ret("acl.mdl.load_from_file", code)
    return int(model_id)


def _dataset_of(data: Sequence[DeviceData], opened: ExitStack) -> int:
    """Make a dataset over memory of others; *opened* takes it apart again."""
    handles = []
    for each in data:
        handle = acl.create_data_buffer(each.address, each.size)
        opened.callback(acl.destroy_data_buffer, handle)
        handles.append(handle)
    dataset: int = acl.mdl.create_dataset()
    # Last, so that it is destroyed first: it refers to the buffers.
    opened.callback(acl.mdl.destroy_dataset, dataset)
    for handle in handles:
        _, code = acl.mdl.add_dataset_buffer(dataset, handle)
        check_ret("acl.mdl.add_dataset_buffer", code)
    return dataset


class ModelOwner:
    """What both generations of AclLiteModel are: it has a model until it is destroyed."""

    def __init__(self) -> None:
        self._model: LoadedModel | None = None

    def destroy(self) -> None:
        """Unload the model and free its memory. Again does nothing."""
        model, self._model = self._model, None
        if model is not None:
            resource_list.unregister(self)
            model.close()

    def __del__(self) -> None:
        # Late in the interpreter's end there may be nothing left to give back.
        with suppress(Exception):
            self.destroy()

    def _own(self, path: Path, load_type: int) -> LoadedModel:
        """Load from the file (*load_type* 0) or through memory (1); raises AclLiteError."""
        try:
            model = LoadedModel(path, from_memory=load_type == 1)
        except AclFailure as failure:
            raise AclLiteError.of(failure) from failure
        self._model = model
        resource_list.register(self)
        return model
