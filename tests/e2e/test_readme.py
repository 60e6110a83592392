"""The README's commands are executed, and what they answer is compared with what it shows."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gw.demo.pictures import shipped_pictures
from tests.conftest import free_port

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")

#: A fence whose info string says ``tried`` holds commands that this test executes, in their order.
TRIED = "sh tried"


def fenced(name: str, info: str) -> list[str]:
    """Give the contents of a README's blocks that are fenced with *info*."""
    text = (ROOT / name).read_text("utf-8")
    return re.findall(rf"^```{re.escape(info)}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def without_comments(block: str) -> str:
    """Give shell commands without what explains them."""
    return "\n".join(re.sub(r"\s+# .*", "", line) for line in block.splitlines())


def assert_kind(shown: Any, real: Any, path: str = "answer") -> None:
    """Every member that is *shown* is in the *real* document too, of the same kind."""
    assert type(shown) is type(real), f"{path}: {shown!r} is shown, {real!r} is the answer"
    if isinstance(shown, dict):
        for name, value in shown.items():
            assert name in real, f"{path} has no member {name}"
            assert_kind(value, real[name], f"{path}.{name}")
    elif isinstance(shown, list) and shown:
        assert real, f"{path} is empty"
        assert_kind(shown[0], real[0], f"{path}[0]")


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """Give a folder as it is after ``make demo``, and leave nothing running in it."""
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    shutil.copytree(ROOT / "gwproc", tmp_path / "gwproc", ignore=shutil.ignore_patterns("[0-9]*"))
    sent = tmp_path / "demo-out" / "sent"
    sent.mkdir(parents=True)
    for picture in shipped_pictures():
        (sent / picture.name).write_bytes(picture.data)
    yield tmp_path
    bash(".venv/bin/gw down --now", tmp_path)


def bash(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script in *folder*, without this machine's settings; nothing of it is left."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GW_")}
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        # Not communicate(): what the script leaves in the background keeps its output open.
        process.wait(100)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    shown, complaints = process.communicate(timeout=10)
    return subprocess.CompletedProcess(process.args, process.returncode, shown, complaints)


def test_the_readmes_commands_do_what_it_says(checkout: Path) -> None:
    """The blocks run as one session; result, webhook and status are of the kind that is shown."""
    start, submit, stop = fenced("README.md", TRIED)
    shown_answer, shown_webhook = map(json.loads, fenced("README.md", "json"))
    wait = "for _ in $(seq 200); do grep -q ^verified webhooks.log && break; sleep 0.05; done"
    script = "\n".join([start, f"{{ {submit.rstrip()}\n}} > answer.json", wait, stop])
    for port in ("8080", "9000"):
        assert port in script
        script = script.replace(port, str(free_port()))
    # The one option that a default port needs to be another.
    script = script.replace("gw up --detach", f"gw up --detach --port {port_of(script)}")
    started_s = time.monotonic()

    session = bash(script, checkout)

    assert session.returncode == 0, session.stdout + session.stderr
    assert time.monotonic() - started_s < 60
    answer = json.loads((checkout / "answer.json").read_text())
    assert_kind(shown_answer, answer)
    assert answer["state"] == shown_answer["state"]
    assert answer["result"]["counts"]["total"] > 0
    (line,) = (
        line
        for line in (checkout / "webhooks.log").read_text().splitlines()
        if line.startswith("verified ")
    )
    webhook = json.loads(line.partition(": ")[2])
    assert_kind(shown_webhook, webhook)
    assert webhook["data"]["id"] == answer["id"]
    assert webhook["data"]["result"] == answer["result"]
    status = session.stdout[session.stdout.index("SERVICE") :].splitlines()
    assert [line.split()[0] for line in status[1:8]] == [
        "redis",
        "notifier",
        "postprocess",
        "operations",
        "operations-media",
        "dispatcher",
        "webapp",
    ]
    assert status[-1] == "gw is down"


def port_of(script: str) -> str:
    """Give the port that a script's curl speaks to."""
    found = re.search(r"http://127\.0\.0\.1:(\d+)/v1/", script)
    assert found is not None
    return found[1]


def test_both_readmes_have_the_same_commands_and_answers() -> None:
    """Whoever reads either language types the same commands and sees the same documents."""
    english, chinese = READMES
    for info in ("sh", TRIED):
        assert [without_comments(block) for block in fenced(english, info)] == [
            without_comments(block) for block in fenced(chinese, info)
        ]
        assert fenced(english, info)
    for info in ("json", "toml"):
        assert fenced(english, info) == fenced(chinese, info) != []


@pytest.mark.parametrize("name", READMES)
def test_a_readmes_make_targets_exist(name: str) -> None:
    """What the README asks to make, the Makefile can."""
    named = set(re.findall(r"\bmake ([a-z-]+)", (ROOT / name).read_text("utf-8")))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))

    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("name", READMES)
def test_a_readme_stays_short(name: str) -> None:
    """The first page is one that people read to its end."""
    assert len((ROOT / name).read_text("utf-8").splitlines()) <= 150
