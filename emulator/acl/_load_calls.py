"""acl.mdl: load a model, ask what it will need, unload it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from pathlib import Path
from typing import SupportsIndex

from acl import _codes, _models
from acl._machine import Machine, here
from acl._surface import exported

_mdl = exported("acl.mdl")
CONFIG = "model config"

# Options of set_config_opt, and the load types that read them.
_LOAD_TYPE, _PATH, _MEM_ADDR, _MEM_SIZE = 1, 2, 3, 4
_WEIGHT_ADDR, _WEIGHT_SIZE, _WORK_ADDR, _WORK_SIZE = 5, 6, 7, 8
_FROM_FILE, _FILE_WITH_MEM, _FROM_MEM, _MEM_WITH_MEM = 1, 2, 3, 4


@dataclass(slots=True, eq=False)
class LoadConfig:
    """Options by number."""

    options: dict[int, object] = field(default_factory=dict)


def not_ready(machine: Machine, call: str) -> int:
    """Give 0 if models can be loaded, else the graph engine's code."""
    if machine.life.dead_code:
        return machine.not_ready(call)
    if not machine.life.initialised:
        return machine.fail(_codes.GE_NOT_INIT, f"{call}: acl.init was not called")
    return 0


def read_model_file(machine: Machine, path: str, call: str) -> bytes | int:
    """Read an OM file, or give the code for an unreadable path."""
    if not path:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no path")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        return machine.fail(_codes.GE_MODEL_PATH_INVALID, f"{call}: {path}: {error.strerror}")


def read_model_memory(
    machine: Machine, address: int, size_bytes: int, call: str, *, anywhere: bool = False
) -> bytes | int:
    """Read an OM from memory: the device's own where acl runs on it, else the host's."""
    if not address or not size_bytes:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no memory")
    span = machine.memory.span(address, size_bytes, call=call)
    if span is None:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: bad memory")
    wants_device = machine.configuration.run_mode == 0
    if not anywhere and span.on_device is not wants_device:
        wanted = "device" if wants_device else "host"
        text = f"{call}: in run mode {machine.configuration.run_mode} the OM must lie in {wanted}"
        machine.findings.misuse(f"{text} memory")
        return machine.fail(_codes.INVALID_PARAM, text)
    return ctypes.string_at(span.real, size_bytes)


