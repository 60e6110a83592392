"""``gw doctor``: what it judges beside the host."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dispatcher.host.finding import Finding, Severity, as_lines, info, ok, warning, worst
from dispatcher.models.repository import scan
from dispatcher.npu_smi.facts import BoardFacts, ChipFacts, NpuHealth, NpuProcess
from gw.docker_checks import judge_docker
from gw.doctor import check_board, check_models, check_packages, check_port, check_redis

GOOD_REDIS = {
    "version": "7.2.4",
    "maxmemory-policy": "noeviction",
    "appendonly": "yes",
    "appendfsync": "always",
}


def severities(findings: list[Finding]) -> list[str]:
    """Give how bad each is."""
    return [each.severity.value for each in findings]


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({}, "ok"),
        ({"version": "9.1.0"}, "ok"),
        ({"version": "6.2"}, "error"),
        ({"version": "?"}, "error"),
        ({"maxmemory-policy": "allkeys-lru"}, "error"),
        ({"appendonly": "no"}, "error"),
        ({"appendfsync": "everysec"}, "warning"),
        ({"appendfsync": ""}, "info"),
    ],
)
def test_a_redis_is_judged_by_what_could_lose_jobs(changes: dict[str, str], severity: str) -> None:
    """An old one, one that drops, and one that does not sync, each with its remedy."""
    findings = check_redis(GOOD_REDIS | changes)

    assert worst(findings).value == severity
    assert all(each.fix for each in findings if each.severity is not Severity.OK)


def test_a_port_is_free_ours_or_taken() -> None:
    """A stack that runs is no conflict with itself."""
    assert severities(check_port(1, is_free=True, is_ours=False)) == ["ok"]
    assert severities(check_port(1, is_free=False, is_ours=True)) == ["ok"]
    assert severities(check_port(1, is_free=False, is_ours=False)) == ["error"]


def test_packages_are_those_of_the_runtime() -> None:
    """The CPU runtime needs onnxruntime, the NPU's does not."""
    installed = {"numpy": "2", "opencv-python-headless": "5"}

    assert severities(check_packages("acl", installed)) == ["ok", "ok"]
    assert severities(check_packages("onnx", installed)) == ["ok", "ok", "error"]


def test_models_are_counted_for_the_runtime(tmp_path: Path) -> None:
    """A model of the other runtime is a warning, none that can be used an error."""
    card = tmp_path / "m" / "model.toml"
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "model.onnx").write_bytes(b"x")
    card.write_text(
        '[model]\nname = "m"\ntask = "raw"\nruntime = "onnx"\n[input]\nwidth_px = 8\n'
        'height_px = 8\n[decoder]\nkind = "raw"\n'
    )

    assert severities(check_models(scan(tmp_path), tmp_path, runtime="onnx")) == ["ok"]
    assert severities(check_models(scan(tmp_path), tmp_path, runtime="acl")) == ["warning", "error"]
    shutil.rmtree(tmp_path / "m" / "1")
    assert "error" in severities(check_models(scan(tmp_path), tmp_path, runtime="onnx"))


@pytest.mark.parametrize(
    ("health", "severity"),
    [
        (NpuHealth.OK, "ok"),
        (None, "ok"),
        (NpuHealth.ALARM, "warning"),
        (NpuHealth.CRITICAL, "error"),
        (NpuHealth.UNKNOWN, "error"),
    ],
)
def test_a_board_is_judged_by_its_health(health: NpuHealth | None, severity: str) -> None:
    """Alarm works; Critical does not. Who else uses the NPU is told."""
    board = BoardFacts(
        tool_version="1",
        driver_version="1",
        chips=(ChipFacts(npu_id=0, chip_id=0, soc="310B4", health=health),),
        processes=(NpuProcess(npu_id=0, pid=7, name="python3"),),
    )

    assert severities(check_board(board)) == [severity, "info"]
    assert severities(check_board(BoardFacts(tool_version="", driver_version="", chips=()))) == [
        "error"
    ]


def test_docker_is_judged_with_compose_and_mirrors() -> None:
    """An engine with a mirror and compose is well; without compose the package is named."""
    engine = json.dumps(
        {
            "ServerVersion": "27.1",
            "Driver": "overlay2",
            "RegistryConfig": {"Mirrors": ["https://m"]},
        }
    )

    assert severities(judge_docker(engine, "", "2.29", "")) == ["ok", "ok", "ok"]
    findings = judge_docker(engine, "", "", "exit status 1")
    assert "docker-compose-plugin" in findings[-1].fix
    assert severities(judge_docker("", "no answer", "", "x")) == ["error", "error"]
    assert severities(judge_docker('{"ServerErrors": ["denied"]}', "", "2", ""))[2] == "warning"
    assert worst(judge_docker("not json", "", "2", "")) is Severity.INFO


def test_findings_are_written_with_what_to_do() -> None:
    """People see what is not well and the counts, or everything if they ask."""
    findings = [ok("a", "fine"), warning("b", "bad", "mend it"), info("c", "so")]

    assert list(as_lines(findings, show_all=False)) == [
        "warning  b: bad",
        "         -> mend it",
        "info     c: so",
        "1 ok, 1 info, 1 warning, 0 error",
    ]
    assert "ok       a: fine" in list(as_lines(findings, show_all=True))
