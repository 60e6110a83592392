"""Judging how a service fares."""

from __future__ import annotations

from typing import Any

from gw.health import HEALTHY, dead, judge, unready
from gw.supervisor import ProcessReport, ProcessState
from pipeline.health import STALE_AFTER_MS, Heartbeat

_NOW_UNIX_MS = 1_800_000_000_000


def _report(**changes: Any) -> ProcessReport:
    defaults: dict[str, Any] = {
        "name": "dispatcher",
        "state": ProcessState.RUNNING,
        "pid": 41,
        "port": None,
        "restarts": 0,
        "started_unix_ms": _NOW_UNIX_MS - 60_000,
        "last_exit": None,
    }
    return ProcessReport(**(defaults | changes))


def _beat(**changes: Any) -> Heartbeat:
    defaults: dict[str, Any] = {
        "service": "dispatcher",
        "instance": "local",
        "pid": 41,
        "started_unix_ms": _NOW_UNIX_MS - 60_000,
        "beat_unix_ms": _NOW_UNIX_MS - 1_000,
    }
    return Heartbeat(**(defaults | changes))


def test_a_fresh_heartbeat_is_health() -> None:
    """A service that beats and has nothing to complain about is healthy."""
    health = judge(_report(), beats=[_beat()], asked={}, now_unix_ms=_NOW_UNIX_MS)

    assert health == HEALTHY


def test_a_reason_is_life_without_readiness() -> None:
    """A service that says why it cannot work lives and is not ready."""
    beat = _beat(reason="no model is usable")

    health = judge(_report(), beats=[beat], asked={}, now_unix_ms=_NOW_UNIX_MS)

    assert health == unready("no model is usable")


def test_a_stale_heartbeat_is_death() -> None:
    """A process that runs but stopped beating does not count as alive."""
    beat = _beat(beat_unix_ms=_NOW_UNIX_MS - STALE_AFTER_MS)

    health = judge(_report(), beats=[beat], asked={}, now_unix_ms=_NOW_UNIX_MS)

    assert health == dead("its heartbeat stopped")


def test_a_predecessors_heartbeat_does_not_count() -> None:
    """The last beat of a killed process says nothing of the one that took its place."""
    beats = [_beat(pid=40), _beat(service="notifier")]

    health = judge(_report(), beats=beats, asked={}, now_unix_ms=_NOW_UNIX_MS)

    assert health == dead("no heartbeat yet")


def test_a_process_that_does_not_run_is_dead_whatever_it_last_showed() -> None:
    """The supervisor's knowledge goes before a heartbeat."""
    report = _report(state=ProcessState.BACKING_OFF)

    health = judge(report, beats=[_beat()], asked={}, now_unix_ms=_NOW_UNIX_MS)

    assert health == dead("the process is backing off")


def test_the_webapp_is_what_it_answers() -> None:
    """A service that is asked directly is as healthy as its answer."""
    answer = unready("the job store is not available right now")

    health = judge(
        _report(name="webapp"), beats=[], asked={"webapp": answer}, now_unix_ms=_NOW_UNIX_MS
    )

    assert health == answer
