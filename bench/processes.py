"""What processes cost: CPU time and memory by service, the device process apart from its parent."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil

from gw.stack import DISPATCHER, NOTIFIER, POSTPROCESS, WEBAPP

DEVICE = "device process"
#: From the door to the way out.
SERVICES = ("redis", WEBAPP, DISPATCHER, DEVICE, POSTPROCESS, NOTIFIER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The processes of a running stack by service."""

    by_name: Mapping[str, tuple[psutil.Process, ...]]

    @classmethod
    def of(cls, pids: Mapping[str, int]) -> Services:
        """Find the processes behind *pids*; the dispatcher's children are the device process."""
        by_name = {name: (psutil.Process(pid),) for name, pid in pids.items()}
        children = by_name[DISPATCHER][0].children(recursive=True)
        by_name[DEVICE] = tuple(children)
        return cls(by_name={name: by_name[name] for name in SERVICES})

    def cpu_s(self) -> dict[str, float]:
        """Give the CPU time that each has taken so far; raises NoSuchProcess after a restart."""
        return {
            name: sum(sum(process.cpu_times()[:2]) for process in processes)
            for name, processes in self.by_name.items()
        }

    def pss_mb(self) -> dict[str, float]:
        """Give the proportional resident memory of each: what is shared is counted once in all."""
        return {
            name: sum(process.memory_full_info().pss for process in processes) / 1e6
            for name, processes in self.by_name.items()
        }


def busy_s() -> float:
    """Give the CPU time that the whole machine has taken so far."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - getattr(times, "guest", 0.0))


def cores() -> int:
    """Give how many cores this process may use, as its children may."""
    return len(os.sched_getaffinity(0))


def since(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """Subtract what was there *before*."""
    return {name: value - before[name] for name, value in after.items()}


def folder_mb(folders: Iterable[str]) -> float:
    """Give what files take on the disk, in blocks."""
    size_bytes = 0
    for folder in folders:
        for root, _, names in os.walk(folder):
            for name in names:
                size_bytes += os.lstat(os.path.join(root, name)).st_blocks * 512
    return size_bytes / 1e6
