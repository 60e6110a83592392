"""Work kept on the device: how busy an emulated NPU is at saturation, HTTP in and webhook out.

The emulated device takes 6 ms for a batch and 4 ms for each picture in it, whatever the machine.
It writes down when each run begins and ends on its own clock; the busy share is the sum of the runs
over the time, in a stretch in which jobs never ran out.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from bench.load import Load, LoadResult, run_load
from bench.pictures import draw_pictures
from bench.processes import cores
from bench.report import Figure, Report, Table
from bench.scale import Scale
from bench.stack import running_stack
from omfile.aipp_text import AippConfig
from omfile.facts import Format, TensorInfo
from omfile.synthetic import Recipe, pack

NAME = "device-busy"
_BAR = 0.95
_ROOT = Path(__file__).parents[1]
_MODEL = "played"
_SIDE_PX = 640
_CLASSES = 4
_ANCHORS = sum((_SIDE_PX // stride) ** 2 for stride in (8, 16, 32))
_GEARS = (1, 2, 4, 8)
_FIXED_MS, _ITEM_MS = 6.0, 4.0
_PICTURES = 8
#: So many jobs a second the device does in full batches.
_MOST_PER_S = _GEARS[-1] / (_FIXED_MS + _ITEM_MS * _GEARS[-1]) * 1e3
#: Left out at both ends: until the pipeline is full, and when it empties.
_MARGIN_S = 2.0

_BOARD = """
timeline_file = "{timeline}"

[[profiles]]
model = "*"
fixed_ms = {fixed_ms}
item_ms = {item_ms}
"""

_CARD = """[model]
name = "{name}"
task = "detection"
runtime = "acl"

[input]
width_px = {side_px}
height_px = {side_px}
dtype = "uint8"
layout = "nhwc"
resize = "letterbox"

[decoder]
kind = "yolo"
version = "v8"

[batching]
max_size = 8
max_delay_ms = 5
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """What the device did in the middle of a load: *runs* of them, *busy_s* of *wall_s*."""

    runs: int
    busy_s: float
    wall_s: float

    @property
    def share(self) -> float:
        """The busy share."""
        return self.busy_s / self.wall_s


def measure(scale: Scale) -> Report:
    """Saturate a stack on the emulated NPU."""
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="gw-bench-") as name:
        folder = Path(name)
        timeline = folder / "timeline"
        _write_model(folder / "models" / _MODEL)
        board = folder / "board.toml"
        text = _BOARD.format(timeline=timeline, fixed_ms=_FIXED_MS, item_ms=_ITEM_MS)
        board.write_text(text, "utf-8")
        settings = {
            "GW_RUNTIME": "acl",
            "PYTHONPATH": os.pathsep.join([str(_ROOT / "emulator"), str(_ROOT)]),
            "ACL_EMULATOR_CONFIG": str(board),
        }
        pictures = draw_pictures(_PICTURES, size_px=(_SIDE_PX, _SIDE_PX))
        count = round((scale.device_busy_s + 2 * _MARGIN_S) * _MOST_PER_S)
        load = Load(model=_MODEL, pictures=pictures, count=count, window=scale.window)
        with running_stack(folder, **settings) as stack:
            run_load(stack, Load(model=_MODEL, pictures=pictures, count=64, window=scale.window))
            timeline.write_text("")
            result = run_load(stack, load)
        stretch = _middle(_read(timeline))
    return _report(result, stretch, load_before)


def _read(timeline: Path) -> Sequence[tuple[float, float]]:
    """Give when each run began and ended."""
    lines = timeline.read_text("ascii").splitlines()
    return [(float(begin), float(end)) for begin, _, end in (line.partition(" ") for line in lines)]


def _middle(runs: Sequence[tuple[float, float]]) -> _Stretch:
    """Leave the ends out."""
    begin_s, end_s = runs[0][0] + _MARGIN_S, runs[-1][1] - _MARGIN_S
    if begin_s >= end_s:
        raise RuntimeError("the load was too short to have a middle")
    inside = [
        (max(begin, begin_s), min(end, end_s))
        for begin, end in runs
        if end > begin_s and begin < end_s
    ]
    return _Stretch(
        runs=len(inside),
        busy_s=sum(end - begin for begin, end in inside),
        wall_s=end_s - begin_s,
    )


def _report(result: LoadResult, stretch: _Stretch, load_before: float) -> Report:
    batches = [data["result"]["made_by"]["batch_size"] for _, data in result.events.values()]
    full = sum(size == _GEARS[-1] for size in batches) / len(batches)
    taken = {
        **result.cpu_s,
        "client": result.submitted.cpu_s,
        "receiver": result.receiver_cpu_s,
        "strangers": result.others_cpu_s,
    }
    rows = tuple(
        (name, f"{cpu_s / result.span_s:.3f}", f"{cpu_s / result.count * 1e3:.2f}")
        for name, cpu_s in taken.items()
    )
    used = sum(taken.values()) / result.span_s
    reference = (
        f"{stretch.runs} runs in {stretch.wall_s:.1f} s, {full:.0%} of the jobs in full batches"
    )
    return Report(
        name=NAME,
        figures=(
            Figure(
                name="device busy at saturation",
                value=stretch.share,
                unit="",
                reference=reference,
                bar=_BAR,
                at_most=False,
            ),
            Figure(
                name="jobs per second, end to end",
                value=result.per_s,
                unit="/s",
                reference=f"the device does {_MOST_PER_S:.1f}/s in full batches",
            ),
        ),
        tables=(
            Table(
                title="Who took the cores",
                columns=("process", "cores", "ms CPU per job"),
                rows=rows,
            ),
        ),
        notes=(
            f"The emulated device takes {_FIXED_MS:g} ms a batch and {_ITEM_MS:g} ms a picture;"
            f" batches up to {_GEARS[-1]}; JPEG {_SIDE_PX} x {_SIDE_PX};"
            f" a head of {4 + _CLASSES} x {_ANCHORS}."
            " The emulator's own work is in the device process.",
            f"{used:.2f} of {cores()} cores were used; load average before: {load_before:.2f}.",
        ),
    )


def _write_model(folder: Path) -> None:
    """Write a detector that is played, not computed: its graph is never run."""
    (folder / "1").mkdir(parents=True)
    card = _CARD.format(name=_MODEL, side_px=_SIDE_PX)
    (folder / "model.toml").write_text(card, "utf-8")
    kind = TensorProto.FLOAT
    shape = ("n", 3, _SIDE_PX, _SIDE_PX)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["images"], ["head"])],
        "played",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("head", kind, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    recipe = Recipe(
        name=_MODEL,
        inputs=(TensorInfo(name="images", dims=(-1, 3, _SIDE_PX, _SIDE_PX), format=Format.NCHW),),
        outputs=(TensorInfo(name="head", dims=(-1, 4 + _CLASSES, _ANCHORS)),),
        dynamic_batch=_GEARS,
        aipp=(AippConfig(input_format="RGB888_U8"),),
    )
    (folder / "1" / "model.om").write_bytes(pack(model.SerializeToString(), recipe))
