"""What gw needs of the machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispatcher.host.finding import Severity
from dispatcher.host.machine_checks import check_machine
from dispatcher.host.snapshot import Memory
from tests.unit.dispatcher.host.roots import DISK, well

GB = 10**9


def wrong(**changes: Any) -> list[tuple[str, str]]:
    """Give severity and text of what is not well on a host with *changes*."""
    return [
        (each.severity.value, f"{each.subject}: {each.found} -> {each.fix}")
        for each in check_machine(well(**changes))
        if each.severity is not Severity.OK
    ]


def on_disk(**changes: Any) -> list[tuple[str, str]]:
    """Give what is wrong with a disk with *changes*."""
    return wrong(disks=(replace(DISK, **changes),))


def test_a_machine_that_has_everything_is_well() -> None:
    """Nothing is found but what is as it should be."""
    assert wrong() == []


@pytest.mark.parametrize(
    ("total_gb", "free_gb", "words"), [(2, 2, "GW_DEVICE_MEMORY_MB"), (8, 0.5, "end what else")]
)
def test_little_memory_is_a_warning(total_gb: float, free_gb: float, words: str) -> None:
    """A small board is told what to set, a full one what to end."""
    memory = Memory(
        total_bytes=int(total_gb * GB), available_bytes=int(free_gb * GB), swap_bytes=GB
    )
    ((severity, text),) = wrong(memory=memory)

    assert (severity, words in text) == ("warning", True)


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({"free_bytes": GB // 2}, "error"),
        ({"free_bytes": 5 * GB}, "warning"),
        ({"kind": "tmpfs"}, "error"),
        ({"kind": "overlay"}, "warning"),
        ({"kind": "nfs4"}, "warning"),
        ({"options": frozenset({"rw", "nobarrier"})}, "error"),
        ({"sync_ms": 80.0}, "warning"),
        ({"sync_ms": 0.01}, "info"),
        ({"sync_ms": None}, None),
    ],
)
def test_a_disk_is_judged_by_its_room_and_its_syncing(
    changes: dict[str, Any], severity: str | None
) -> None:
    """Full, volatile, remote, layered, not syncing, slow, or too fast to be true."""
    found = on_disk(**changes)

    assert [each for each, _ in found] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({"now_unix_s": 0.0}, "error"),
        ({"is_clock_synchronised": False}, "warning"),
        ({"is_clock_synchronised": None}, "info"),
    ],
)
def test_the_clock_is_judged(changes: dict[str, Any], severity: str) -> None:
    """Wrong by years, not synchronised, or nobody can tell."""
    assert [each for each, _ in wrong(**changes)] == [severity]
