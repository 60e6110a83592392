"""What the demonstration tells people to try next."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gw.data_folder import DataFolder
from gw.demo.run import DemoPlan, next_steps, own_command, shown_path
from gw.settings import CommandSettings


def test_the_next_steps_use_the_usual_stacks_key_and_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is printed speaks of a plain `gw up`, and sends a picture that lies where it says."""
    monkeypatch.chdir(tmp_path)
    plan = DemoPlan(
        folder=DataFolder.at("data/demo"),
        models=tmp_path,
        pictures=None,
        out=Path("demo out"),
        keep=False,
        usual=CommandSettings(http_port=8085),
    )

    steps = next_steps(plan, command="gw", picture="page.png")

    assert steps.splitlines()[0] == "  gw up --detach"
    assert "$(cat data/api-key)" in steps
    assert "--data-binary @'demo out/sent/page.png'" in steps
    assert "'http://127.0.0.1:8085/v1/jobs?model=text-det'" in steps


def test_a_path_elsewhere_is_shown_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the current folder a path is relative, elsewhere absolute."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    assert shown_path(tmp_path / "here" / "x") == "x"
    assert shown_path(tmp_path / "x") == str(tmp_path / "x")


def test_the_own_command_is_what_people_can_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that is not on the PATH is named by where it lies."""
    program = tmp_path / "bin" / "gw"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(program), "demo"])

    monkeypatch.setenv("PATH", "/nowhere")
    assert own_command() == "bin/gw"

    monkeypatch.setenv("PATH", str(program.parent))
    assert own_command() == "gw"
