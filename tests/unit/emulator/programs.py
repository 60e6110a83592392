"""A small pyACL program, for tests that look at one call of many."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.unit.emulator.board import Board
from tests.unit.emulator.models import doubling_om, write

Array = npt.NDArray[Any]
D2D = 3


class Loaded:
    """A model with a buffer for each input and output."""

    def __init__(self, program: Program, path: str) -> None:
        self._acl = acl = program.acl
        self._program = program
        self.number, code = acl.mdl.load_from_file(path)
        assert code == 0, acl.get_recent_err_msg()
        self.desc = acl.mdl.create_desc()
        assert acl.mdl.get_desc(self.desc, self.number) == 0
        self.inputs = self._dataset("input")
        self.outputs = self._dataset("output")

    def _dataset(self, side: str) -> int:
        mdl = self._acl.mdl
        dataset: int = mdl.create_dataset()
        for index in range(getattr(mdl, f"get_num_{side}s")(self.desc)):
            size = getattr(mdl, f"get_{side}_size_by_index")(self.desc, index)
            address, code = self._acl.rt.malloc(size, 0)
            assert code == 0
            buffer = self._acl.create_data_buffer(address, size)
            assert mdl.add_dataset_buffer(dataset, buffer) == (dataset, 0)
        return dataset

    def address(self, dataset: int, index: int = 0) -> int:
        """Give where a buffer lies."""
        buffer = self._acl.mdl.get_dataset_buffer(dataset, index)
        address: int = self._acl.get_data_buffer_addr(buffer)
        return address

    def put(self, array: Array, index: int = 0) -> None:
        """Copy *array* into an input."""
        address = self.address(self.inputs, index)
        kind = self._program.kind_in
        size = array.nbytes
        assert self._acl.rt.memcpy(address, size, array.ctypes.data, size, kind) == 0

    def get(self, shape: tuple[int, ...], dtype: Any = np.float32, index: int = 0) -> Array:
        """Copy an output out."""
        array = np.empty(shape, dtype)
        address = self.address(self.outputs, index)
        kind = self._program.kind_out
        size = array.nbytes
        assert self._acl.rt.memcpy(array.ctypes.data, size, address, size, kind) == 0
        return array

    def execute(self) -> int:
        """Run the model to its end."""
        code: int = self._acl.mdl.execute(self.number, self.inputs, self.outputs)
        return code

    def execute_async(self) -> int:
        """Queue a run."""
        stream = self._program.stream
        code: int = self._acl.mdl.execute_async(self.number, self.inputs, self.outputs, stream)
        return code

    def choose_batch(self, batch: int) -> int:
        """Set the batch gear."""
        mdl = self._acl.mdl
        index, code = mdl.get_input_index_by_name(self.desc, "ascend_mbatch_shape_data")
        assert code == 0
        code = mdl.set_dynamic_batch_size(self.number, self.inputs, index, batch)
        return int(code)

    def close(self) -> None:
        """Give everything back."""
        acl = self._acl
        for dataset in (self.inputs, self.outputs):
            for index in range(acl.mdl.get_dataset_num_buffers(dataset)):
                buffer = acl.mdl.get_dataset_buffer(dataset, index)
                acl.rt.free(acl.get_data_buffer_addr(buffer))
                acl.destroy_data_buffer(buffer)
            acl.mdl.destroy_dataset(dataset)
        acl.mdl.unload(self.number)
        acl.mdl.destroy_desc(self.desc)


class Program:
    """init, set_device, a context and a stream; opened by the first use."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.acl = board.acl
        self.context = 0
        self.stream = 0
        self.loaded: list[Loaded] = []

    def start(self, **settings: object) -> Any:
        """Begin on a board with *settings*."""
        self.acl = self.board.use(**settings)
        assert self.acl.init() == 0
        assert self.acl.rt.set_device(0) == 0
        self.context, code = self.acl.rt.create_context(0)
        assert code == 0
        self.stream, code = self.acl.rt.create_stream()
        assert code == 0
        return self.acl

    @property
    def kind_in(self) -> int:
        """The copy kind from Python's memory to the device's."""
        return D2D if self.board.machine.configuration.run_mode == 0 else 1

    @property
    def kind_out(self) -> int:
        """The copy kind from the device's memory to Python's."""
        return D2D if self.board.machine.configuration.run_mode == 0 else 2

    def load(self, om: bytes | None = None, name: str = "model.om") -> Loaded:
        """Load an OM (a model that doubles and adds one, unless given)."""
        loaded = Loaded(self, write(self.board.folder, om or doubling_om(), name))
        self.loaded.append(loaded)
        return loaded

    def close(self) -> None:
        """Give everything back, in the right order; nothing may be left."""
        if not self.context or self.board.machine.life.dead_code or self.board.findings:
            return
        for loaded in self.loaded:
            loaded.close()
        assert self.acl.rt.destroy_stream(self.stream) == 0
        assert self.acl.rt.destroy_context(self.context) == 0
        assert self.acl.rt.reset_device(0) == 0
        assert self.acl.finalize() == 0
        assert self.board.leaks == []


def memory_at(address: int, size_bytes: int) -> bytes:
    """Read memory as any C code could."""
    return ctypes.string_at(address, size_bytes)
