"""What is emulated: one frozen configuration from a TOML file and ``ACL_EMULATOR_*`` variables.

The file is named by ``ACL_EMULATOR_CONFIG``; a variable overrides the key of the same name
(``ACL_EMULATOR_RUN_MODE`` over ``run_mode``). An unknown key or a wrong type is refused.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "ACL_EMULATOR_"
# Read elsewhere: here for the file, in bin/npu-smi for the interpreter.
_NO_SETTINGS = frozenset({"config", "faults", "python"})
_SOCS = ("Ascend310B1", "Ascend310B4")


class InvalidConfiguration(ValueError):
    """The configuration names something that does not exist, or gives it an impossible value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """One fault to inject.

    *at* is the place (set_device, malloc, memcpy, load, execute, synchronize, init, jpeg_decode),
    *action* what happens there: fail (with *code*), hang (for *for_ms*, 0 = for good), slow (by
    *for_ms*), truncated or other_soc (of the OM that is loaded). It happens at the *nth* passage
    and *times* times in all (0 = for ever after). *model* is a pattern of model names;
    *contains_hex* limits an execute fault to inputs that hold these bytes.
    """

    at: str
    action: str = "fail"
    code: int = 0
    nth: int = 1
    times: int = 1
    for_ms: float = 0.0
    model: str = "*"
    contains_hex: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How long a model takes and what it holds on the device that is played.

    With *compute* false nothing is computed, and the outputs are zeros. A negative memory size
    means the OM's own.
    """

    model: str
    fixed_ms: float = 0.0
    item_ms: float = 0.0
    load_ms: float = 0.0
    work_mb: float = -1.0
    weight_mb: float = -1.0
    compute: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The emulated board, how strict the emulator is, and what goes wrong."""

    soc: str = "Ascend310B4"
    run_mode: int = 0
    strict: bool = True
    device_count: int = 1
    memory_mb: int = 7545
    system_mb: int = 1500
    huge_pages: int = 15
    streams: int = 1024
    contexts: int = 512
    events: int = 1024
    channels: int = 128
    processes: int = 64
    process_folder: str = ""
    sticky_stream_errors: bool = False
    time_scale: float = 1.0
    timeline_file: str = ""
    himpi_channels: bool = False
    environment_root: str = ""
    health: str = "OK"
    temperature_c: float = 53.0
    dcmi_error: int = 0
    exit_code: int = 70
    faults: tuple[FaultSpec, ...] = ()
    profiles: tuple[Profile, ...] = ()


_TABLES: dict[str, type[FaultSpec] | type[Profile]] = {"faults": FaultSpec, "profiles": Profile}
_PLACES = frozenset(
    {"init", "set_device", "malloc", "memcpy", "load", "execute", "synchronize", "jpeg_decode"}
)
_ACTIONS = frozenset({"fail", "hang", "slow", "truncated", "other_soc"})


def read_configuration(environment: Mapping[str, str]) -> Configuration:
    """Read the file and the variables that *environment* names. Raises InvalidConfiguration."""
    values: dict[str, object] = {}
    if path := environment.get(f"{_PREFIX}CONFIG"):
        values = dict(tomllib.loads(Path(path).read_text("utf-8")))
    types = {field.name: field.default for field in dataclasses.fields(Configuration)}
    for name, text in environment.items():
        key = name.removeprefix(_PREFIX).lower()
        if not name.startswith(_PREFIX) or key in _NO_SETTINGS:
            continue
        if key not in types or key in _TABLES:
            raise InvalidConfiguration(f"{name}: there is no such setting")
        values[key] = _from_text(name, text, types[key])
    if faults := environment.get(f"{_PREFIX}FAULTS"):
        values["faults"] = [_fault_from_text(entry) for entry in faults.split(",")]
    return configuration_from(values)


