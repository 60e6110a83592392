"""A container's health check tells a service that is well from one that is not, and why."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pipeline.health import STALE_AFTER_MS
from pipeline.healthcheck import _STALE_AFTER_MS, judge, why_unwell

NOW = 1_000_000


def beat(*, age_ms: int = 0, reason: str = "") -> str:
    """Give a heartbeat as a service writes it."""
    return json.dumps({"service": "s", "beat_unix_ms": NOW - age_ms, "reason": reason})


def test_a_fresh_beat_is_well() -> None:
    """A beat of a moment ago, without a reason, is well."""
    assert why_unwell(beat(age_ms=2000), now_unix_ms=NOW) == ""


def test_an_old_beat_is_unwell() -> None:
    """A beat that everybody else takes for stale is unwell here too."""
    assert "10 s old" in why_unwell(beat(age_ms=STALE_AFTER_MS), now_unix_ms=NOW)
    assert _STALE_AFTER_MS == STALE_AFTER_MS


def test_a_service_that_cannot_work_says_why() -> None:
    """The service's own reason is what the check says."""
    assert why_unwell(beat(reason="the device is lost"), now_unix_ms=NOW) == "the device is lost"


def test_what_is_not_a_beat_is_unwell() -> None:
    """Half a file, another document, or none: each is unwell and says so."""
    for text in ("", "{", "[]", "{}", '{"beat_unix_ms": "x", "reason": ""}'):
        assert "cannot be read" in why_unwell(text, now_unix_ms=NOW)


def test_no_file_is_unwell(tmp_path: Path) -> None:
    """Before the first beat the service is not well."""
    environ = {"GW_HEARTBEAT_FILE": str(tmp_path / "none")}

    assert "no heartbeat yet" in judge([], environ, now_unix_ms=NOW)


def test_it_loads_next_to_nothing() -> None:
    """It is run every few seconds: no client of Redis, no asyncio, no http."""
    code = "import sys, pipeline.healthcheck; print(*sys.modules)"

    answer = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )

    assert not {"redis", "asyncio", "http", "logging", "ssl"} & set(answer.stdout.split())
