"""What can be configured, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.emulator.board import part, run_script

FILE = """
soc = "310B1"
run_mode = 1
memory_mb = 3513

[[faults]]
at = "execute"
code = 507011
nth = 3

[[profiles]]
model = "yolo*"
fixed_ms = 3
item_ms = 4.5
"""


@pytest.mark.usefixtures("acl")
def test_a_file_is_read(tmp_path: Path) -> None:
    """Keys, faults and profiles come from TOML; whole numbers do for fractions."""
    path = tmp_path / "board.toml"
    path.write_text(FILE, "utf-8")
    read = part("configuration").read_configuration({"ACL_EMULATOR_CONFIG": str(path)})
    assert (read.soc, read.run_mode, read.memory_mb) == ("Ascend310B1", 1, 3513)
    assert (read.faults[0].at, read.faults[0].code, read.faults[0].nth) == ("execute", 507011, 3)
    assert (read.profiles[0].fixed_ms, read.profiles[0].item_ms) == (3.0, 4.5)


@pytest.mark.usefixtures("acl")
def test_variables_override_the_file(tmp_path: Path) -> None:
    """A variable has the last word."""
    path = tmp_path / "board.toml"
    path.write_text(FILE, "utf-8")
    own = {
        "ACL_EMULATOR_CONFIG": str(path),
        "ACL_EMULATOR_RUN_MODE": "0",
        "ACL_EMULATOR_STRICT": "false",
        "ACL_EMULATOR_TIME_SCALE": "0.5",
        "ACL_EMULATOR_FAULTS": "malloc=207001@2*0,execute=hang:50",
        "OTHER": "ignored",
    }
    read = part("configuration").read_configuration(own)
    assert (read.run_mode, read.strict, read.time_scale, read.memory_mb) == (0, False, 0.5, 3513)
    first, second = read.faults
    assert (first.at, first.code, first.nth, first.times) == ("malloc", 207001, 2, 0)
    assert (second.at, second.action, second.for_ms) == ("execute", "hang", 50.0)


@pytest.mark.usefixtures("acl")
@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"colour": 1}, "colour: there is no such setting"),
        ({"run_mode": 2}, "run_mode"),
        ({"run_mode": "1"}, "is no int"),
        ({"strict": 1}, "is no bool"),
        ({"soc": "Ascend910"}, "Ascend910 is not one of"),
        ({"memory_mb": 100, "system_mb": 100}, "leaves nothing"),
        ({"faults": [{"at": "lunch", "code": 1}]}, "no such place: lunch"),
        ({"faults": [{"at": "load", "action": "explode"}]}, "no such action"),
        ({"faults": [{"at": "load"}]}, "needs a code"),
        ({"faults": [{"code": 1}]}, "faults"),
        ({"faults": [{"at": "load", "colour": 1}]}, "faults.colour"),
        ({"faults": {"at": "load"}}, "array of tables"),
        ({"profiles": [3]}, "array of tables"),
    ],
)
def test_mistakes_are_named(values: dict[str, Any], told: str) -> None:
    """An unknown key or an impossible value is refused with its name."""
    configuration = part("configuration")
    with pytest.raises(configuration.InvalidConfiguration, match=told):
        configuration.configuration_from(values)


@pytest.mark.parametrize(
    ("name", "text"),
    [("COLOUR", "1"), ("RUN_MODE", "x"), ("STRICT", "maybe"), ("FAULTS", "execute")],
)
def test_a_wrong_variable_ends_the_import(tmp_path: Path, name: str, text: str) -> None:
    """A typing error in a variable is no silent default."""
    done = run_script("import acl", tmp_path, **{f"ACL_EMULATOR_{name}": text})
    assert done.returncode == 1
    assert "InvalidConfiguration" in done.stderr
    assert f"ACL_EMULATOR_{name}" in done.stderr
