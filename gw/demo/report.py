"""What the demonstration tells: the table, and what failed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gw.demo.drawing import regions_of
from gw.demo.passages import Passage
from gw.table import render_table

COLUMNS: Final = (
    "picture",
    "size",
    "regions",
    "queued",
    "decode",
    "waited",
    "device",
    "postprocess",
    "total",
    "attempts",
    "verified",
)
_STAGES: Final = ("queued", "decode", "waited", "device", "postprocess", "total")
_NAMED_FAILURES: Final = 5


def table(passages: Sequence[Passage]) -> str:
    """Set one row for each picture; times are in milliseconds.

    A job without a result shows its state instead of regions.
    """
    return render_table(COLUMNS, [_row(passage) for passage in passages])


def line(passage: Passage) -> str:
    """Say in one line what became of a picture."""
    if passage.result is None:
        return f"{passage.picture.name}: {passage.state}: {passage.error}"
    total_ms = passage.result["timings_ms"]["total"]
    told = "webhook verified" if passage.is_verified else "webhook not verified"
    count = len(regions_of(passage.result))
    word = "region" if count == 1 else "regions"
    return f"{passage.picture.name}: {count} {word} in {total_ms:.0f} ms, {told}"


def failure(passages: Sequence[Passage], *, logs: Path) -> str:
    """Say what did not go well and where to look; empty if everything did."""
    jobs = [
        f"{each.picture.name} ({each.state}: {each.error})"
        for each in passages
        if each.state != "succeeded" or each.result is None
    ]
    webhooks = [
        each.picture.name
        for each in passages
        if each.state == "succeeded" and each.result is not None and not each.is_verified
    ]
    parts = []
    if jobs:
        parts.append(f"{len(jobs)} of {len(passages)} pictures have no result: {_some(jobs)}")
    if webhooks:
        parts.append(f"{len(webhooks)} webhooks did not arrive verified: {_some(webhooks)}")
    return f"{'; '.join(parts)}. The logs are in {logs}" if parts else ""


def _row(passage: Passage) -> tuple[str, ...]:
    size, regions, stages = "-", passage.state, ["-"] * len(_STAGES)
    if passage.job is not None:
        facts = passage.job["picture"]
        size = f"{facts['width']}x{facts['height']}"
    if passage.result is not None:
        regions = str(len(regions_of(passage.result)))
        times_ms = passage.result["timings_ms"]
        stages = [f"{times_ms[stage]:.0f}" for stage in _STAGES]
    verified = "yes" if passage.is_verified else "no"
    return (passage.picture.name, size, regions, *stages, str(passage.attempts), verified)


def _some(items: Sequence[str]) -> str:
    shown = ", ".join(items[:_NAMED_FAILURES])
    left = len(items) - _NAMED_FAILURES
    return f"{shown} and {left} more" if left > 0 else shown
