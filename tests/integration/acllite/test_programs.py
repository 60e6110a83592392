"""Programs as people have them for AclLite run unchanged, and leave nothing on the device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from omfile.aipp_text import AippConfig
from omfile.facts import DataType, Format, TensorInfo
from omfile.synthetic import Recipe, pack
from tests.builders_om import EMULATOR, compile_om
from tests.builders_onnx import save_mean_model
from tests.unit.emulator.models import doubling_om, write

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(__file__).parent / "programs"

#: Blue, green, red.
RED, BLUE = (20, 40, 220), (210, 60, 30)

#: NV12 of JPEGs to RGB, in 256ths.
FULL_RANGE = (256, 0, 359, 256, -88, -183, 256, 454, 0)


def flat_folder() -> str:
    """Ask the package for the folder of flat imports, as its document says."""
    asked = subprocess.run(
        [sys.executable, "-m", "acllite"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return asked.stdout.strip()


def run(program: str, *arguments: Path | str, run_mode: str) -> list[str]:
    """Run a program on the emulated NPU; give its lines, without AclLite's own."""
    done = subprocess.run(
        [sys.executable, PROGRAMS / program, *map(str, arguments)],
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join((str(EMULATOR), flat_folder(), str(ROOT))),
            "ACL_EMULATOR_RUN_MODE": run_mode,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # The emulator's status for leaks and for misuse is not 0.
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if not line.startswith("[")]


def picture(folder: Path, name: str, size: tuple[int, int], colour: tuple[int, int, int]) -> Path:
    """Write a picture of one colour; *size* is width and height."""
    path = folder / name
    assert cv2.imwrite(str(path), np.full((size[1], size[0], 3), colour, np.uint8))
    return path


def colours_om(side: int) -> bytes:
    """Give an OM that takes NV12 through AIPP, and answers the mean of red, green and blue."""
    shape = (1, 3, side, side)
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x"], ["scores"], axes=[2, 3], keepdims=0)],
        "colours",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    aipp = AippConfig(
        input_format="YUV420SP_U8",
        src_image_size_w=side,
        src_image_size_h=side,
        csc_switch=True,
        matrix=FULL_RANGE,
        input_bias=(0, 128, 128),
    )
    ends = (
        TensorInfo(name="x", dims=shape, dtype=DataType.FLOAT, format=Format.NCHW),
        TensorInfo(name="scores", dims=(1, 3), dtype=DataType.FLOAT),
    )
    recipe = Recipe(name="colours", inputs=ends[:1], outputs=ends[1:], aipp=(aipp,))
    return pack(model.SerializeToString(), recipe)


@pytest.fixture(params=["0", "1"], ids=["on the board", "on a host"])
def run_mode(request: pytest.FixtureRequest) -> str:
    """Give both run modes in turn."""
    mode: str = request.param
    return mode


def test_classification_with_flat_imports(tmp_path: Path, run_mode: str) -> None:
    """A picture goes through the DVPP unit into a model with AIPP, and the colours are right."""
    model = write(tmp_path, colours_om(64))
    pictures = (
        picture(tmp_path, "red.jpg", (201, 150), RED),
        picture(tmp_path, "blue.jpg", (120, 100), BLUE),
    )

    lines = run("classify_flat.py", model, *pictures, run_mode=run_mode)

    found = [(int(line.split()[1]), float(line.split()[2])) for line in lines]
    assert [best for best, _ in found] == [0, 2]
    assert [mean for _, mean in found] == pytest.approx([220, 210], abs=3)


def test_detection_with_package_imports(tmp_path: Path, run_mode: str) -> None:
    """Arrays prepared by OpenCV go in, also bare ones; a wrong number of inputs gives None."""
    onnx_path = save_mean_model(tmp_path / "mean.onnx", side_px=32)
    model = compile_om(onnx_path, tmp_path / "mean.om", batch=1)

    lines = run(
        "detect_package.py", model, picture(tmp_path, "a.png", (64, 48), RED), run_mode=run_mode
    )

    assert lines == ["means 20 40 220"]


def test_a_program_with_a_resource_class_of_its_own(tmp_path: Path, run_mode: str) -> None:
    """The list of resources takes everything down in its destructor; gears and failures hold."""
    model = write(tmp_path, doubling_om((-1, 4), out=(4, 4), dynamic_batch=(1, 2, 4)))

    lines = run("own_resource.py", model, run_mode=run_mode)

    assert lines == [
        f"batch 4 (4, 4) {[2.0 * value + 1 for value in range(16)]}",
        f"batch 1 (4, 4) {[2.0 * value + 1 for value in range(4)]}",
        "no gear None",
        "missing None",
    ]


def test_every_kind_of_picture_work(tmp_path: Path, run_mode: str) -> None:
    """Sizes, strides and colours are right after each unit; failures give None."""
    red = picture(tmp_path, "red.jpg", (200, 100), RED)
    png = picture(tmp_path, "red.png", (60, 40), RED)

    lines = run("pictures.py", red, png, tmp_path / "out.jpg", run_mode=run_mode)

    told = dict(line.split(" ", 1) for line in lines if not line.startswith("not a jpeg"))
    assert told["jpeg"] == "True 200 100 True"
    assert told["png"] == "60 40 True"
    assert told["missing"] == "False False"
    assert told["decoded"] == "200 100 256 112"
    assert told["resized"].startswith("64 32 ")
    for name in ("resized", "filled", "boxed"):
        colour = json.loads(told[name][told[name].index("[") :].split("]")[0] + "]")
        assert colour == pytest.approx([220, 40, 20], abs=4)
    assert told["boxed"].endswith("[0, 0, 0]")
    assert told["encoded"] == "(32, 64, 3)"
    assert "not a jpeg None" in lines
    assert told["nothing"] == "None"
    assert told["copied"] == "True"
    assert told["sizes"] == "256 3072 12"
    assert told["checked"].startswith("acl.rt.free failed ret_int=100000")


def test_the_newer_generation(tmp_path: Path, run_mode: str) -> None:
    """Gears come from the inputs, outputs are trimmed to them, and what is wrong raises."""
    model = write(tmp_path, doubling_om((-1, 4), out=(4, 4), dynamic_batch=(1, 2, 4)))

    lines = run("gears.py", model, run_mode=run_mode)

    runs = ["run (1, 4) 12.0", "run (4, 4) 48.0", "run (2, 4) 24.0"]
    assert lines[:8] == ["gears [1, 2, 4]", *runs] * 2
    errors = ["FileNotFoundError", "ValueError", "RuntimeError", "ValueError", "ValueError"]
    assert lines[8:] == [f"refused {name}" for name in (*errors, "AclLiteError")]
