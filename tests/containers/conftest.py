"""Fixtures of the container tests: an engine, base images, our images, a running stack.

These tests need root, Docker and minutes: they are collected only by ``make test-containers``,
which sets ``GW_CONTAINER_TESTS``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders_om import compile_om
from tests.builders_onnx import save_mean_model
from tests.conftest import free_port
from tests.containers import stand_ins
from tests.containers.engine import COMPOSE, Engine
from tests.containers.stack import ROOT, Stack
from tests.e2e.embedded import CARD, write_models

if not os.environ.get("GW_CONTAINER_TESTS"):
    collect_ignore_glob = ["test_*.py"]

#: As slow as a small board with a large model, so that a kill meets jobs under way. The emulator
#: checks from inside that the container has everything that the driver needs.
BOARD = """
environment_root = "/"
[[profiles]]
model = "*"
fixed_ms = 20
item_ms = 10
compute = true
"""

#: A daemon of the driver: it notes how it was started, and stays.
DAEMON = """#!/bin/sh
echo "$@" > "/tmp/${0##*/}.arguments"
while :; do sleep 60; done
"""

#: The tag under which the tests build, so that nothing of the operator's is overwritten.
TAG = "under-test"

#: What the figures of a run are kept under, for the summary at its end.
FIGURES: dict[str, str] = {}

_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", "node_modules")


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Give the engine; one that the tests started is stopped after them."""
    engine = Engine(tmp_path_factory.mktemp("engine") / "dockerd.log")
    engine.ensure()
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def context(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of what images are built from, with an installer as an operator puts it there."""
    folder = tmp_path_factory.mktemp("project")
    copy_context(folder)
    stand_ins.ensure_bases(tmp_path_factory.mktemp("bases"))
    stand_ins.write_installer(folder / "Miniconda3-latest-Linux-stand-in.sh")
    return folder


def copy_context(folder: Path, *, origin: Path = ROOT) -> None:
    """Copy what the builder may see of *origin*, but no installer."""
    for line in (origin / ".dockerignore").read_text().splitlines():
        source = origin / line.removeprefix("!")
        if line.startswith("!") and source.is_dir():
            shutil.copytree(source, folder / source.name, ignore=_IGNORED, dirs_exist_ok=True)
    shutil.copytree(origin / "deploy", folder / "deploy", ignore=_IGNORED, dirs_exist_ok=True)
    for name in (".dockerignore", "docker-compose.yaml", "pyproject.toml"):
        shutil.copy(origin / name, folder / name)


@pytest.fixture(scope="session")
def images(context: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Build every image with the product's own files; give the tag of each."""
    stack = _stack("gwbuild", context, tmp_path_factory.mktemp("build"), ("cpu",))
    started_s = time.monotonic()
    stack.compose("build")
    _stack("gwbuild", context, stack.received, ()).compose("build", "dispatcher")
    FIGURES["all images built, bases cached"] = f"{time.monotonic() - started_s:.0f} s"
    names = ("webapp", "notifier", "postprocess", "dispatcher", "dispatcher-cpu")
    return {name: f"gw/{name}:{TAG}" for name in names}


@pytest.fixture(scope="session")
def npu_stack(
    images: dict[str, str], context: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Run the stack on an emulated NPU, with the vendor's mounts and devices from a false host."""
    folder = tmp_path_factory.mktemp("npu")
    version = folder / "models" / "mean" / "1"
    version.mkdir(parents=True)
    card = CARD.replace('runtime = "onnx"', 'runtime = "acl"')
    (folder / "models" / "mean" / "model.toml").write_text(card)
    compile_om(
        save_mean_model(folder / "mean.onnx", side_px=32),
        version / "model.om",
        dynamic_batch=(1, 2, 4),
    )
    (folder / "board").mkdir()
    (folder / "board" / "board.toml").write_text(BOARD)
    ascend = _on_false_host(ROOT / "deploy" / "compose.ascend.yaml", folder / "host")
    stack = _stack("gwnpu", context, folder, (), extra=(ascend, _own("compose.emulator.yaml")))
    yield from _running(stack, "seconds from up to ready, NPU emulated")


@pytest.fixture(scope="session")
def cpu_stack(
    images: dict[str, str], context: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Run the stack on the CPU."""
    folder = tmp_path_factory.mktemp("cpu")
    write_models(folder / "models")
    stack = _stack("gwcpu", context, folder, ("cpu",))
    yield from _running(stack, "seconds from up to ready, CPU")


def _running(stack: Stack, figure: str) -> Iterator[Stack]:
    started_s = time.monotonic()
    try:
        stack.compose("up", "--detach", "--wait", "--wait-timeout", "120")
        FIGURES[figure] = f"{time.monotonic() - started_s:.1f}"
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "1", check=False)


def _own(name: str) -> Path:
    return Path(__file__).with_name(name)


def _stack(
    project: str,
    context: Path,
    folder: Path,
    kinds: tuple[str, ...],
    *,
    extra: tuple[Path, ...] = (),
) -> Stack:
    received = folder / "received"
    received.mkdir(exist_ok=True)
    received.chmod(0o777)
    for path in [folder, *folder.parents]:
        if path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o055)
    port = free_port()
    # Two stacks may run at once: each has addresses of its own.
    net = f"10.213.{77 + len(kinds)}"
    onnx = importlib.util.find_spec("onnxruntime")
    assert onnx is not None
    assert onnx.origin is not None
    files = [context / "docker-compose.yaml"]
    files += [context / "deploy" / f"compose.{kind}.yaml" for kind in kinds]
    files += [*extra, _own("compose.test.yaml")]
    return Stack(
        project=project,
        context=context,
        files=files,
        port=port,
        net=net,
        received=received,
        environ={
            "GW_VERSION": TAG,
            "GW_PYTHON_IMAGE": stand_ins.PYTHON,
            "GW_CPU_IMAGE": stand_ins.PYTHON,
            "GW_REDIS_IMAGE": stand_ins.REDIS,
            "GW_ASCEND_IMAGE": stand_ins.ASCEND,
            "GW_MODELS_PATH": str(folder / "models"),
            "GW_BACKUPS_PATH": str(received),
            "GW_PUBLISH": f"127.0.0.1:{port}",
            "GW_TEST_NET": net,
            "GW_TEST_ROOT": str(ROOT),
            "GW_TEST_RECEIVED": str(received),
            "GW_TEST_ONNX": str(Path(onnx.origin).parent),
            "GW_TEST_BOARD": str(folder / "board"),
        },
    )


def _on_false_host(product: Path, host: Path) -> Path:
    """Rewrite the NPU's Compose file to take devices and mounts from below *host*, made here."""
    read = [str(COMPOSE), "--file", str(product), "config", "--no-consistency", "--format", "json"]
    answer = subprocess.run(read, capture_output=True, text=True, check=True)
    document = json.loads(answer.stdout)
    service = document["services"]["dispatcher"]
    # What Compose adds to a file that it takes for a whole project.
    for added in ("name", "networks"):
        document.pop(added, None)
        service.pop(added, None)
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] != resource.RLIM_INFINITY:
        # Some machines let nobody raise it.
        del service["ulimits"]["memlock"]
    for number, device in enumerate(service["devices"]):
        node = device["source"]
        path = Path(f"{host}{node}")
        path.parent.mkdir(parents=True, exist_ok=True)
        # The numbers of /dev/null: a node that may be opened, and does nothing.
        os.mknod(path, 0o660 | stat.S_IFCHR, os.makedev(1, 3))
        os.chown(path, 1000, 1000)
        service["devices"][number] = f"{path}:{node}"
    for mount in service["volumes"]:
        source = Path(f"{host}{mount['source']}")
        mount["source"] = str(source)
        _make(source)
    file = host / "compose.yaml"
    file.write_text(json.dumps(document))
    return file


def _make(path: Path) -> None:
    """Make what the host would have: a folder, a file, or a daemon that stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name in {"shm", "aicpu_kernels", "lib64"}:
        path.mkdir(exist_ok=True)
        path.chmod(0o1777)
    elif path.name in {"dmp_daemon", "slogd"}:
        path.write_text(DAEMON)
        path.chmod(0o755)
    else:
        path.write_text("")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the figures of this run."""
    if FIGURES:
        terminalreporter.section("containers in figures")
        for name, figure in sorted(FIGURES.items()):
            terminalreporter.write_line(f"{name}: {figure}")
