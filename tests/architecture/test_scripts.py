"""The shell scripts and the systemd unit are sound, and agree with code and Compose files."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.access.keys import Scope

DEPLOY = Path(__file__).parents[2] / "deploy"
SCRIPTS = sorted(path.name for path in DEPLOY.glob("*.sh"))
INSTALLER = (DEPLOY / "install.sh").read_text("utf-8")

_CHINESE = re.compile("[一-鿿]")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_clean(name: str) -> None:
    """The shell can read it, it may be run, and shellcheck finds nothing where it is installed."""
    path = DEPLOY / name

    assert path.stat().st_mode & 0o111
    checks = [["sh", "-n", str(path)]]
    if (checker := shutil.which("shellcheck")) is not None:
        checks.append([checker, str(path)])
    for check in checks:
        answer = subprocess.run(check, capture_output=True, text=True, check=False)
        assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """With the folder filled in, systemd finds nothing wrong, and no name is left over."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    (tmp_path / "install.sh").write_text("#!/bin/sh\n")
    (tmp_path / "install.sh").chmod(0o755)
    unit = tmp_path / "gw.service"
    unit.write_text((DEPLOY / "gw.service").read_text().replace("@PREFIX@", str(tmp_path)))

    answer = subprocess.run(
        [program, "verify", str(unit)], capture_output=True, text=True, check=False
    )

    assert (answer.returncode, answer.stderr) == (0, "")
    assert "@" not in unit.read_text()


def test_the_first_key_may_do_everything() -> None:
    """The installer asks for every scope that there is."""
    assert set(re.findall(r"--scope (\w+)", INSTALLER)) == set(Scope)


def test_the_installer_tells_everything_in_two_languages() -> None:
    """Each message has a Chinese sentence for each English one, and both name the same things."""
    pairs = re.findall(
        r'\b(?:tell|warn|die|problem) \\?\s*"((?:[^"\\]|\\.)*)"\s*\\?\s*"((?:[^"\\]|\\.)*)"',
        INSTALLER,
    )
    calls = len(
        re.findall(r"(?:^|[ &|{])(?:tell|warn|die|problem) (?:\\\n\s*)?\"", INSTALLER, re.M)
    )

    assert len(pairs) == calls
    for english, chinese in pairs:
        if english.startswith(("warning: $1", "install.sh: $1", "not fit: $1")):
            continue
        assert not _CHINESE.search(english)
        assert _CHINESE.search(chinese), english
        assert set(re.findall(r"--[a-z-]+", english)) == set(re.findall(r"--[a-z-]+", chinese))


@pytest.mark.parametrize("kind", ["ascend", "ascend-runtime", "cpu"])
def test_the_installer_knows_every_kind_of_host(kind: str) -> None:
    """Each kind that it takes has its Compose file."""
    assert (DEPLOY / f"compose.{kind}.yaml").is_file()
    assert re.search(rf'case "\${{kind}}" in "" \|.*\b{kind}\b.*\) ;;', INSTALLER)
