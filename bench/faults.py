"""Faults: each one that the emulated NPU can have, met by sixteen jobs with one culprit among them.

For each fault a device process of the dispatcher runs on a board that has it. What counts is who
failed, who succeeded, who was handed back to be run again, and how long the device was away.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.emulated import SIDE_PX, environ, write_model
from bench.report import Figure, Report, Table
from bench.scale import Scale
from dispatcher.cards.file import read_card
from dispatcher.device.isolation import infer_isolated
from dispatcher.device.link import Device, DeviceConfig
from dispatcher.device.state import DevicePhase
from dispatcher.models.repository import ModelVersion
from pipeline.errors import GwError, ModelFault, Unavailable

NAME = "faults"

_JOBS = 16
_CULPRIT = 11
_POISON = 9001.0
_POISON_HEX = np.full(2, _POISON, np.float32).tobytes().hex()
_POISONED = f'contains_hex = "{_POISON_HEX}"\ntimes = 0'
_HANG_S = 0.5
_TIMEOUT_S = 60.0
_LOOK_S = 0.001
#: A dispatcher looks at a device that is away as often.
_AGAIN_S = 0.05
#: How long a fault lasts that ends by itself.
_LASTS_S = 0.3
_REFUSED = "load refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault by its entry in the board's configuration, and what is promised of the jobs.

    *ends* says that the board is well again once the device was seen away. With *at_load* the load
    of another model meets the fault, and is *refused* or not. With *kills* the device process is
    killed first, so that its next start meets it.
    """

    name: str
    entry: str
    failed: int
    may_be_away: bool
    ends: bool = False
    at_load: bool = False
    refused: bool = False
    kills: bool = False


def _fault(at: str, *lines: str) -> str:
    return "\n".join(["[[faults]]", f'at = "{at}"', *lines, ""])


def _on_culprit(code: int, *, away: bool) -> Fault:
    entry = _fault("execute", f"code = {code}", _POISONED)
    return Fault(name=f"{code} in a run", entry=entry, failed=1, may_be_away=away)


def _at_load(name: str, entry: str, *, refused: bool = True) -> Fault:
    return Fault(name=name, entry=entry, failed=0, may_be_away=False, at_load=True, refused=refused)


