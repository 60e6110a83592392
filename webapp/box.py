"""The machine that the webapp runs on."""

from __future__ import annotations

import re
from pathlib import Path

_AVAILABLE = re.compile(r"^MemAvailable: *([0-9]+) kB$", re.MULTILINE)


def free_memory_bytes(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Give how much memory could be had without swapping; None where the kernel does not say.

    Source: proc(5), ``MemAvailable``. A container's own limit is not in it.
    """
    try:
        found = _AVAILABLE.search(meminfo.read_text("ascii"))
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
