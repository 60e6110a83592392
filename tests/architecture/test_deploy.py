"""Dockerfiles and Compose files are clean, and say what the code and the vendor's list say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from docs.environment import DECIDED
from docs.generate import GROUPS
from pipeline.settings import describe
from tests.architecture.test_arrows import ARROWS

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(path.name for path in (ROOT / "deploy").glob("*.Dockerfile"))
KINDS = ("ascend", "ascend-runtime", "cpu")
COMPOSE_FILES = ["docker-compose.yaml", *(f"deploy/compose.{kind}.yaml" for kind in KINDS)]

#: What an image runs; the command line comes along where an operator needs it.
ROOTS = {
    "webapp": {"webapp", "operations", "gw"},
    "dispatcher": {"dispatcher", "operations", "acllite", "gw"},
    "postprocess": {"postprocess"},
    "notifier": {"notifier"},
}

#: The devices and mounts that the vendor lists for a container on a 310B.
DEVICES = "upgrade davinci0 davinci_manager vdec vpc pngd venc sys svm0 ts_aisle dvpp_cmdlist"
READ_ONLY = """
/etc/sys_version.conf /etc/hdcBasic.cfg /etc/slog.conf /usr/lib64/aicpu_kernels
/usr/lib64/libaicpu_processer.so /usr/lib64/libaicpu_prof.so /usr/lib64/libaicpu_sharder.so
/usr/lib64/libadump.so /usr/lib64/libtsd_eventclient.so /usr/lib64/libaicpu_scheduler.so
/usr/lib64/libdcmi.so /usr/lib64/libmpi_dvpp_adapter.so /usr/lib64/libstackcore.so
/usr/lib64/libcrypto.so.1.1 /usr/lib64/libyaml-0.so.2 /usr/local/sbin/npu-smi
/usr/local/Ascend/driver/lib64 /var/slogd /var/dmp_daemon
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the development environment in the project's folder."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GW_")}
    return subprocess.run(
        [str(Path(sys.executable).with_name(program)), *arguments],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


def composed(*kinds: str) -> dict[str, Any]:
    """Give the project as Compose understands it."""
    files = ["docker-compose.yaml", *(f"deploy/compose.{kind}.yaml" for kind in kinds)]
    arguments = [word for file in files for word in ("--file", file)]
    answer = run("docker-compose", *arguments, "config", "--format", "json")
    assert answer.returncode == 0, answer.stderr
    assert "level=warning" not in answer.stderr
    document: dict[str, Any] = json.loads(answer.stdout)
    return document


@pytest.mark.parametrize("name", DOCKERFILES)
def test_a_dockerfile_is_clean(name: str) -> None:
    """Hadolint finds nothing."""
    answer = run("hadolint", f"deploy/{name}")

    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_compose_files_are_clean() -> None:
    """Yamllint finds nothing, not even a warning."""
    answer = run("yamllint", "--strict", *COMPOSE_FILES, "tests/containers")

    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize("kinds", [(), *((kind,) for kind in KINDS)], ids=str)
def test_compose_accepts_the_files(kinds: tuple[str, ...]) -> None:
    """Each choice of files is a project, and keeps what every container must have."""
    for name, service in composed(*kinds)["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        assert int(service["mem_limit"]) > 0, name
        assert service["logging"]["options"]["max-size"] == "10m", name
        assert service["user"] == ("999:1000" if name == "redis" else "1000:1000")
        assert bool(service.get("ports")) == (name == "webapp"), name
        assert service["restart"] == ("no" if name == "secrets" else "unless-stopped")


def test_an_npu_is_lent_as_the_vendor_lists_it() -> None:
    """Devices and read-only mounts are the vendor's, and none is made where it is missing."""
    service = composed("ascend")["services"]["dispatcher"]
    base = composed()["services"]["dispatcher"]
    mounts = [mount for mount in service["volumes"] if mount not in base["volumes"]]

    assert [device["source"] for device in service["devices"]] == [
        f"/dev/{d}" for d in DEVICES.split()
    ]
    assert {mount["target"] for mount in mounts if mount.get("read_only")} == set(READ_ONLY.split())
    assert [m["target"] for m in mounts if not m.get("read_only")] == ["/dev/shm"]
    assert not any(mount["bind"].get("create_host_path") for mount in mounts)


def test_the_vendors_runtime_may_follow_links() -> None:
    """Without this permission the runtime refuses a 310B."""
    service = composed("ascend-runtime")["services"]["dispatcher"]

    assert service["runtime"] == "ascend"
    assert service["environment"]["ASCEND_ALLOW_LINK"] == "True"
    assert service["environment"]["ASCEND_VISIBLE_DEVICES"] == "0"
    assert "devices" not in service


@pytest.mark.parametrize("image", sorted(ROOTS))
def test_an_image_has_the_packages_that_its_services_import(image: str) -> None:
    """The packages of an image are its services, and all that these may import."""
    text = (ROOT / "deploy" / f"{image}.Dockerfile").read_text()
    packages = set(re.findall(r'^ARG PACKAGES="(.*)"$', text, flags=re.MULTILINE)[0].split())
    needed = set(ROOTS[image])
    for root in ROOTS[image] - {"gw"}:
        needed |= ARROWS.get(root, set())
    ignored = (ROOT / ".dockerignore").read_text().splitlines()

    assert packages == needed
    assert {f"!{package}" for package in packages} <= set(ignored)


def test_every_setting_can_be_found_in_the_example() -> None:
    """The example has every variable of the Compose files and of the services, but decided ones."""
    example = set(
        re.findall(r"^# (GW_\w+)=", (ROOT / "deploy/env.example").read_text(), flags=re.MULTILINE)
    )
    read = set()
    for name in COMPOSE_FILES:
        read |= set(re.findall(r"\$\{(GW_\w+)", (ROOT / name).read_text()))
    settings = {
        row.name for title, group in GROUPS if "gw up" not in title for row in describe(group)
    }

    assert read <= example
    assert settings - DECIDED <= example
    assert not example & DECIDED


@pytest.mark.parametrize("image", sorted(ROOTS))
def test_an_image_installs_what_its_services_load(image: str) -> None:
    """Every service of an image starts to load where nothing but the image's pins is installed."""
    text = (ROOT / "deploy" / f"{image}.Dockerfile").read_text()
    pinned = set()
    for name in re.findall(r"requirements/([a-z]+)\.txt", text):
        lines = (ROOT / "requirements" / f"{name}.txt").read_text()
        pinned |= set(re.findall(r"^([a-z0-9-]+)==", lines, flags=re.MULTILINE))
    absent = {
        name
        for name, owners in metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & (pinned | {"gw"})
    }
    services = sorted(ROOTS[image] - {"gw", "acllite"})
    code = f"import sys\nsys.modules |= dict.fromkeys({absent!r})\n"
    code += "".join(f"import {service}.__main__\n" for service in services)

    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("service", sorted(set().union(*ROOTS.values()) - {"gw", "acllite"}))
def test_a_service_writes_the_heartbeat_that_its_container_is_judged_by(service: str) -> None:
    """Each service hands its board the file: without one its container is never healthy."""
    text = "\n".join(path.read_text("utf-8") for path in (ROOT / service).rglob("*.py"))

    boards = re.findall(r"HealthBoard\([^)]*\)", text)
    assert boards
    assert all("file=" in board for board in boards), boards
