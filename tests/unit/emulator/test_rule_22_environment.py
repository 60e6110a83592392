"""Rule 22: what a container lacks is found when acl begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.emulator.board import Board, part

COMM = {"101": "dmp_daemon", "102": "slogd"}


def host(root: Path) -> Path:
    """Make a folder that looks like the inside of a right container."""
    environment = part("environment")
    for name in environment._DEVICES:
        (root / "dev" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "dev" / name).touch(0o660)
    for place in environment._PLACES:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).touch()
    for number, name in COMM.items():
        (root / "proc" / number).mkdir(parents=True)
        (root / "proc" / number / "comm").write_text(f"{name}\n", "utf-8")
    return root


def test_rule_22_a_right_container_begins(board: Board, tmp_path: Path) -> None:
    """With devices, mounts and daemons there, init works."""
    acl = board.use(environment_root=str(host(tmp_path / "root")))
    assert acl.init() == 0


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        ("dev/davinci0", "device /dev/davinci0"),
        ("dev/dvpp_cmdlist", "device /dev/dvpp_cmdlist"),
        ("usr/lib64/libdcmi.so", "mount /usr/lib64/libdcmi.so"),
        ("usr/local/Ascend/driver/lib64", "mount /usr/local/Ascend/driver/lib64"),
        ("proc/101/comm", "daemon dmp_daemon"),
        ("proc/102/comm", "daemon slogd"),
    ],
)
def test_rule_22_what_is_missing_is_named(
    board: Board, tmp_path: Path, lacking: str, told: str
) -> None:
    """Init fails and names what the compose file forgot."""
    root = host(tmp_path / "root")
    (root / lacking).unlink()
    acl = board.use(environment_root=str(root))
    assert acl.init() == 507899
    assert told in acl.get_recent_err_msg()


def test_rule_22_the_device_must_be_accessible(board: Board, tmp_path: Path) -> None:
    """A node that neither owner nor group may read is as good as absent."""
    root = host(tmp_path / "root")
    (root / "dev/davinci0").chmod(0)
    acl = board.use(environment_root=str(root))
    assert acl.init() == 507899
    assert "uid 1000" in acl.get_recent_err_msg()


def test_rule_22_nothing_is_checked_unless_asked(board: Board) -> None:
    """Out of the box a laptop is good enough."""
    assert board.use().init() == 0
