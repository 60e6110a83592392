"""What the NPU needs of its host."""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher.host import wanted
from dispatcher.host.finding import Severity, worst
from dispatcher.host.npu_checks import check_npu, pairing, why_npu_fails
from dispatcher.host.snapshot import DeviceNode, Software
from tests.unit.dispatcher.host.roots import NODES, well

FOREIGN = {name: DeviceNode(uid=0, gid=0, mode=0o666) for name in wanted.FOREIGN_NODES}


def wrong(**changes: Any) -> list[tuple[str, str]]:
    """Give severity and text of what is not well on a host with *changes*."""
    return [
        (each.severity.value, f"{each.found} -> {each.fix}")
        for each in check_npu(well(**changes))
        if each.severity is not Severity.OK
    ]


def without(*names: str) -> dict[str, DeviceNode]:
    """Give the nodes but for some."""
    return {name: node for name, node in NODES.items() if name not in names}


def test_a_host_that_has_everything_is_well() -> None:
    """Nothing is found but what is as it should be."""
    assert wrong() == []
    assert why_npu_fails(well()) == ""


@pytest.mark.parametrize("name", wanted.VITAL_NODES)
def test_a_missing_vital_node_is_an_error_by_its_name(name: str) -> None:
    """Each node without which no device opens is named, with how to pass it."""
    ((severity, text),) = wrong(nodes=without(name))

    assert severity == "error"
    assert f"/dev/{name} is missing -> pass --device /dev/{name}" in text
    assert why_npu_fails(well(nodes=without(name))) == f"/dev/{name} is missing"


@pytest.mark.parametrize("name", wanted.OTHER_NODES)
def test_a_missing_other_node_is_a_warning(name: str) -> None:
    """Without it models run, but not all else does."""
    ((severity, text),) = wrong(nodes=without(name))

    assert (severity, f"/dev/{name} is missing" in text) == ("warning", True)


def test_nodes_of_another_chip_are_told_apart() -> None:
    """A recipe for a card in a host is recognised by its nodes."""
    found = wrong(nodes=FOREIGN)

    assert any("/dev/devmm_svm, /dev/hisi_hdc are of another chip" in text for _, text in found)


def test_on_a_bare_host_the_driver_makes_what_is_missing() -> None:
    """Outside a container nobody is told to pass nodes or to mount files."""
    found = wrong(is_container=False, nodes={}, paths=frozenset())

    assert found
    assert not any("--device" in text or "-v " in text for _, text in found)


@pytest.mark.parametrize(
    ("changes", "can"),
    [
        ({"uid": 1000}, True),
        ({"uid": 0, "gids": frozenset({0})}, True),
        ({"uid": 1001, "gids": frozenset({1000})}, True),
        ({"uid": 1001, "gids": frozenset({1001})}, False),
    ],
)
def test_who_may_open_the_device_is_told(changes: dict[str, Any], can: bool) -> None:
    """The owner, its group and root may; others are told the uid, the group and the mode."""
    errors = [text for severity, text in wrong(**changes) if severity == "error"]

    assert (errors == []) is can
    assert (
        can or "uid 1001 may not open /dev/davinci0, which is 1000:1000 with mode 0660" in errors[0]
    )


@pytest.mark.parametrize("path", sorted(wanted.VITAL_PATHS))
def test_a_missing_mount_is_an_error_by_its_path(path: str) -> None:
    """Each of the driver's files is named, with the mount that brings it."""
    ((severity, text),) = wrong(paths=well().paths - {path})

    assert severity == "error"
    assert f"{path} is missing" in text
    assert f"-v {path}:{path}:ro" in text


def test_a_library_may_lie_in_one_of_two_places() -> None:
    """On openEuler and on Ubuntu it is found elsewhere; in neither it is a warning."""
    one, other = wanted.EITHER_PATHS["libyaml-0.so.2"]

    assert wrong(paths=well().paths - {one} | {other}) == []
    ((severity, text),) = wrong(paths=well().paths - {one})
    assert (severity, one in text, other in text) == ("warning", True, True)


def test_a_user_with_other_ids_is_an_error() -> None:
    """The commands that mend it are told."""
    ((severity, text),) = wrong(npu_user=(1003, 1003))

    assert severity == "error"
    assert "usermod -u 1000 HwHiAiUser and groupmod -g 1000" in text


def test_a_daemon_that_does_not_run_is_told_with_its_command() -> None:
    """In a container it must be started before gw."""
    ((severity, text),) = wrong(processes=frozenset({"slogd"}))

    assert (severity, "/var/dmp_daemon -I -M -U 8087" in text) == ("warning", True)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"LD_LIBRARY_PATH": "/a:/usr/local/Ascend/devlib"}, "for compiling only"),
        ({"ASCEND_VISIBLE_DEVICES": "0"}, "set ASCEND_ALLOW_LINK=True"),
    ],
)
def test_variables_that_break_it_are_found(environ: dict[str, str], words: str) -> None:
    """Stub libraries, and the Docker runtime's switch that a 310B needs."""
    assert any(words in text for _, text in wrong(environ=environ))


def test_missing_software_is_an_error() -> None:
    """Without pyACL or CANN nothing can start."""
    assert worst(check_npu(well(has_pyacl=False))) is Severity.ERROR
    assert worst(check_npu(well(cann=()))) is Severity.ERROR


def test_mixed_versions_of_cann_are_an_error() -> None:
    """Toolkit and NNRT of different versions are named."""
    mixed = (
        Software(kind="nnrt", path="/a", version="7.0.RC1"),
        Software(kind="ascend-toolkit", path="/b", version="8.1.RC1"),
    )
    ((severity, text),) = wrong(cann=mixed)

    assert severity == "error"
    assert "nnrt 7.0.RC1, ascend-toolkit 8.1.RC1" in text


@pytest.mark.parametrize(
    ("driver", "cann", "severity"),
    [
        ("23.0.rc3", "7.0.RC1", Severity.OK),
        ("23.0.RC1", "6.2.RC1", Severity.OK),
        ("23.0.rc2", "7.0.RC1", Severity.WARNING),
        ("25.2.0", "8.5.0", Severity.OK),
        ("25.2.3", "8.1.RC1", Severity.WARNING),
        ("24.1.rc3", "8.0.RC3", Severity.INFO),
        ("23.0.0", "7.0.0", Severity.INFO),
    ],
)
def test_a_driver_and_a_cann_belong_together_as_far_as_known(
    driver: str, cann: str, severity: Severity
) -> None:
    """Known pairs are told from wrong ones; of others nothing is claimed."""
    assert pairing(driver, cann).severity is severity
