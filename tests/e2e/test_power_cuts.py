"""The power is cut under load: what was answered is there afterwards, and comes to its end."""

from __future__ import annotations

import pytest

from bench.disk import why_impossible
from bench.power_cuts import cut_often

IMPOSSIBLE = why_impossible()


@pytest.mark.skipif(bool(IMPOSSIBLE), reason=f"no power can be cut here: {IMPOSSIBLE}")
def test_a_power_cut_loses_no_answered_job() -> None:
    """Twice, with every write synced: all jobs that were answered before are there and succeed."""
    cuts = cut_often("always", 2)

    assert sum(cut.answered for cut in cuts) > 0
    assert [(cut.absent, cut.not_succeeded) for cut in cuts] == [(0, 0)] * 2
