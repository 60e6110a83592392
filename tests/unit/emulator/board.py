"""The emulated board of a test: its settings, and scripts that run in a process of their own."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
EMULATOR = ROOT / "emulator"


class Board:
    """An acl module with settings that a test chooses."""

    def __init__(self, acl: Any, folder: Path) -> None:
        self.acl = acl
        self.folder = folder
        self.machine: Any = None

    def use(self, **settings: object) -> Any:
        """Start afresh with *settings* (keys as in the configuration file)."""
        values: dict[str, object] = {"process_folder": str(self.folder / "seats"), **settings}
        configuration = part("configuration").configuration_from(values)
        self.machine = part("machine").restart(configuration)
        return self.acl

    def open(self, **settings: object) -> Any:
        """Start afresh and set the device."""
        if settings:
            self.use(**settings)
        assert self.acl.init() == 0
        assert self.acl.rt.set_device(0) == 0
        return self.acl

    @property
    def findings(self) -> list[str]:
        """What the emulator held against the test so far."""
        texts: list[str] = self.machine.findings.texts
        return texts

    @property
    def leaks(self) -> list[str]:
        """What is live now."""
        lines: list[str] = self.machine.leaks()
        return lines


def part(name: str) -> Any:
    """Give a module from inside the emulator."""
    return importlib.import_module(f"acl._{name}")


def misuse() -> type[Exception]:
    """Give the exception that a finding raises in strict mode."""
    kind: type[Exception] = part("findings").Misuse
    return kind


def run_script(
    text: str, folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program that imports acl in a process of its own."""
    script = folder / "program.py"
    script.write_text(textwrap.dedent(text), "utf-8")
    own = {key: value for key, value in os.environ.items() if not key.startswith("ACL_")}
    own |= {"PYTHONPATH": str(EMULATOR), "ACL_EMULATOR_PROCESS_FOLDER": str(folder / "seats")}
    own |= environment
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        env=own,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
