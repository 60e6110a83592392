"""Deciding readiness from a sample."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.connection import ServerMemory
from pipeline.health import Heartbeat
from pipeline.models.catalogue import ModelEntry
from webapp.monitor import Sample, Watermarks, not_ready_reasons

WATERMARKS = Watermarks(
    disk_free_min_bytes=500, memory_free_min_bytes=300, redis_memory_max_percent=90.0
)

NOW_MS = 50_000.0
NOW_UNIX_MS = 1_800_000_000_000


def beat(**changes: Any) -> Heartbeat:
    """Make a fresh heartbeat of a dispatcher."""
    defaults: dict[str, Any] = {
        "service": "dispatcher",
        "instance": "box",
        "pid": 1,
        "started_unix_ms": 0,
        "beat_unix_ms": NOW_UNIX_MS - 500,
    }
    return Heartbeat(**(defaults | changes))


def sample(**changes: Any) -> Sample:
    """Make a sample of a stack that works."""
    defaults: dict[str, Any] = {
        "at_ms": NOW_MS - 900,
        "heartbeats": [beat()],
        "models": {"echo": ModelEntry(name="echo", versions=("1",))},
        "free_bytes": 1000,
    }
    return Sample(**(defaults | changes))


def reasons(look: Sample | None) -> list[str]:
    """List what stands against readiness."""
    return not_ready_reasons(look, now_ms=NOW_MS, now_unix_ms=NOW_UNIX_MS, watermarks=WATERMARKS)


def test_a_stack_that_works_is_ready() -> None:
    """Nothing stands against it."""
    assert reasons(sample()) == []


@pytest.mark.parametrize(
    ("look", "reason"),
    [
        (None, "the service is starting"),
        (sample(redis_reason="the job store is away"), "the job store is away"),
        (sample(at_ms=NOW_MS - 20_000), "the job store is too slow"),
        (sample(fault="the catalogue cannot be read"), "the catalogue cannot be read"),
        (sample(heartbeats=[]), "no dispatcher is running"),
        (sample(heartbeats=[beat(service="notifier")]), "no dispatcher is running"),
        (sample(heartbeats=[beat(beat_unix_ms=NOW_UNIX_MS - 60_000)]), "no dispatcher is running"),
        (sample(heartbeats=[beat(reason="no device")]), "the dispatcher cannot work: no device"),
        (sample(models={}), "no model is ready"),
        (sample(models={"a": ModelEntry(name="a", reason="x")}), "no model is ready"),
        (sample(free_bytes=499), "the disk for pictures is nearly full"),
        (sample(free_memory_bytes=299), "the machine's memory is nearly full"),
        (
            sample(memory=ServerMemory(used_bytes=91, limit_bytes=100)),
            "the job store's memory is nearly full",
        ),
    ],
)
def test_whatever_is_missing_is_named(look: Sample | None, reason: str) -> None:
    """An operator reads what to mend."""
    assert reasons(look) == [reason]


def test_one_dispatcher_that_works_is_enough() -> None:
    """Others may be sick beside it."""
    assert reasons(sample(heartbeats=[beat(reason="no device"), beat(instance="other")])) == []


def test_all_reasons_are_listed() -> None:
    """Mending one after the other would take longer."""
    assert reasons(sample(heartbeats=[], models={}, free_bytes=0)) == [
        "no dispatcher is running",
        "no model is ready",
        "the disk for pictures is nearly full",
    ]