FAULTS: Sequence[Fault] = (
    Fault(name="none", entry="", failed=0, may_be_away=False),
    _on_culprit(507011, away=False),
    _on_culprit(507010, away=True),
    _on_culprit(507014, away=True),
    _on_culprit(507015, away=True),
    _on_culprit(507899, away=True),
    Fault(
        name="hang in a run",
        entry=_fault("execute", 'action = "hang"', _POISONED),
        failed=1,
        may_be_away=True,
    ),
    Fault(
        name="hang while synchronising, once",
        entry=_fault("synchronize", 'action = "hang"', "times = 0"),
        failed=0,
        may_be_away=True,
        ends=True,
    ),
    Fault(
        name="507010 in a copy, once",
        entry=_fault("memcpy", "code = 507010", "times = 0"),
        failed=0,
        may_be_away=True,
        ends=True,
    ),
    Fault(
        name="507033 when opened, for a while",
        entry=_fault("set_device", "code = 507033", "times = 0"),
        failed=0,
        may_be_away=True,
        ends=True,
        kills=True,
    ),
    Fault(
        name="507899 at acl.init, for a while",
        entry=_fault("init", "code = 507899", "times = 0"),
        failed=0,
        may_be_away=True,
        ends=True,
        kills=True,
    ),
    _at_load("truncated OM", _fault("load", 'action = "truncated"')),
    _at_load("OM of another chip", _fault("load", 'action = "other_soc"')),
    _at_load("207001 at a buffer of a load", _fault("malloc", "code = 207001", "nth = 2")),
    _at_load("slow load", _fault("load", 'action = "slow"', "for_ms = 500"), refused=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the jobs, and for how long the device was not ready."""

    failed: Sequence[int]
    succeeded: int
    handed_back: int
    away_ms: float
    word: str

    def keeps(self, fault: Fault) -> bool:
        """Whether all is as promised: the culprit alone fails, the others succeed in the end."""
        wanted = [_CULPRIT] if fault.failed else []
        is_right = list(self.failed) == wanted and self.succeeded == _JOBS - len(wanted)
        is_there = fault.may_be_away or self.away_ms == 0.0
        return is_right and is_there and fault.refused == self.word.startswith(_REFUSED)


def measure(_scale: Scale) -> Report:
    """Meet every fault once."""
    met = [(fault, asyncio.run(meet(fault))) for fault in FAULTS]
    kept = sum(outcome.keeps(fault) for fault, outcome in met)
    rows = tuple(
        (
            fault.name,
            "yes" if outcome.keeps(fault) else "NO",
            ", ".join(f"job {number}" for number in outcome.failed) or "-",
            str(outcome.succeeded),
            str(outcome.handed_back),
            f"{outcome.away_ms:.0f}",
            outcome.word,
        )
        for fault, outcome in met
    )
    columns = ("fault", "as promised", "failed", "succeeded", "run again", "away ms", "said")
    longest_ms = max(outcome.away_ms for fault, outcome in met)
    return Report(
        name=NAME,
        figures=(
            Figure(
                name="faults that ended as promised",
                value=float(kept),
                unit="",
                reference=f"{len(met)} faults, {_JOBS} jobs each",
                bar=float(len(met)),
                at_most=False,
            ),
            Figure(
                name="longest absence of the device",
                value=longest_ms,
                unit="ms",
                reference="the same run",
            ),
        ),
        tables=(Table(title=f"The culprit is job {_CULPRIT}", columns=columns, rows=rows),),
        notes=(
            f"A hang is given up after {1000 * _HANG_S:.0f} ms here; GW_INFER_TIMEOUT_S sets it.",
            "Away is the time in which the device took no calls, over all of its restarts.",
        ),
    )


async def meet(fault: Fault) -> Outcome:
    """Run sixteen jobs on a device that has *fault*."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with _board(place) as board:
            device = Device(DeviceConfig(runtime="acl", input_bytes=1 << 20, output_bytes=1 << 20))
            try:
                return await _meet(fault, device, write_model(place), board)
            finally:
                await device.stop()


async def _meet(fault: Fault, device: Device, model: Path, board: Path) -> Outcome:
    is_later = fault.kills or fault.ends
    _set_up(board, "" if is_later else fault.entry)
    await device.start()
    version = _version(model, "model")
    word = await _load_other(device, model) if fault.at_load else ""
    await device.load(version, timeout_s=_TIMEOUT_S)
    away = _Away(device, board if fault.ends else None)
    if is_later:
        _set_up(board, fault.entry)
        # The process that runs has read the board already: the next one meets the fault.
        await _end_process(device)
    watching = asyncio.create_task(away.watch())
    failed, succeeded, handed_back, said = await _run_jobs(device, version)
    watching.cancel()
    return Outcome(
        failed=failed,
        succeeded=succeeded,
        handed_back=handed_back,
        away_ms=away.total_ms,
        word=(said or word)[:60],
    )


class _Away:
    """Adds up how long the device is not ready; ends the fault a while after it was seen away."""

    def __init__(self, device: Device, board: Path | None) -> None:
        self._device = device
        self._board = board
        self.total_ms = 0.0

    async def watch(self) -> None:
        """Look until canceled."""
        before_s, since_s = time.monotonic(), None
        while True:
            await asyncio.sleep(_LOOK_S)
            now_s = time.monotonic()
            if self._device.state.phase is not DevicePhase.READY:
                since_s = since_s or now_s
                self.total_ms += 1000 * (now_s - before_s)
                if self._board is not None and now_s - since_s >= _LASTS_S:
                    _set_up(self._board, "")
            before_s = now_s


def _set_up(board: Path, text: str) -> None:
    new = board.with_suffix(".new")
    new.write_text(text)
    new.replace(board)


async def _end_process(device: Device) -> None:
    """Kill the device process, and wait until that is noticed."""
    assert device.pid is not None  # noqa: S101  # it was started
    os.kill(device.pid, signal.SIGKILL)
    async with asyncio.timeout(_TIMEOUT_S):
        while device.state.phase is DevicePhase.READY:  # noqa: ASYNC110  # there is no event
            await asyncio.sleep(_LOOK_S)


async def _load_other(device: Device, model: Path) -> str:
    """Load another model, which meets the fault; give what was said."""
    try:
        await device.load(_version(model, "other"), timeout_s=_TIMEOUT_S)
    except GwError as exc:
        return f"{_REFUSED}: {exc}"
    return "loaded"


async def _run_jobs(device: Device, version: ModelVersion) -> tuple[list[int], int, int, str]:
    """Run sixteen items as the dispatcher does, again where they never ran."""
    shape = (3, SIDE_PX, SIDE_PX)
    block = await device.inputs.allocate(_JOBS * int(np.prod(shape)) * 4)
    items = block.view((_JOBS, *shape), np.float32)
    items[...] = np.arange(_JOBS, dtype=np.float32)[:, None, None, None]
    items[_CULPRIT] = _POISON
    left, failed, succeeded, handed_back, word = list(range(_JOBS)), [], 0, 0, ""
    until_s = time.monotonic() + _TIMEOUT_S
    while left and time.monotonic() < until_s:
        outcome = await infer_isolated(
            lambda some: device.infer(version.key, some, timeout_s=_HANG_S),
            [items[number] for number in left],
        )
        again = []
        for number, item in zip(left, outcome.items, strict=True):
            if isinstance(item, Unavailable):
                again.append(number)
            elif isinstance(item, ModelFault):
                failed.append(number)
                word = str(item)
            else:
                succeeded += 1
        outcome.release()
        handed_back += len(again)
        left = again
        if left:
            await asyncio.sleep(_AGAIN_S)
    block.release()
    return failed, succeeded, handed_back, word


def _version(model: Path, name: str) -> ModelVersion:
    """Give the model, or a copy of its file under another *name*."""
    file = model / "1" / "model.om"
    if name != "model":
        copy = file.with_name(f"{name}.om")
        copy.write_bytes(file.read_bytes())
        file = copy
    return ModelVersion(
        card=read_card(model),
        version=1 if name == "model" else 2,
        path=file,
        file_sha256="0" * 64,
        file_bytes=file.stat().st_size,
    )


@contextmanager
def _board(place: Path) -> Iterator[Path]:
    """Let device processes find the emulator; give the file that says what its board is like."""
    wanted = environ(place, "")
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield place / "board.toml"
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
