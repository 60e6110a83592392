"""What ``gw models inspect`` shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gw.__main__ import cli
from gw.model_inspect import as_document, as_text, check_target, inspect_file
from pipeline.errors import InvalidSettings
from tests.unit.gw.models_on_disk import save_om, save_onnx


def test_an_om_is_shown_with_all_that_it_says(tmp_path: Path) -> None:
    """Chip, memory, gears, tensors and parts stand in the tables."""
    path = save_om(
        tmp_path, (-1, 3, 640, 640), (-1, 84, 8400), dynamic_batch=(1, 2, 4), atc_version="8.0.RC2"
    )

    shown = as_text(inspect_file(path))

    assert "built for        Ascend310B4" in shown
    assert "built by         8.0.RC2" in shown
    assert "batches          1, 2, 4" in shown
    assert "images                    float  NCHW    ? x 3 x 640 x 640" in shown
    assert "hidden  ascend_mbatch_shape_data" in shown
    assert "4 x 84 x 8400" in shown
    assert "MODEL_INOUT_INFO" in shown
    assert "no NPU can run it" in shown


def test_the_document_has_plain_values(tmp_path: Path) -> None:
    """The same facts come as one JSON document, sizes as numbers of bytes."""
    path = save_om(tmp_path, (-1, 3, 8, 8), (-1, 10), dynamic_batch=(1, 2))

    document = json.loads(json.dumps(as_document(inspect_file(path))))

    assert document["kind"] == "om"
    assert document["soc_version"] == "Ascend310B4"
    assert document["dynamic_batch"] == [1, 2]
    assert document["inputs"][0]["dims"] == [-1, 3, 8, 8]
    assert document["inputs"][0]["size_bytes"] == 2 * 3 * 8 * 8 * 4
    assert [each["hidden"] for each in document["inputs"]] == [False, True]
    assert document["size_bytes"] == path.stat().st_size
    assert [each["kind"] for each in document["partitions"]][-1] == "WEIGHTS"


def test_an_onnx_file_is_shown_with_what_it_declares(tmp_path: Path) -> None:
    """Free axes are question marks, an undeclared shape is unknown."""
    path = save_onnx(tmp_path, ("n", 3, 8, "w"), None, metadata={"task": "detect"})

    model = inspect_file(path)

    assert "? x 3 x 8 x ?" in as_text(model)
    assert "unknown" in as_text(model)
    assert "metadata task  detect" in as_text(model)
    assert as_document(model)["outputs"][0]["dims"] is None
    assert as_document(model)["opset"] == 17


def test_what_a_stranger_wrote_cannot_steer_the_terminal(tmp_path: Path) -> None:
    """Control characters of a name or a command are replaced."""
    path = save_om(tmp_path, (1, 3, 8, 8), (1, 10), atc_cmdline="atc \x1b[2J")

    assert "\x1b" not in as_text(inspect_file(path))


def test_an_om_is_known_by_its_bytes_and_refused_by_its_name(tmp_path: Path) -> None:
    """The content decides; a file called .om that is none is told so."""
    om = save_om(tmp_path, (1, 3, 8, 8), (1, 10))
    renamed = om.rename(tmp_path / "model.bin")
    wrong = tmp_path / "wrong.om"
    wrong.write_bytes(b"PK\x03\x04")

    assert inspect_file(renamed).om is not None
    with pytest.raises(InvalidSettings, match=r"wrong\.om: the file is not an OM.*unpack it first"):
        inspect_file(wrong)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """A missing file, a folder and a foreign file are each refused with their path."""
    foreign = tmp_path / "notes.txt"
    foreign.write_text("hello")

    for path in (tmp_path / "absent.om", tmp_path, foreign):
        with pytest.raises(InvalidSettings, match=str(path)):
            inspect_file(path)


def test_a_target_is_checked_where_one_is_named(tmp_path: Path) -> None:
    """Another chip or an older CANN is refused with the file's name; silence checks nothing."""
    model = inspect_file(save_om(tmp_path, (1, 3, 8, 8), (1, 10), atc_version="8.1.RC1"))

    check_target(model, soc="", cann_version="")
    check_target(model, soc="310B4", cann_version="8.1.RC1")
    with pytest.raises(InvalidSettings, match=r"net\.om: the model was built for Ascend310B4"):
        check_target(model, soc="Ascend310B1", cann_version="")
    with pytest.raises(InvalidSettings, match=r"net\.om: the model was built by CANN 8\.1\.RC1"):
        check_target(model, soc="", cann_version="8.0.0")


def test_the_command_prints_the_document(tmp_path: Path) -> None:
    """``gw models inspect --json`` gives JSON alone."""
    path = save_om(tmp_path, (1, 3, 8, 8), (1, 10))

    result = CliRunner().invoke(cli, ["models", "inspect", str(path), "--json"])

    assert result.exit_code == 0
    assert json.loads(result.stdout)["name"] == "net"