def configuration_from(values: Mapping[str, object]) -> Configuration:
    """Build a configuration from the keys of a TOML file. Raises InvalidConfiguration."""
    types = {field.name: field.default for field in dataclasses.fields(Configuration)}
    plain: dict[str, object] = {}
    for key, value in values.items():
        if key not in types:
            raise InvalidConfiguration(f"{key}: there is no such setting")
        plain[key] = _rows(key, value) if key in _TABLES else _typed(key, value, types[key])
    soc = str(plain.get("soc", "Ascend310B4"))
    plain["soc"] = soc if soc.startswith("Ascend") else f"Ascend{soc}"
    configuration = Configuration(**plain)  # type: ignore[arg-type]
    _check(configuration)
    return configuration


def _check(configuration: Configuration) -> None:
    if configuration.soc not in _SOCS:
        raise InvalidConfiguration(f"soc: {configuration.soc} is not one of {', '.join(_SOCS)}")
    if configuration.run_mode not in {0, 1}:
        raise InvalidConfiguration("run_mode: 0 (on the device) or 1 (host)")
    if configuration.system_mb >= configuration.memory_mb:
        raise InvalidConfiguration("system_mb: leaves nothing of memory_mb")
    for fault in configuration.faults:
        if fault.at not in _PLACES:
            raise InvalidConfiguration(f"faults: no such place: {fault.at}")
        if fault.action not in _ACTIONS:
            raise InvalidConfiguration(f"faults: no such action: {fault.action}")
        if fault.action == "fail" and fault.code == 0:
            raise InvalidConfiguration(f"faults: a failing {fault.at} needs a code")


def _rows(key: str, value: object) -> tuple[FaultSpec | Profile, ...]:
    if not isinstance(value, list):
        raise InvalidConfiguration(f"{key}: an array of tables, [[{key}]]")
    kind = _TABLES[key]
    defaults = {field.name: field for field in dataclasses.fields(kind)}
    rows: list[FaultSpec | Profile] = []
    for row in value:
        if not isinstance(row, Mapping):
            raise InvalidConfiguration(f"{key}: an array of tables, [[{key}]]")
        given: dict[str, object] = {}
        for name, entry in row.items():
            if name not in defaults:
                raise InvalidConfiguration(f"{key}.{name}: there is no such setting")
            default = defaults[name].default
            like: object = "" if default is dataclasses.MISSING else default
            given[name] = _typed(f"{key}.{name}", entry, like)
        try:
            rows.append(kind(**given))  # type: ignore[arg-type]
        except TypeError as error:
            raise InvalidConfiguration(f"{key}: {error}") from None
    return tuple(rows)


def _typed(name: str, value: object, like: object) -> object:
    if isinstance(like, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(like):
        raise InvalidConfiguration(f"{name}: {value!r} is no {type(like).__name__}")
    return value


def _from_text(name: str, text: str, like: object) -> object:
    if isinstance(like, bool):
        if text.lower() not in {"0", "1", "true", "false"}:
            raise InvalidConfiguration(f"{name}: {text!r} is neither true nor false")
        return text.lower() in {"1", "true"}
    try:
        return type(like)(text)  # type: ignore[call-arg]
    except ValueError:
        raise InvalidConfiguration(f"{name}: {text!r} is no {type(like).__name__}") from None


def _fault_from_text(text: str) -> dict[str, object]:
    """Read ``place=what[@nth][*times]``; what is a code, an action, or ``action:milliseconds``."""
    place, equals, rest = text.strip().partition("=")
    rest, _, times = rest.partition("*")
    what, _, nth = rest.partition("@")
    action, _, for_ms = what.partition(":")
    fault: dict[str, object] = {"at": place}
    try:
        if times:
            fault["times"] = int(times)
        if nth:
            fault["nth"] = int(nth)
        if for_ms:
            fault["for_ms"] = float(for_ms)
        if action.isdigit():
            fault["code"] = int(action)
        else:
            fault["action"] = action
    except ValueError:
        equals = ""
    if not equals:
        raise InvalidConfiguration(f"{_PREFIX}FAULTS: cannot read {text!r}")
    return fault
