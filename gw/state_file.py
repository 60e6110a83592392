"""What the supervisor tells other commands: written whole at each change, read by anyone.

The file outlives the supervisor. Only the lock (``run_lock.py``) says whether it is true.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from gw.supervisor import ProcessReport, ProcessState
from pipeline.errors import MalformedMessage


class Phase(StrEnum):
    """Where the stack as a whole is."""

    STARTING = "starting"
    #: Every service was healthy once; each one's health now is ``gw status``'s to find out.
    READY = "ready"
    #: Everything lives, but a service says that it cannot work.
    DEGRADED = "degraded"
    STOPPING = "stopping"
    #: The start failed; *reason* says why.
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackState:
    """The stack as its supervisor, process *pid*, sees it.

    *culprit* is the service that a failed start was about, if any.
    """

    pid: int
    started_unix_ms: int
    phase: Phase
    reason: str
    culprit: str
    http_port: int
    redis_port: int
    services: tuple[ProcessReport, ...]

    def to_json(self) -> str:
        """Write the document."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> StackState:
        """Read the document; raises MalformedMessage."""
        try:
            document: dict[str, Any] = json.loads(text)
            services = tuple(_report(each) for each in document.pop("services"))
            phase = Phase(document.pop("phase"))
            return cls(services=services, phase=phase, **document)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MalformedMessage(f"the stack's state file does not parse: {error!r}") from error


def write_state(path: Path, state: StackState) -> None:
    """Replace the file. It is true only while its writer lives, so it need not outlast a crash."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(state.to_json(), encoding="utf-8")
    os.replace(temporary, path)


def read_state(path: Path) -> StackState | None:
    """Read the file; None if there is none."""
    try:
        return StackState.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _report(document: Mapping[str, Any]) -> ProcessReport:
    fields = dict(document)
    return ProcessReport(state=ProcessState(fields.pop("state")), **fields)
