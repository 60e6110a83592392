"""``gw status``: what the supervisor knows and what the services show, together."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass
from typing import Any

from gw.data_folder import DataFolder, secret_at
from gw.dead_letters import count_exhausted
from gw.health import Health, dead, probe_stack
from gw.run_lock import holder_of
from gw.state_file import StackState, read_state
from gw.supervisor import ProcessReport


@dataclass(frozen=True, slots=True, kw_only=True)
class StackStatus:
    """A running stack and the health of its services by name."""

    state: StackState
    health: dict[str, Health]
    #: Deliveries that were given up and can still be sent again; None where nobody can tell.
    exhausted: int | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether there are services and every one can work."""
        return bool(self.health) and all(each.ready for each in self.health.values())

    def to_document(self, *, now_unix_ms: int) -> dict[str, Any]:
        """Write it for machines."""
        return {
            "pid": self.state.pid,
            "phase": self.state.phase.value,
            "healthy": self.is_healthy,
            "http_port": self.state.http_port,
            "redis_port": self.state.redis_port,
            "exhausted_deliveries": self.exhausted,
            "services": [
                {
                    **asdict(report),
                    "uptime_s": uptime_s(report, now_unix_ms=now_unix_ms),
                    "health": asdict(self.health.get(report.name, dead("not asked"))),
                }
                for report in self.state.services
            ],
        }

    def to_rows(self, *, now_unix_ms: int) -> list[tuple[str, ...]]:
        """Write it for people: one row per service."""
        return [
            (
                report.name,
                str(report.pid or "-"),
                str(report.port or "-"),
                report.state.value,
                _health_word(self.health.get(report.name, dead("not asked"))),
                str(report.restarts),
                _duration(uptime_s(report, now_unix_ms=now_unix_ms)),
            )
            for report in self.state.services
        ]


COLUMNS = ("service", "pid", "port", "state", "health", "restarts", "up for")


def read_status(folder: DataFolder) -> StackStatus | None:
    """Look at the stack on *folder*; None if none runs, whatever files say."""
    holder = holder_of(folder.lock)
    if holder is None:
        return None
    state = read_state(folder.state)
    if state is None or state.pid != holder.pid:
        # It has the lock but has not yet written; it will in a moment.
        time.sleep(0.5)
        state = read_state(folder.state)
        if state is None or state.pid != holder.pid:
            return None
    password = secret_at(folder.redis_secret)
    health = asyncio.run(probe_stack(state, password=password))
    exhausted = asyncio.run(count_exhausted(state.redis_port, password))
    return StackStatus(state=state, health=health, exhausted=exhausted)


def uptime_s(report: ProcessReport, *, now_unix_ms: int) -> float | None:
    """Tell how long a process has run; None if it does not."""
    if report.started_unix_ms is None:
        return None
    return max(0.0, (now_unix_ms - report.started_unix_ms) / 1000)


def _health_word(health: Health) -> str:
    if health.ready:
        return "healthy"
    return f"{'not ready' if health.alive else 'down'}: {health.reason}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest_s} s" if minutes else f"{rest_s} s"
