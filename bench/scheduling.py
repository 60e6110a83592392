"""The scheduler against plain policies and against the best offline switching, in simulation."""

from __future__ import annotations

from bench.report import Figure, Report, Table
from bench.scale import QUICK, Scale
from tests.simulation import switching
from tests.simulation.comparison import Row, compare
from tests.simulation.switching import ALTERNATIONS, DEADLINE_MS, Switching

NAME = "scheduling"

_BAR = 0.90


def measure_all(*, quick: bool) -> tuple[list[Row], list[Switching]]:
    """Run the comparison and the alternations; seconds when *quick*."""
    rows = compare(range(2 if quick else 20), jobs=40 if quick else 150)
    kinds, seeds = (ALTERNATIONS[:1], range(1)) if quick else (ALTERNATIONS, range(3))
    return rows, [switching.measure(kind, seeds) for kind in kinds]


def measure(scale: Scale) -> Report:
    """Compare, and set the results in tables."""
    rows, switchings = measure_all(quick=scale == QUICK)
    shares = [each.mean_share for each in switchings]
    return Report(
        name=NAME,
        figures=(
            Figure(
                name="throughput, two models that do not fit together, least of all kinds",
                value=min(shares),
                unit="",
                reference="offline optimum of the same trace",
                bar=_BAR,
                at_most=False,
            ),
            Figure(
                name="jobs older than their deadline class allows",
                value=float(sum(each.missed for each in switchings)),
                unit="jobs",
                reference=f"a deadline of {DEADLINE_MS / 1000:g} s for each",
                bar=0.0,
            ),
        ),
        tables=(_switching_table(switchings), _policy_table(rows)),
        notes=(
            "The offline optimum knows the trace and has neither round trips, noise nor stalls.",
            "The plain policies run the same scenarios; below 1 the scheduler's mean is shorter.",
        ),
    )


def _switching_table(switchings: list[Switching]) -> Table:
    return Table(
        title="two models by turns, memory for one",
        columns=("jobs a turn", "load", "load ms", "mean share", "worst", "oldest ms", "loads"),
        rows=tuple(
            (
                str(each.kind.jobs),
                f"{each.kind.load:g}",
                f"{each.kind.load_ms:g}",
                f"{each.mean_share:.3f}",
                f"{each.worst_share:.3f}",
                f"{each.oldest_ms:.0f}",
                f"{each.loads:.1f}",
            )
            for each in switchings
        ),
    )


def _policy_table(rows: list[Row]) -> Table:
    return Table(
        title="policies in simulation",
        columns=("family", "policy", "mean ms", "high ms", "p99 ms", "missed", "gw / this"),
        rows=tuple(
            (
                row.family,
                row.policy,
                f"{row.mean_ms:.0f}",
                f"{row.high_mean_ms:.0f}",
                f"{row.p99_ms:.0f}",
                f"{row.missed_share:.1%}",
                f"{row.relative_latency:.2f}",
            )
            for row in rows
        ),
    )
