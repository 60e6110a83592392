"""The start script of Redis, with files as power cuts leave them and a real server's checker."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gw.data_folder import DataFolder
from gw.server import ServerBinary
from tests.integration.gw.test_append_only import TORN, WRITES, written
from tests.integration.gw.test_server import Embedded, binary, folder

__all__ = ["binary", "folder"]

SCRIPT = Path(__file__).parents[3] / "deploy" / "redis-start.sh"


def start(folder: DataFolder, binary: ServerBinary) -> subprocess.CompletedProcess[str]:
    """Run the script as the container does, with a command that only says that it was reached."""
    # The program looks at the name that it is called by.
    programs = folder.root / "programs"
    programs.mkdir(exist_ok=True)
    checker = programs / "redis-check-aof"
    checker.unlink(missing_ok=True)
    checker.symlink_to(binary.path)
    return subprocess.run(
        ["sh", str(SCRIPT), str(folder.redis), "echo", "reached"],
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("torn", sorted(TORN))
async def test_a_torn_end_is_cut_off_and_kept(
    folder: DataFolder, binary: ServerBinary, torn: str
) -> None:
    """What reads stays, what does not is kept beside it, and the server then has every write."""
    path = await written(folder, binary)
    whole = path.read_bytes()
    path.write_bytes(TORN[torn](whole))

    answer = start(folder, binary)

    assert answer.stdout == "reached\n", answer.stderr
    kept = list(path.parent.glob(f"{path.name}.torn-*"))
    assert len(kept) == 1
    assert len(kept[0].name.rpartition("-")[2]) == len("1700000000000")
    assert path.read_bytes() == whole
    assert whole + kept[0].read_bytes() == TORN[torn](whole)
    async with Embedded(folder, binary) as server, server.client() as client:
        assert await client.dbsize() == WRITES


async def test_a_whole_file_is_left_alone(folder: DataFolder, binary: ServerBinary) -> None:
    """Nothing is cut where everything reads, nor where there is nothing yet."""
    assert start(folder, binary).stdout == "reached\n"
    path = await written(folder, binary)
    whole = path.read_bytes()

    assert start(folder, binary).stdout == "reached\n"
    assert path.read_bytes() == whole
    assert not list(path.parent.glob("*.torn-*"))


async def test_more_than_a_power_cut_leaves_is_for_a_person(
    folder: DataFolder, binary: ServerBinary
) -> None:
    """Where more than 64 MB are bad nothing is changed and nothing starts; a sentence says why."""
    path = await written(folder, binary)
    good_bytes = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(good_bytes + (64 << 20) + 1)

    answer = start(folder, binary)

    assert answer.returncode == 1
    assert answer.stdout == ""
    assert f"does not read from byte {good_bytes} on" in answer.stderr
    assert path.stat().st_size == good_bytes + (64 << 20) + 1
