"""``gw doctor``: is this machine, or this container, fit to run gw."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from dispatcher.host.finding import Finding, error, info, ok, warning
from dispatcher.host.machine_checks import check_machine
from dispatcher.host.npu_checks import check_npu
from dispatcher.host.reader import read_host
from dispatcher.models.repository import Repository, scan
from dispatcher.npu_smi.errors import NpuSmiError
from dispatcher.npu_smi.facts import BoardFacts, ChipFacts, NpuHealth
from dispatcher.npu_smi.tool import NpuSmi, find_tool
from gw.ports import is_free
from pipeline.connection import MINIMUM_REDIS_MAJOR, connect
from pipeline.settings import RedisSettings

#: What each runtime needs installed: (package, what for).
_PACKAGES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "onnx": (
        ("numpy", "pixels and outputs"),
        ("opencv-python-headless", "decoding pictures"),
        ("onnxruntime", "running models on the CPU"),
    ),
    "acl": (("numpy", "pixels and outputs"), ("opencv-python-headless", "decoding pictures")),
}

_REDIS_PATIENCE_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What is to be looked at. *redis* is None where none is set up yet; *root* is ``/``."""

    runtime: str
    models: Path
    data: Path
    http_port: int
    is_stack_running: bool
    redis: RedisSettings | None
    root: Path = Path("/")


def examine(what: Examined, environ: Mapping[str, str]) -> list[Finding]:
    """Look at everything; the order is that of a first start."""
    folders = (what.data, what.models)
    host = read_host(root=what.root, environ=environ, folders=folders, measure_sync=True)
    findings = []
    if what.runtime == "acl":
        findings += check_npu(host)
        findings += asyncio.run(_ask_board(what.root))
    findings += check_machine(host)
    findings += check_packages(what.runtime, _installed(what.runtime))
    findings += check_models(scan(what.models), what.models, runtime=what.runtime)
    findings += check_port(
        what.http_port, is_free=is_free(what.http_port), is_ours=what.is_stack_running
    )
    if what.redis is not None:
        findings += asyncio.run(_ask_redis(what.redis))
    return findings


def check_packages(runtime: str, installed: Mapping[str, str]) -> list[Finding]:
    """Judge the Python packages that the dispatcher needs for *runtime*."""
    found = []
    for package, use in _PACKAGES.get(runtime, ()):
        if package in installed:
            found.append(ok("packages", f"{package} {installed[package]}"))
        else:
            fix = "pip install 'gw[embedded]'"
            found.append(error("packages", f"{package} is not installed ({use})", fix))
    return found


def check_models(repository: Repository, folder: Path, *, runtime: str) -> list[Finding]:
    """Judge the models folder."""
    found = [
        warning("models", f"{each.model} is refused: {each.reason.splitlines()[0]}", "mend it")
        for each in repository.refusals
    ]
    usable = 0
    for name, versions in repository.models.items():
        others = {each.card.runtime.value for each in versions} - {runtime}
        if others:
            asked = ", ".join(sorted(others))
            fix = f'set runtime = "{runtime}" in its model.toml and give such a file, or GW_RUNTIME'
            found.append(warning("models", f"{name} asks for the runtime {asked}", fix))
        else:
            usable += 1
    if usable:
        found.append(ok("models", f"{usable} usable in {folder}"))
    else:
        fix = "fetch some with gw models fetch demo, or see docs/models.md"
        found.append(error("models", f"no model in {folder} can be used", fix))
    return found


def check_port(port: int, *, is_free: bool, is_ours: bool) -> list[Finding]:
    """Judge the API's port."""
    if is_ours:
        return [ok("port", f"gw runs on port {port}")]
    if is_free:
        return [ok("port", f"port {port} is free")]
    return [error("port", f"port {port} is taken by another program", "set GW_HTTP_PORT")]


def check_redis(facts: Mapping[str, str]) -> list[Finding]:
    """Judge a Redis by its version and settings; an empty setting could not be read."""
    found = []
    version = facts.get("version", "0")
    if not version.partition(".")[0].isdigit() or int(version.split(".")[0]) < MINIMUM_REDIS_MAJOR:
        found.append(error("redis", f"version {version}", f"use {MINIMUM_REDIS_MAJOR}.0 or newer"))
    else:
        found.append(ok("redis", f"version {version} answers"))
    wanted = (
        ("maxmemory-policy", "noeviction", "accepted jobs could be dropped", error),
        ("appendonly", "yes", "accepted jobs do not survive a crash", error),
        ("appendfsync", "always", "what was answered in the last second may be lost", warning),
    )
    for name, value, risk, judge in wanted:
        is_value = facts.get(name, "")
        if is_value == value:
            found.append(ok("redis", f"{name} is {value}"))
        elif is_value:
            fix = f"set it to {value}: otherwise {risk}"
            found.append(judge("redis", f"{name} is {is_value}", fix))
        else:
            found.append(info("redis", f"{name} cannot be read", f"it must be {value}"))
    return found


def check_board(board: BoardFacts) -> list[Finding]:
    """Judge what npu-smi tells."""
    found = []
    for chip in board.chips:
        found.append(_check_chip(chip))
    for process in board.processes:
        told = f"process {process.pid} ({process.name}) uses NPU {process.npu_id}"
        found.append(info("npu", told, "one NPU serves one container at a time"))
    if not board.chips:
        found.append(error("npu", "npu-smi lists no NPU", "see the driver's log"))
    return found


def _check_chip(chip: ChipFacts) -> Finding:
    heat = "" if chip.temperature_c is None else f", {chip.temperature_c:g} degrees"
    told = f"NPU {chip.npu_id} is a {chip.soc}, {chip.health or 'health not told'}{heat}"
    if chip.health in {NpuHealth.CRITICAL, NpuHealth.UNKNOWN}:
        return error("npu", told, "reset the NPU or reboot the board")
    if chip.health in {NpuHealth.ALARM, NpuHealth.WARNING}:
        return warning(
            "npu", told, "it works; some boards always show Alarm. See npu-smi info -t health"
        )
    return ok("npu", told)


async def _ask_board(root: Path) -> list[Finding]:
    program = find_tool() if root == Path("/") else None
    if program is None:
        return [info("npu", "npu-smi is not there", "mount it for heat and health")]
    try:
        board = await NpuSmi(program).board()
    except NpuSmiError as exc:
        return [error("npu", str(exc), "see that the driver works on the host")]
    return check_board(board)


async def _ask_redis(settings: RedisSettings) -> list[Finding]:
    redis = connect(RedisSettings(**_patient(settings)))
    try:
        facts = {"version": str((await redis.info("server"))["redis_version"])}
    except (RedisError, OSError, KeyError) as exc:
        fix = "start it, and see GW_REDIS_URL and its password"
        return [error("redis", f"{settings.url} does not answer ({exc})", fix)]
    else:
        for name in ("maxmemory-policy", "appendonly", "appendfsync"):
            try:
                facts[name] = str((await redis.config_get(name)).get(name, ""))
            except RedisError:
                facts[name] = ""
        return check_redis(facts)
    finally:
        await redis.aclose()


def _patient(settings: RedisSettings) -> dict[str, Any]:
    return {
        "url": settings.url,
        "password": settings.password,
        "prefix": settings.prefix,
        "timeout_s": min(settings.timeout_s, _REDIS_PATIENCE_S),
    }


def _installed(runtime: str) -> dict[str, str]:
    versions = {}
    for package, _ in _PACKAGES.get(runtime, ()):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
