"""``gw doctor`` as a command."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from gw.commands.doctor import command


def test_the_command_tells_by_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without models, and with the port taken, it exits with 1 and names both."""
    monkeypatch.delenv("GW_REDIS_URL", raising=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("GW_HTTP_PORT", str(port))
        arguments = ["--data", str(tmp_path / "data"), "--models", str(tmp_path / "none"), "--json"]

        result = CliRunner().invoke(command, arguments)

    assert result.exit_code == 1, result.output
    document = json.loads(result.output)
    errors = [each["found"] for each in document["findings"] if each["severity"] == "error"]
    assert f"port {port} is taken by another program" in errors
    assert any("no model in" in each for each in errors)
    assert not (tmp_path / "data").exists()


def test_a_redis_that_runs_is_examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    """The one that is set up is asked for its version and what could lose jobs."""
    monkeypatch.setenv("GW_REDIS_URL", redis_url)

    result = CliRunner().invoke(command, ["--data", str(tmp_path), "--json"])

    found = [each["found"] for each in json.loads(result.output)["findings"]]
    assert {"appendonly is yes", "appendfsync is always", "maxmemory-policy is noeviction"} <= {
        *found
    }


def test_a_redis_that_is_away_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named with its address."""
    monkeypatch.setenv("GW_REDIS_URL", "redis://127.0.0.1:1/0")

    result = CliRunner().invoke(command, ["--data", str(tmp_path), "--json"])

    assert result.exit_code == 1
    assert "redis://127.0.0.1:1/0 does not answer" in result.output


def test_an_npu_that_is_missing_is_told_node_by_node(tmp_path: Path) -> None:
    """With the NPU's runtime the device nodes are checked, and named."""
    result = CliRunner().invoke(command, ["--runtime", "acl", "--data", str(tmp_path)])

    assert result.exit_code == 1
    assert "/dev/davinci0" in result.output
