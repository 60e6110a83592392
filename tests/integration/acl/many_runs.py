"""Runs a model very often in one process, and tells what is live and what memory it took.

Run as ``python -m tests.integration.acl.many_runs <folder> <runs>``, with the emulator on the path.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from dispatcher.acl_runtime import AclRuntime
from dispatcher.runtime import RuntimeOptions
from tests.builders_om import compile_om
from tests.builders_onnx import make_card, save_mean_model
from tests.conformance.bench import GEARS

# Allocators and lazy imports have settled by then.
WARM_UP_RUNS = 2000


def main(folder: Path, runs: int) -> None:
    """Run, at changing batch sizes, and print what was seen as JSON."""
    machine: Any = importlib.import_module("acl._machine").here()
    process = psutil.Process()
    runtime = AclRuntime(RuntimeOptions(infer_timeout_s=30))
    om = compile_om(save_mean_model(folder / "m.onnx"), folder / "m.om", dynamic_batch=GEARS)
    runtime.load("tiny/1", make_card(), om)
    batches = [np.full((size, 3, 4, 4), size, np.float32) for size in range(1, 9)]
    done, live_after_first, settled_bytes = 0, 0, 0
    while done < runs:
        batch = batches[done % len(batches)]
        outputs = runtime.infer("tiny/1", batch)
        assert outputs["mean"][0, 0] == len(batch)
        done += 1
        if done == 1:
            live_after_first = len(machine.leaks())
        if done == WARM_UP_RUNS:
            settled_bytes = process.memory_info().rss
    live_after_last = len(machine.leaks())
    grown_bytes = process.memory_info().rss - settled_bytes
    runtime.close()
    told = {
        "runs": done,
        "live_after_first": live_after_first,
        "live_after_last": live_after_last,
        "grown_bytes": grown_bytes,
        "leaks": machine.leaks(),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
