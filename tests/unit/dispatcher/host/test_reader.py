"""Reading a host below a root of the test's making."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dispatcher.host.__main__ import main
from dispatcher.host.finding import Severity
from dispatcher.host.npu_checks import check_npu
from dispatcher.host.reader import cann_version, read_host
from dispatcher.host.snapshot import Memory, Software
from tests.unit.dispatcher.host.roots import NODES, make_root


def test_a_container_is_read_whole(tmp_path: Path) -> None:
    """Nodes, files, daemons, versions, user and memory are found where a board has them."""
    root = make_root(tmp_path)

    host = read_host(root=root, environ={"LD_LIBRARY_PATH": "/x", "SECRET": "s"})

    assert host.is_container
    assert set(host.nodes) == set(NODES)
    assert not host.nodes["davinci0"].is_device
    assert host.processes >= {"dmp_daemon", "slogd"}
    assert host.npu_user == (1000, 1000)
    assert (host.driver_version, host.firmware_version) == ("23.0.rc3", "7.1.0")
    assert host.cann == (
        Software(kind="nnrt", path="/usr/local/Ascend/nnrt/latest", version="7.0.RC1"),
    )
    assert host.memory == Memory(
        total_bytes=8_192_000_000, available_bytes=5_120_000_000, swap_bytes=0
    )
    assert host.environ == {"LD_LIBRARY_PATH": "/x"}
    assert cann_version(root) == "7.0.RC1"


def test_what_is_found_missing_is_exactly_what_was_removed(tmp_path: Path) -> None:
    """A root without one node and one mount gives these two, beside that its nodes are files."""
    root = make_root(tmp_path)
    (root / "dev/svm0").unlink()
    (root / "etc/hdcBasic.cfg").unlink()

    found = [
        each.found
        for each in check_npu(read_host(root=root, environ={}))
        if each.severity is Severity.ERROR and each.subject in {"device nodes", "driver files"}
    ]

    assert found[0] == "/dev/svm0 is missing"
    assert found[-1].startswith("/etc/hdcBasic.cfg is missing")
    assert len(found) == 2 + len(NODES) - 1


def test_an_empty_root_is_read_without_an_error(tmp_path: Path) -> None:
    """Where there is nothing, nothing is told; whatever cannot be read is left out."""
    host = read_host(root=tmp_path, environ={})

    assert (host.nodes, host.paths, host.processes, host.cann) == ({}, frozenset(), frozenset(), ())
    assert (host.memory, host.npu_user, host.driver_version) == (None, None, "")
    assert cann_version(tmp_path) == ""


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("23.0.rc3\n", "23.0.rc3"),
        ("# x\ndriver_version : 24.1\n", "24.1"),
        ("", ""),
        ("=\n:\n", ""),
    ],
)
def test_the_drivers_version_is_read_in_its_forms(tmp_path: Path, text: str, version: str) -> None:
    """Bare, with an equals sign, or with a colon."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/sys_version.conf").write_text(text)

    assert read_host(root=tmp_path, environ={}).driver_version == version


def test_a_folders_disk_is_read_with_its_mount_and_syncs(tmp_path: Path) -> None:
    """Options and kind come from the table of mounts; the measured file is gone afterwards."""
    root = make_root(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()

    (disk,) = read_host(
        root=root, environ={}, folders=(folder / "not-yet",), measure_sync=True
    ).disks

    assert disk.kind == "ext4"
    assert "barrier=0" in disk.options
    assert 0 < disk.free_bytes <= disk.total_bytes
    assert disk.sync_ms is not None
    assert disk.sync_ms > 0
    assert list(folder.iterdir()) == []


def test_the_module_checks_and_tells_by_its_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``python -m dispatcher.host`` names what is missing and exits with 1."""
    assert main(["--root", str(tmp_path)]) == 1
    assert "/dev/davinci0, /dev/davinci_manager, /dev/svm0, /dev/ts_aisle are missing" in (
        capsys.readouterr().out
    )
    assert main(["--root", str(tmp_path), "--json"]) == 1
    assert '"verdict": "error"' in capsys.readouterr().out


def test_this_machine_is_read() -> None:
    """The real root gives this process's ids, memory and a plausible clock."""
    host = read_host(environ=os.environ)

    assert host.uid == os.getuid()
    assert host.memory is not None
    assert host.now_unix_s > 1.7e9
