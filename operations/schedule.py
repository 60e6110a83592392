"""When sweeps are due: each once in a slot of time, whoever asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: How often each sweep runs.
INTERVALS_S: Final[Mapping[str, int]] = {
    "batches": 600,
    "pictures": 600,
    "leftovers": 600,
    "deliveries": 600,
    "waiting": 600,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DueSweep:
    """One sweep in its slot. *operation_id* is the same for everybody who finds it due."""

    name: str
    operation_id: str
    interval_s: int


def due_sweeps(now_unix_s: int) -> list[DueSweep]:
    """List the sweeps of the slots that *now_unix_s* is in.

    >>> due_sweeps(1200)[0].operation_id
    'sweep-batches-2'
    """
    return [
        DueSweep(
            name=name,
            operation_id=f"sweep-{name}-{now_unix_s // interval_s}",
            interval_s=interval_s,
        )
        for name, interval_s in INTERVALS_S.items()
    ]
