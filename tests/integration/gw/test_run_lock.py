"""The lock on a data folder, between real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gw.data_folder import DataFolder
from gw.down import stop_stack
from gw.run_lock import RunLock, holder_of, start_mark
from pipeline.errors import InvalidSettings, Unavailable

_HOLD = """
import sys, signal
from pathlib import Path
from gw.run_lock import RunLock
if len(sys.argv) > 2:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    signal.pause()
"""


@contextmanager
def _holding(path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path), *arguments], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """Give a data folder."""
    folder = DataFolder.at(tmp_path)
    folder.create()
    return folder


def test_a_second_holder_is_refused_with_a_sentence(folder: DataFolder) -> None:
    """Who comes second is told who was first and how to stop it."""
    with (
        _holding(folder.lock) as first,
        pytest.raises(InvalidSettings) as refusal,
        RunLock(folder.lock),
    ):
        pytest.fail("two holders")

    assert f"(process {first.pid})" in str(refusal.value)
    assert "`gw down` stops it" in str(refusal.value)


def test_names_the_holder(folder: DataFolder) -> None:
    """A probe names the process that holds the lock, and nobody when nobody does."""
    assert holder_of(folder.lock) is None

    with _holding(folder.lock) as process:
        holder = holder_of(folder.lock)

    assert holder is not None
    assert holder.pid == process.pid


def test_a_killed_holder_holds_nothing(folder: DataFolder) -> None:
    """The pid that a killed holder left in the file is not believed, and the lock is free."""
    with _holding(folder.lock) as process:
        process.kill()
        process.wait(10)

        assert str(process.pid) in folder.lock.read_text()
        assert holder_of(folder.lock) is None
        with RunLock(folder.lock):
            holder = holder_of(folder.lock)
            assert holder is not None
            assert holder.pid == os.getpid()


def test_a_pid_that_changed_hands_is_not_believed(folder: DataFolder) -> None:
    """A held lock whose file names a process of another start time yields no name to signal."""
    with _holding(folder.lock):
        folder.lock.write_text(f"{os.getpid()} 1\n")

        with pytest.raises(InvalidSettings, match="does not say its pid"):
            holder_of(folder.lock)


def test_a_probe_does_not_stand_in_the_way(folder: DataFolder) -> None:
    """Somebody asking at the same moment does not make a start fail."""
    probes = [holder_of(folder.lock) for _ in range(3)]
    with RunLock(folder.lock):
        pass

    assert probes == [None, None, None]


def test_the_start_mark_is_the_process_own() -> None:
    """Two processes alive at once differ by pid or mark; a pid without process has none."""
    assert start_mark(os.getpid()) == start_mark(os.getpid()) != ""
    assert start_mark(2**22 + 1) == ""


def test_down_ends_the_holder_and_waits(folder: DataFolder) -> None:
    """Stopping signals the holder and returns when the lock is free; again, it is no error."""
    with _holding(folder.lock) as process:
        assert stop_stack(folder, timeout_s=10)

        assert process.wait(10) == -15
        assert not stop_stack(folder, timeout_s=10)


def test_down_does_not_wait_for_ever(folder: DataFolder) -> None:
    """A holder that ignores the signal is reported after the deadline, with what to do next."""
    with _holding(folder.lock, "deaf") as process:
        with pytest.raises(Unavailable, match=r"did not stop within 0\.3 s.*gw down --now"):
            stop_stack(folder, timeout_s=0.3)

        assert process.poll() is None
