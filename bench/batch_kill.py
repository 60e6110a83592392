"""A batch under kills: an archive of pictures, and each process of the stack killed in its turn.

What counts is that no item is missing or doubled. What the kills cost in time is set against the
same batch, just before, without any.
"""

from __future__ import annotations

import io
import json
import os
import signal
import tempfile
import time
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.models import THUMBNAIL
from bench.pictures import draw_pictures
from bench.report import Figure, Report, Table
from bench.scale import Scale
from bench.stack import RunningStack, running_stack
from gw.state_file import read_state
from pipeline.errors import Unavailable

NAME = "batch-kill"

#: The worker is the operations service's own child, which RQ's operations run in.
VICTIMS = ("worker", "operations", "dispatcher", "postprocess", "notifier", "webapp", "redis")

_PATIENCE_S = 600.0
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRun:
    """One batch, whole: its last document, its result lines, and how long it took."""

    batch: dict[str, Any]
    lines: tuple[dict[str, Any], ...]
    wall_s: float
    killed: tuple[str, ...]


def measure(scale: Scale) -> Report:
    """Run a batch in peace, then one under kills."""
    archive = _archive(scale.batch_items)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), GW_BATCH_JOBS_WAITING_MAX="100") as stack,
    ):
        calm = _run(stack, archive, scale.batch_items, victims=())
        killed = _run(stack, archive, scale.batch_items, victims=VICTIMS)
    return _report(scale.batch_items, calm, killed)


def _report(items: int, calm: BatchRun, killed: BatchRun) -> Report:
    good = [line["job"] for line in killed.lines if line["state"] == "succeeded"]
    missing, doubled = items - len(set(good)), len(good) - len(set(good))
    return Report(
        name=NAME,
        figures=(
            Figure(
                name="items missing or doubled",
                value=missing + doubled,
                unit="items",
                reference=f"{items} pictures, {len(killed.killed)} kills",
                bar=0,
            ),
            Figure(
                name="time under kills",
                value=killed.wall_s / calm.wall_s,
                unit="x",
                reference="the same batch in peace",
            ),
        ),
        tables=(
            Table(
                title="batches",
                columns=("run", "items", "results", "missing", "doubled", "jobs made", "s"),
                rows=tuple(_row(name, run) for name, run in (("calm", calm), ("killed", killed))),
            ),
        ),
        notes=(f"killed with SIGKILL, in turn: {', '.join(killed.killed)}",),
    )


def _row(name: str, run: BatchRun) -> tuple[str, ...]:
    good = [line["job"] for line in run.lines if line["state"] == "succeeded"]
    return (
        name,
        str(run.batch["items"]["expanded"]),
        str(len(good)),
        str(run.batch["items"]["total"] - len(set(good))),
        str(len(good) - len(set(good))),
        str(run.batch["jobs"]["made"]),
        f"{run.wall_s:.1f}",
    )


def _archive(items: int) -> bytes:
    pictures = draw_pictures(size_px=(160, 120))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for index in range(items):
            archive.writestr(f"{index:05d}.jpg", pictures[index % len(pictures)])
    return out.getvalue()


def _run(stack: RunningStack, archive: bytes, items: int, *, victims: Sequence[str]) -> BatchRun:
    """Submit a batch, kill *victims* evenly over its expansion, and follow it to its end."""
    left, killed = list(victims), list[str]()
    with httpx.Client(
        base_url=f"http://127.0.0.1:{stack.port}",
        headers={"authorization": f"Bearer {stack.key}"},
        timeout=30,
        trust_env=False,
    ) as client:
        started_s = time.monotonic()
        answer = client.post(
            "/v1/batches",
            params={"model": THUMBNAIL},
            content=archive,
            headers={"content-type": "application/zip"},
        )
        answer.raise_for_status()
        path = answer.json()["links"]["self"]
        while True:
            if time.monotonic() - started_s > _PATIENCE_S:
                raise Unavailable("the batch does not come to its end")
            batch = _read(client, path)
            if batch and batch["finished_at"]:
                break
            due = items * (len(killed) + 1) // (len(victims) + 1)
            if left and batch and batch["items"]["expanded"] >= due:
                killed.append(left.pop(0))
                _kill(stack, killed[-1])
            time.sleep(_LOOK_S)
        wall_s = time.monotonic() - started_s
        text = client.get(f"{path}/results").text
    lines = tuple(json.loads(line) for line in text.splitlines())
    return BatchRun(batch=batch, lines=lines, wall_s=wall_s, killed=tuple(killed))


def _read(client: httpx.Client, path: str) -> dict[str, Any] | None:
    with suppress(httpx.TransportError):
        answer = client.get(path)
        if answer.is_success:
            document: dict[str, Any] = answer.json()
            return document
    return None


def _kill(stack: RunningStack, victim: str) -> None:
    """Kill one process of the stack as it runs now; the supervisor starts it again."""
    state = read_state(stack.folder.state)
    pids = {each.name: each.pid for each in state.services} if state else {}
    pid = pids.get("operations" if victim == "worker" else victim)
    if pid is None:
        return
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        if victim == "worker":
            for child in psutil.Process(pid).children():
                child.kill()
        else:
            os.kill(pid, signal.SIGKILL)
