"""acl: begin and end, versions, error texts."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import SupportsIndex

from acl import _codes, _environment, _surface
from acl._machine import here
from acl._surface import exported

_acl = exported("acl")
_log = logging.getLogger("acl")

_VERSION = (1, 14, 0)
_CANN = {"version": "8.1.RC1", "majorVersion": 8, "minorVersion": 1, "releaseVersion": 1}
_PACKAGES = frozenset({"runtime", "compiler", "opp", "toolkit", "nnrt"})
_LEVELS = {0: logging.DEBUG, 1: logging.INFO, 2: logging.WARNING, 3: logging.ERROR}

# Bytes of one element by ACL data type; 8 for the rest.
_ELEMENT_BYTES = {-1: 0, 13: 0, 30: 1, 29: 1, 2: 1, 4: 1, 12: 1, 1: 2, 6: 2, 7: 2, 27: 2}
_ELEMENT_BYTES |= {0: 4, 3: 4, 8: 4, 33: 4, 17: 16}


@_acl
def init(config_path: str = "") -> int:
    """Begin. The second time gives 100002 and counts."""
    machine, call = here(), "acl.init"
    life = machine.life
    if life.initialised:
        life.inits += 1
        if config_path != (life.config_path or ""):
            return machine.fail(_codes.INVALID_PARAM, f"{call}: another config than before")
        return machine.fail(_codes.REPEAT_INITIALIZE, f"{call}: already initialised")
    if config_path:
        try:
            json.loads(Path(config_path).read_text("utf-8"))
        except (OSError, ValueError) as error:
            return machine.fail(_codes.INVALID_FILE, f"{call}: {config_path}: {error}")
    if fault := machine.faults.strike("init"):
        return machine.suffer(fault)
    if missing := _environment.missing(machine.configuration.environment_root):
        text = f"{call}: the container lacks: {'; '.join(missing)}"
        return machine.fail(_codes.RT_DRV_INTERNAL_ERROR, text)
    life.initialised, life.inits, life.config_path = True, 1, config_path
    _surface.note_initialised(initialised=True)
    return _codes.SUCCESS


@_acl
def finalize() -> int:
    """End, whatever the number of inits; what was not given back is reported."""
    machine, call = here(), "acl.finalize"
    if not machine.life.initialised:
        return machine.fail(_codes.REPEAT_FINALIZE, f"{call}: not initialised")
    machine.life.initialised, machine.life.inits = False, 0
    machine.life.was_finalised = True
    for stream in machine.all_streams():
        stream.stop()
    _surface.note_initialised(initialised=False)
    if machine.report_leaks("finalize"):
        machine.findings.misuse(f"{call}: there are leaks, see above")
    return _codes.SUCCESS


@_acl
def finalize_reference() -> tuple[int, int]:
    """Take one init back; the last one ends."""
    machine, call = here(), "acl.finalize_reference"
    if not machine.life.inits:
        return 0, machine.fail(_codes.REPEAT_FINALIZE, f"{call}: not initialised")
    if machine.life.inits == 1:
        return 0, finalize()
    machine.life.inits -= 1
    return machine.life.inits, _codes.SUCCESS


@_acl
def get_version() -> tuple[int, int, int, int]:
    """Give the version of the interface."""
    return (*_VERSION, _codes.SUCCESS)


@_acl
def get_soc_name() -> str | None:
    """Give the chip's name, None without a context."""
    machine = here()
    return None if machine.context() is None else machine.configuration.soc


@_acl
def get_recent_err_msg() -> str | None:
    """Give this thread's last error text, and forget it."""
    return here().findings.take_recent()


@_acl
def data_type_size(dtype: SupportsIndex) -> int:
    """Give the bytes of one element."""
    return _ELEMENT_BYTES.get(int(dtype), 8)


@_acl
def app_log(level: SupportsIndex, message: str) -> None:
    """Write a line to the log."""
    _log.log(_LEVELS.get(int(level), logging.ERROR), "%s", message)


@_acl
def get_cann_version(name: str) -> tuple[dict[str, object], int]:
    """Give the version of an installed package."""
    if name not in _PACKAGES:
        text = f"acl.get_cann_version: there is no package {name}"
        return {}, here().fail(_codes.INVALID_FILE, text)
    return dict(_CANN), _codes.SUCCESS


@_acl
def get_device_capability(device_id: SupportsIndex, info: SupportsIndex) -> tuple[int, int]:
    """Say that the capability is not known here."""
    text = f"acl.get_device_capability: {int(info)} is not emulated"
    return 0, here().fail(_codes.FEATURE_UNSUPPORTED, text)


@_acl
def get_cann_attribute(attribute: SupportsIndex) -> tuple[int, int]:
    """Say whether CANN has an attribute: none is emulated."""
    return 0, _codes.SUCCESS


@_acl
def get_cann_attribute_list() -> tuple[list[int], int, int]:
    """List CANN's attributes: none is emulated."""
    return [], 0, _codes.SUCCESS
