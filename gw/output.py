"""What the supervised processes say: cut into lines, kept in bounded files, shown on the terminal.

Nothing here ever blocks or fails the supervisor: a stalled terminal loses lines and says how many,
a full disk loses the file and not the service.
"""

from __future__ import annotations

import os
import queue
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

#: A line longer than this is cut: a process that never ends its line must not fill our memory.
MAX_LINE_BYTES: Final = 32 * 1024

_COLOURS: Final = (36, 33, 32, 35, 34, 96, 93, 92)


class LineCutter:
    """Cuts a stream of bytes into lines without their ends."""

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_line_bytes
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take *chunk* and give the lines that it completes; overlong ones come in pieces."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            yield from self._pieces(line.rstrip(b"\r"))
        while len(self._rest) > self._max_bytes:
            piece, self._rest = self._rest[: self._max_bytes], self._rest[self._max_bytes :]
            yield piece

    def finish(self) -> Iterator[bytes]:
        """Give what the stream ended with, if it did not end its last line."""
        rest, self._rest = self._rest, b""
        if rest:
            yield rest

    def _pieces(self, line: bytes) -> Iterator[bytes]:
        yield line[: self._max_bytes]
        for start in range(self._max_bytes, len(line), self._max_bytes):
            yield line[start : start + self._max_bytes]


class LineSink(Protocol):
    """Takes a line that *service* said. Never blocks, never raises."""

    def write(self, service: str, line: bytes) -> None:
        """Take one line without its end."""
        ...


class Tee:
    """Hands each line to several sinks."""

    def __init__(self, *sinks: LineSink) -> None:
        self._sinks = sinks

    def write(self, service: str, line: bytes) -> None:
        """Hand on one line."""
        for sink in self._sinks:
            sink.write(service, line)


class LogFiles:
    """One file per service, at most *max_bytes* each, with *keep* older ones beside it."""

    def __init__(
        self, path_of: Callable[[str], Path], *, max_bytes: int = 8 * 2**20, keep: int = 2
    ) -> None:
        self._path_of = path_of
        self._max_bytes = max_bytes
        self._keep = keep
        self._files: dict[str, _LogFile] = {}

    def write(self, service: str, line: bytes) -> None:
        """Append one line, turning the file over first if it would grow too large."""
        file = self._files.get(service)
        if file is None:
            file = _LogFile(self._path_of(service), max_bytes=self._max_bytes, keep=self._keep)
            self._files[service] = file
        file.append(line + b"\n")

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()


class _LogFile:
    def __init__(self, path: Path, *, max_bytes: int, keep: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._descriptor = -1
        self._size_bytes = 0

    def append(self, data: bytes) -> None:
        try:
            if self._descriptor < 0:
                self._open()
            if self._size_bytes and self._size_bytes + len(data) > self._max_bytes:
                self._turn_over()
            self._size_bytes += os.write(self._descriptor, data)
        except OSError:
            # A full disk or a removed folder: the line is lost, the next one tries again.
            self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        self._size_bytes = os.fstat(self._descriptor).st_size

    def _turn_over(self) -> None:
        self.close()
        for age in range(self._keep, 0, -1):
            older = self._aged(age - 1)
            if older.exists():
                older.replace(self._aged(age))
        self._path.unlink(missing_ok=True)
        self._open()

    def _aged(self, age: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{age}") if age else self._path


class Terminal:
    """Shows lines with their service's name in front, from a thread of its own.

    A terminal stopped with Ctrl-S or a slow pipe fills the queue; lines past it are dropped and
    counted. A closed pipe silences it.
    """

    def __init__(
        self, descriptor: int, *, width: int, colour: bool, max_waiting_lines: int = 5000
    ) -> None:
        self._descriptor = descriptor
        self._width = width
        self._colour = colour
        self._colour_of: dict[str, int] = {}
        self._waiting: queue.Queue[bytes | None] = queue.Queue(max_waiting_lines)
        self._dropped = 0
        self._thread = threading.Thread(target=self._show_all, name="terminal", daemon=True)
        self._thread.start()

    def write(self, service: str, line: bytes) -> None:
        """Queue one line."""
        try:
            if self._dropped:
                self._waiting.put_nowait(f"... {self._dropped} lines not shown\n".encode())
                self._dropped = 0
            self._waiting.put_nowait(self._prefixed(service, line))
        except queue.Full:
            self._dropped += 1

    def close(self, *, patience_s: float = 2.0) -> None:
        """Show what is queued, but wait for a stalled terminal no longer than *patience_s*."""
        try:
            self._waiting.put(None, timeout=patience_s)
        except queue.Full:
            return
        self._thread.join(patience_s)

    def _prefixed(self, service: str, line: bytes) -> bytes:
        name = f"{service:<{self._width}} |"
        if self._colour:
            number = self._colour_of.setdefault(service, len(self._colour_of))
            name = f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{name}\x1b[0m"
        return name.encode() + b" " + line + b"\n"

    def _show_all(self) -> None:
        # os.write and not sys.stdout: a daemon thread stuck inside a buffered writer would hold
        # its lock when the interpreter flushes it at exit.
        while (line := self._waiting.get()) is not None:
            try:
                self._show(line)
            except OSError:
                return

    def _show(self, line: bytes) -> None:
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:
                # Some program that shares the terminal has set it so.
                select.select([], [self._descriptor], [])


def own_line(text: str) -> bytes:
    """Give a line of the supervisor's own, with the time in front as the services' lines have."""
    return f"{time.strftime('%H:%M:%S')} {text}".encode()


def wants_colour(descriptor: int, environ: Mapping[str, str]) -> bool:
    """Tell whether to colour: on a terminal, unless NO_COLOR is set (no-color.org)."""
    return os.isatty(descriptor) and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def last_lines(path: Path, count: int) -> list[str]:
    """Read the last *count* lines of a log file; none if there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - count * 1024))
            content = file.read()
    except OSError:
        return []
    return content.decode("utf-8", "replace").splitlines()[-count:]
