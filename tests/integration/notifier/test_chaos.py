"""Everything fails at random and is killed meanwhile; no delivery is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.chaos import Chaos, run_chaos


@pytest.mark.timeout(180)
async def test_no_delivery_is_lost_to_kills_and_bad_receivers(tmp_path: Path) -> None:
    """Of 300 every one ends, told under its own id; the notifier dies again and again, Redis twice.

    At least once allows doubles; they stay few, since a settled delivery is not sent again.
    """
    result = await run_chaos(tmp_path, Chaos(count=300, kill_every_s=2.0, redis_kills=2))

    assert sum(result.states.values()) == 300
    assert set(result.states) <= {"delivered", "exhausted"}
    assert result.states["delivered"] >= 290
    assert result.unknown == 0
    assert result.untold == 0
    assert result.answered >= result.states["delivered"]
    assert result.doubles <= 150
    assert result.notifier_kills >= 2