def _check_given(machine: Machine, address: int, size_bytes: int, call: str) -> int:
    """Check work or weight memory that the program brings."""
    if not address and not size_bytes:
        return 0
    span = machine.memory.span(address, size_bytes, call=call)
    if span is None or not span.on_device:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: {address:#x} is no device memory")
    return 0


def _load(
    machine: Machine, data: bytes | int, call: str, *, stem: str = "", given: tuple[int, ...] = ()
) -> tuple[int, int]:
    if isinstance(data, int):
        return 0, data
    work, work_size, weight, weight_size = given or (0, 0, 0, 0)
    for address, size_bytes in ((work, work_size), (weight, weight_size)):
        if code := _check_given(machine, address, size_bytes, call):
            return 0, code
    brought = (bool(work), bool(weight))
    return _models.load(machine, data, stem=stem, given=brought, call=call)


@_mdl
def load_from_file(path: str) -> tuple[int, int]:
    """Load an OM file."""
    machine, call = here(), "acl.mdl.load_from_file"
    if code := not_ready(machine, call):
        return 0, code
    data = read_model_file(machine, path, call)
    return _load(machine, data, call, stem=Path(path).stem)


@_mdl
def load_from_mem(address: int, size_bytes: int) -> tuple[int, int]:
    """Load an OM that lies in memory."""
    machine, call = here(), "acl.mdl.load_from_mem"
    if code := not_ready(machine, call):
        return 0, code
    return _load(machine, read_model_memory(machine, address, size_bytes, call), call)


@_mdl
def load_from_file_with_mem(
    path: str, work: int, work_bytes: int, weight: int, weight_bytes: int
) -> tuple[int, int]:
    """Load an OM file into the program's own work and weight memory."""
    machine, call = here(), "acl.mdl.load_from_file_with_mem"
    if code := not_ready(machine, call):
        return 0, code
    data, given = read_model_file(machine, path, call), (work, work_bytes, weight, weight_bytes)
    return _load(machine, data, call, stem=Path(path).stem, given=given)


@_mdl
def load_from_mem_with_mem(
    address: int, size_bytes: int, work: int, work_bytes: int, weight: int, weight_bytes: int
) -> tuple[int, int]:
    """Load an OM that lies in memory into the program's own work and weight memory."""
    machine, call = here(), "acl.mdl.load_from_mem_with_mem"
    if code := not_ready(machine, call):
        return 0, code
    data, given = read_model_memory(machine, address, size_bytes, call), (work, work_bytes)
    return _load(machine, data, call, given=(*given, weight, weight_bytes))


@_mdl
def create_config_handle() -> int:
    """Make an empty set of load options."""
    return here().ledger.add(CONFIG, LoadConfig())


@_mdl
def destroy_config_handle(handle: int) -> int:
    """Free a set of load options."""
    machine, call = here(), "acl.mdl.destroy_config_handle"
    if machine.ledger.get(CONFIG, handle, LoadConfig, call=call) is None:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no config {handle:#x}")
    machine.ledger.remove(handle)
    return _codes.SUCCESS


@_mdl
def set_config_opt(handle: int, attr: SupportsIndex, value: object) -> int:
    """Set a load option: a path is a str, everything else an int."""
    machine, call, number = here(), "acl.mdl.set_config_opt", int(attr)
    found = machine.ledger.get(CONFIG, handle, LoadConfig, call=call)
    if found is None:
        return machine.fail(_codes.INVALID_PARAM, f"{call}: no config {handle:#x}")
    if not isinstance(value, str if number == _PATH else int):
        raise TypeError(f"{call} args parse failed")
    found.options[number] = value
    return _codes.SUCCESS


@_mdl
def load_with_config(handle: int) -> tuple[int, int]:
    """Load an OM as the options say."""
    machine, call = here(), "acl.mdl.load_with_config"
    if code := not_ready(machine, call):
        return 0, code
    found = machine.ledger.get(CONFIG, handle, LoadConfig, call=call)
    kind = None if found is None else found.options.get(_LOAD_TYPE)
    if found is None or kind not in {_FROM_FILE, _FILE_WITH_MEM, _FROM_MEM, _MEM_WITH_MEM}:
        return 0, machine.fail(_codes.INVALID_PARAM, f"{call}: load type {kind}")

    def number(option: int) -> int:
        value = found.options.get(option, 0)
        return value if isinstance(value, int) else 0

    given: tuple[int, ...] = ()
    if kind in {_FILE_WITH_MEM, _MEM_WITH_MEM}:
        options = (_WORK_ADDR, _WORK_SIZE, _WEIGHT_ADDR, _WEIGHT_SIZE)
        given = tuple(number(option) for option in options)
    if kind in {_FROM_FILE, _FILE_WITH_MEM}:
        path = str(found.options.get(_PATH, ""))
        data = read_model_file(machine, path, call)
        return _load(machine, data, call, stem=Path(path).stem, given=given)
    data = read_model_memory(machine, number(_MEM_ADDR), number(_MEM_SIZE), call)
    return _load(machine, data, call, given=given)


@_mdl
def unload(model_id: int) -> int:
    """Take a model off the device."""
    return _models.unload(here(), model_id, "acl.mdl.unload")


@_mdl
def query_size(path: str) -> tuple[int, int, int]:
    """Give the work and the weight memory that a file's model needs."""
    machine, call = here(), "acl.mdl.query_size"
    return _sizes(machine, read_model_file(machine, path, call), call)


@_mdl
def query_size_from_mem(address: int, size_bytes: int) -> tuple[int, int, int]:
    """Give the work and the weight memory that a model in memory needs."""
    machine, call = here(), "acl.mdl.query_size_from_mem"
    data = read_model_memory(machine, address, size_bytes, call, anywhere=True)
    return _sizes(machine, data, call)


def _sizes(machine: Machine, data: bytes | int, call: str) -> tuple[int, int, int]:
    om = data if isinstance(data, int) else _models.describe_om(machine, data, call)
    if isinstance(om, int):
        return 0, 0, om
    return om.work_bytes, om.weight_bytes, _codes.SUCCESS
