"""Small programs to supervise. Each writes what it does to the file ``$DIARY``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gw.supervisor import ProcessSpec

_DIARY = """
import os, signal, subprocess, sys, time
name = sys.argv[1]
def note(word):
    with open(os.environ["DIARY"], "a", encoding="utf-8") as diary:
        diary.write(f"{name} {word}\\n")
"""

#: Ends in order when told to, after ``$LINGER_S``.
POLITE = """
def stop(*_):
    note("told")
    time.sleep(float(os.environ.get("LINGER_S", "0")))
    note("gone")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
note(f"up {os.getpid()}")
print(f"{name} is here", flush=True)
while True:
    time.sleep(0.05)
"""

#: Does not care, and has a child that does not either.
STUBBORN = """
signal.signal(signal.SIGTERM, lambda *_: note("told"))
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
note(f"up {os.getpid()}")
note(f"child {child.pid}")
while True:
    time.sleep(0.05)
"""

#: Ends with exit code 3 as soon as it runs.
CRASHING = """
note("up")
print("going down", file=sys.stderr)
sys.exit(3)
"""


def make_spec(
    name: str, body: str, diary: Path, *, lock: Path | None = None, linger_s: float = 0.0
) -> ProcessSpec:
    """Describe a process that runs *body* under *name*."""
    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-S", "-c", _DIARY + body, name),
        environ={**os.environ, "DIARY": str(diary), "LINGER_S": str(linger_s)},
        folder=diary.parent,
        lock=lock,
    )
