"""Models: read from an OM, loaded into a context, counted against the device's memory."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from acl import _codes
from acl._clock import hold_until
from acl._engine import Engine
from acl._gears import Gear
from acl._hanging import hang
from acl._memory import OutOfMemory
from acl._onnx_library import OnnxFailure
from acl._profiles import profile_of
from omfile.errors import MalformedOm, OmError, UnreadableOm
from omfile.facts import PartitionKind
from omfile.reader import read_om

if TYPE_CHECKING:
    from acl._configuration import FaultSpec, Profile
    from acl._contexts import Current
    from acl._machine import Machine
    from omfile.facts import OmFile

MODEL = "model"
_MIB = 1 << 20


@dataclass(slots=True, eq=False)
class LoadedModel:
    """A model on the device. *engine* is None where a profile plays it without computing.

    *running_in* holds the streams that have runs of it queued. *gear* is what set_dynamic_* set
    last; *ran_dims* are the output shapes of the last run, where a gear does not tell them.
    """

    number: int
    name: str
    om: OmFile
    engine: Engine | None
    profile: Profile | None
    context: Current
    charged_bytes: int = 0
    running_in: list[int] = field(default_factory=list)
    gear: Gear = ()
    ran_dims: list[tuple[int, ...]] = field(default_factory=list)


def describe_om(machine: Machine, data: bytes, call: str) -> OmFile | int:
    """Read an OM, or give the code that the loader has for what is wrong with it."""
    try:
        return read_om(data)
    except UnreadableOm as error:
        return machine.fail(_codes.GE_MODEL_PATH_INVALID, f"{call}: {error}")
    except MalformedOm as error:
        return machine.fail(_codes.GE_PARAM_INVALID, f"{call}: {error}")
    except OmError as error:
        return machine.fail(_codes.GE_MODEL_DATA_SIZE_INVALID, f"{call}: {error}")


def load(
    machine: Machine, data: bytes, *, stem: str, given: tuple[bool, bool], call: str
) -> tuple[int, int]:
    """Load an OM; *given* says whether the program brought work and weight memory itself."""
    current = machine.context()
    if current is None:
        return 0, machine.without_context(call)
    began_s = time.monotonic()
    fault = machine.faults.strike("load", model=stem)
    if fault is not None:
        if code := _suffer(machine, fault):
            return 0, code
        data = data[: len(data) // 2] if fault.action == "truncated" else data
    om = describe_om(machine, data, call)
    if isinstance(om, int):
        return 0, om
    profile = profile_of(machine.configuration.profiles, om.name, stem)
    code = _check_soc(machine, om, call, pretend=fault)
    if code := code or _check_playable(machine, om, profile, call):
        return 0, code
    model = LoadedModel(machine.next_model_id, stem or om.name, om, None, profile, current)
    if code := _settle(machine, model, given, call):
        return 0, code
    if profile is not None:
        hold_until(began_s + profile.load_ms / 1000 * machine.configuration.time_scale)
    machine.next_model_id += 1
    machine.ledger.add(MODEL, model, handle=model.number)
    return model.number, _codes.SUCCESS


def _settle(machine: Machine, model: LoadedModel, given: tuple[bool, bool], call: str) -> int:
    """Take the model's memory, and make what computes it."""
    charged = _needed_bytes(model.om, model.profile, given)
    try:
        machine.memory.charge(charged)
    except OutOfMemory as error:
        return machine.fail(_codes.RT_MEMORY_ALLOCATION, f"{call}: {error}")
    try:
        if model.profile is None or model.profile.compute:
            model.engine = Engine(model.om.partition(PartitionKind.WEIGHTS))
    except (OnnxFailure, OmError) as error:
        machine.memory.refund(charged)
        return machine.fail(_codes.GE_FAILURE, f"{call}: {error}")
    model.charged_bytes = charged
    return 0


def unload(machine: Machine, number: int, call: str) -> int:
    """Take a model off the device."""
    model, code = find(machine, number, call)
    if model is None:
        return code
    if model.running_in:
        machine.findings.misuse(f"{call}: the model runs in a stream; synchronise first")
    machine.ledger.remove(number)
    machine.memory.refund(model.charged_bytes)
    if model.engine is not None and not model.running_in:
        model.engine.close()
    return _codes.SUCCESS


def find(machine: Machine, number: int, call: str) -> tuple[LoadedModel | None, int]:
    """Give a loaded model that this thread may use, or the code for why not."""
    if machine.life.dead_code:
        return None, machine.not_ready(call)
    if not machine.life.initialised:
        return None, machine.fail(_codes.GE_NOT_INIT, f"{call}: acl.init was not called")
    model = machine.ledger.peek(MODEL, number, LoadedModel)
    if model is None:
        what = "was unloaded" if machine.ledger.ended(number) else "was never loaded"
        text = f"{call}: model {number} {what}"
        return None, machine.fail(_codes.GE_MODEL_ID_INVALID, text)
    current = machine.context()
    if current is None:
        return None, machine.without_context(call)
    if current is not model.context:
        text = f"{call}: model {number} was loaded in another context"
        return None, machine.fail(_codes.RT_MODEL_CONTEXT, text)
    return model, 0


def _suffer(machine: Machine, fault: FaultSpec) -> int:
    if fault.action == "fail":
        return machine.suffer(fault)
    if fault.action == "hang":
        return hang(machine, fault.for_ms, None)
    if fault.action == "slow":
        hold_until(time.monotonic() + fault.for_ms / 1000)
    return 0


def _check_soc(machine: Machine, om: OmFile, call: str, *, pretend: FaultSpec | None) -> int:
    own = machine.configuration.soc
    built_for = om.soc_version
    if pretend is not None and pretend.action == "other_soc":
        built_for = "Ascend310P3"
    if built_for in {"", own}:
        return 0
    text = (
        f"{call}: E10001: supported socVersion={own}, but the model socVersion={built_for}"
        " (rtModelCheckCompatibility 507008)"
    )
    return machine.fail(_codes.GE_FAILURE, text)


def _check_playable(machine: Machine, om: OmFile, profile: Profile | None, call: str) -> int:
    if om.is_emulated or (profile is not None and not profile.compute):
        return 0
    text = f"{call}: {om.name} holds kernels of an NPU; give it a profile without compute"
    return machine.fail(_codes.GE_FAILURE, text)


def _needed_bytes(om: OmFile, profile: Profile | None, given: tuple[bool, bool]) -> int:
    work, weight = om.work_bytes, om.weight_bytes
    if profile is not None:
        work = work if profile.work_mb < 0 else int(profile.work_mb * _MIB)
        weight = weight if profile.weight_mb < 0 else int(profile.weight_mb * _MIB)
    return (0 if given[0] else work) + (0 if given[1] else weight)
