"""The benchmark runs to its end; what it measures is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_a_quick_benchmark_gives_figures(tmp_path: Path) -> None:
    """``python -m bench --quick --only cpu_per_job`` prints a table and writes positive figures."""
    command = [sys.executable, "-m", "bench", "--quick", "--only", "cpu_per_job"]
    answer = subprocess.run(
        [*command, "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    document = json.loads((tmp_path / "bench.json").read_text())
    (measurement,) = document["measurements"]
    assert [measurement["name"], document["quick"]] == ["cpu_per_job", True]
    figures = {figure["name"]: figure["value"] for figure in measurement["figures"]}
    assert len(figures) == 2
    assert all(value > 0 for value in figures.values())
    assert all(name in answer.stdout for name in figures)
