"""Runs models very often in one process on the emulated NPU, and tells what it took and left.

``python -m bench.endurance_program <folder> <runs> <seconds>``, with the emulator on the path. It
ends at *seconds* at the latest. Between runs, models are loaded and unloaded.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from dispatcher.acl_runtime import AclRuntime
from dispatcher.cards.card import RuntimeKind
from dispatcher.cards.file import read_card
from dispatcher.runtime import RuntimeOptions

#: After so many runs one model goes and another comes.
RUNS_PER_LOAD = 500
#: Allocators and lazy imports have settled by this share of the runs.
_SETTLED_SHARE = 0.1
_SAMPLES = 20
_MODELS = 3
_LARGEST_BATCH = 8


def main(folder: Path, runs: int, limit_s: float) -> None:
    """Run, at changing batch sizes, and print what was seen as JSON."""
    machine: Any = importlib.import_module("acl._machine").here()
    process = psutil.Process()
    card = read_card(folder)
    assert card.runtime is RuntimeKind.ACL  # noqa: S101 - the bench wrote it
    om = folder / "1" / "model.om"
    runtime = AclRuntime(RuntimeOptions(infer_timeout_s=30))
    side_px = card.input.height_px
    batches = [
        np.full((size, 3, side_px, side_px), size, np.float32)
        for size in range(1, _LARGEST_BATCH + 1)
    ]
    sample_every = max(1, runs // _SAMPLES)
    resident_bytes: list[int] = []
    live: list[int] = []
    started_s = time.monotonic()
    done, loads = 0, 0
    while done < runs and time.monotonic() - started_s < limit_s:
        if done % RUNS_PER_LOAD == 0:
            runtime.unload(f"model/{loads - _MODELS}")
            runtime.load(f"model/{loads}", card, om)
            loads += 1
            # Half of the models that are there are used, so that idle ones are unloaded as well.
            key = f"model/{loads - 1 - (loads % 2 if loads > 1 else 0)}"
        runtime.infer(key, batches[done % _LARGEST_BATCH])
        done += 1
        if done % sample_every == 0:
            resident_bytes.append(process.memory_info().rss)
            live.append(len(machine.leaks()))
    took_s = time.monotonic() - started_s
    runtime.close()
    settled = int(len(resident_bytes) * _SETTLED_SHARE)
    told = {
        "runs": done,
        "loads": loads,
        "took_s": took_s,
        "grown_bytes": resident_bytes[-1] - resident_bytes[settled] if resident_bytes else 0,
        "resident_bytes": resident_bytes,
        "live": live,
        "left": machine.leaks(),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
