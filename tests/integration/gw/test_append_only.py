"""Files as power cuts leave them, with each real product that is at hand."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest

from gw import append_only
from gw.append_only import cut_torn_end
from gw.data_folder import DataFolder
from gw.server import ServerBinary
from pipeline.errors import InvalidSettings
from tests.integration.gw.test_server import Embedded, binary, folder

__all__ = ["binary", "folder"]

WRITES = 50
LATER = b"*3\r\n$3\r\nSET\r\n$5\r\nlater\r\n$1\r\nx\r\n"
HALF = b"*3\r\n$3\r\nSET\r\n$4\r\nha"

TORN: dict[str, Callable[[bytes], bytes]] = {
    "zeros": lambda whole: whole + bytes(4096),
    "zeros and a later command": lambda whole: whole + bytes(100) + LATER,
    "half a command": lambda whole: whole + HALF,
    "half a command and zeros": lambda whole: whole + HALF + bytes(900),
}


async def written(folder: DataFolder, binary: ServerBinary) -> Path:
    """Write some keys, and give the file that holds them."""
    async with Embedded(folder, binary) as server, server.client() as client:
        for number in range(WRITES):
            await client.set(f"key-{number}", number)
    return next((folder.redis / "appendonlydir").glob("*.incr.aof"))


@pytest.mark.parametrize("torn", sorted(TORN))
async def test_what_was_synced_is_there_after_a_torn_end(
    folder: DataFolder, binary: ServerBinary, torn: str
) -> None:
    """Everything before the torn end is read; the torn bytes are kept beside it."""
    path = await written(folder, binary)
    whole = path.read_bytes()
    path.write_bytes(TORN[torn](whole))

    kept = cut_torn_end(folder, binary)

    assert path.read_bytes() == whole
    assert kept is not None
    assert whole + kept.read_bytes() == TORN[torn](whole)
    async with Embedded(folder, binary) as server, server.client() as client:
        assert await client.dbsize() == WRITES


async def test_a_whole_file_is_left_alone(folder: DataFolder, binary: ServerBinary) -> None:
    """Nothing is cut where everything reads, nor where there is nothing yet."""
    assert cut_torn_end(folder, binary) is None
    path = await written(folder, binary)
    whole = path.read_bytes()

    assert cut_torn_end(folder, binary) is None
    assert path.read_bytes() == whole


async def test_a_running_servers_files_are_left_alone(
    folder: DataFolder, binary: ServerBinary
) -> None:
    """What looks torn may be a write under way as long as the lock is held."""
    path = await written(folder, binary)
    path.write_bytes(path.read_bytes() + HALF)
    with folder.redis_lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert cut_torn_end(folder, binary) is None
    assert cut_torn_end(folder, binary) is not None


async def test_more_than_a_power_cut_leaves_is_for_a_person(
    folder: DataFolder, binary: ServerBinary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the limit nothing is changed, and the sentence says where it stops to read."""
    monkeypatch.setattr(append_only, "TORN_MAX_BYTES", 100)
    path = await written(folder, binary)
    bad = path.read_bytes() + bytes(101)
    path.write_bytes(bad)

    with pytest.raises(InvalidSettings, match=f"from byte {len(bad) - 101} on"):
        cut_torn_end(folder, binary)
    assert path.read_bytes() == bad
