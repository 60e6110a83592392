"""What a measurement gives: figures with their bars, tables, notes; as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gw.table import render_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number against its *bar*, and the *reference* of the same run behind it.

    *at_most* tells whether the bar bounds the value from above or from below. A figure without a
    bar is there to be read.
    """

    name: str
    value: float
    unit: str
    reference: str
    bar: float | None = None
    at_most: bool = True

    @property
    def is_met(self) -> bool | None:
        """Whether the value keeps to its bar; None without one."""
        if self.bar is None:
            return None
        return self.value <= self.bar if self.at_most else self.value >= self.bar

    @property
    def verdict(self) -> str:
        """Say whether the bar is met, and by how much it is missed otherwise."""
        if self.bar is None:
            return "-"
        if self.is_met:
            return "met"
        missed_by = abs(self.value - self.bar)
        share = f" ({missed_by / self.bar:.0%})" if self.bar else ""
        return f"missed by {missed_by:.3g} {self.unit}".rstrip() + share

    def cells(self) -> tuple[str, ...]:
        """Give the row of the table of figures."""
        bar = "-"
        if self.bar is not None:
            bar = f"{'<=' if self.at_most else '>='} {self.bar:g} {self.unit}".rstrip()
        return self.name, self.reference, f"{self.value:.3g} {self.unit}", bar, self.verdict

    def to_json(self) -> dict[str, Any]:
        """Give the form for machines."""
        return {
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "reference": self.reference,
            "bar": self.bar,
            "bound": "at most" if self.at_most else "at least",
            "met": self.is_met,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Numbers behind the figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Give the form for machines."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One measurement, whole. *notes* say how to read it."""

    name: str
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give the form for machines."""
        return {
            "name": self.name,
            "figures": [figure.to_json() for figure in self.figures],
            "tables": [table.to_json() for table in self.tables],
            "notes": list(self.notes),
        }

    def lines(self) -> Iterator[str]:
        """Give the form for people."""
        yield f"== {self.name}"
        yield figures_table(self.figures)
        for table in self.tables:
            yield f"\n{table.title}"
            yield render_table(table.columns, table.rows)
        if self.notes:
            yield ""
        for note in self.notes:
            yield f"- {note}"
        yield ""


def figures_table(figures: tuple[Figure, ...]) -> str:
    """Set figures in a table with their reference, bar and verdict."""
    columns = ("figure", "reference, same run", "measured", "bar", "verdict")
    return render_table(columns, [figure.cells() for figure in figures])
