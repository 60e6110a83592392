"""Takes a snapshot of a running job store over its own connection: the answer to ``SYNC``.

The server forks, so the snapshot is one moment of all keys, and it goes out of the fork's memory
into the socket: no file of the server's is touched, and nothing here holds more than a buffer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import IO, Final

from gw.backup.wire import Refused, Wire, info
from pipeline.errors import InvalidSettings, Unavailable

_CHUNK_BYTES: Final = 1 << 16
_MARK: Final = b"$EOF:"
_MARK_BYTES: Final = 40
_POLL_S: Final = 0.1


def take_snapshot(
    wire: Wire, into: IO[bytes], *, on_begun: Callable[[], None], on_progress: Callable[[], None]
) -> int:
    """Write the snapshot, an RDB file, to *into*; give its length in bytes.

    *on_begun* is called when the moment of the snapshot is past. The connection is of no use after.
    Raises InvalidSettings where the user may not do this, Unavailable where the server goes away.
    """
    # A server may answer with a snapshot that it began for another replica, and so of before.
    while info(wire, "persistence").get("rdb_bgsave_in_progress") == "1":
        on_progress()
        time.sleep(_POLL_S)
    try:
        # Only the snapshot, and none of the changes that a replica would be sent after it.
        wire.ask("REPLCONF", "rdb-only", "1")
        wire.ask("REPLCONF", "capa", "eof")
        wire.send("SYNC")
        header = _header(wire, on_progress)
    except Refused as error:
        raise InvalidSettings(
            f"{error}; a backup takes a user that may use SYNC, such as `operator` of the"
            " containers' Redis"
        ) from error
    on_begun()
    if header.startswith(_MARK):
        length = _until_mark(wire, into, header[len(_MARK) :], on_progress)
    else:
        length = _counted(wire, into, int(header[1:]), on_progress)
    return length


def _header(wire: Wire, on_progress: Callable[[], None]) -> bytes:
    """Wait through the empty lines by which a server that is not ready says that it lives."""
    while not (line := wire.line()):
        on_progress()
    is_marked = line.startswith(_MARK) and len(line) == len(_MARK) + _MARK_BYTES
    if not is_marked and not (line.startswith(b"$") and line[1:].isdigit()):
        raise Unavailable("the job store does not answer SYNC with a snapshot")
    return line


def _until_mark(wire: Wire, into: IO[bytes], mark: bytes, on_progress: Callable[[], None]) -> int:
    """Write until *mark*, random bytes that the server chose and ends with."""
    length, tail = 0, b""
    while True:
        on_progress()
        tail += wire.some(_CHUNK_BYTES)
        if tail.endswith(mark):
            into.write(tail[: -len(mark)])
            return length + len(tail) - len(mark)
        into.write(tail[:-_MARK_BYTES])
        length += max(0, len(tail) - _MARK_BYTES)
        tail = tail[-_MARK_BYTES:]


def _counted(wire: Wire, into: IO[bytes], size: int, on_progress: Callable[[], None]) -> int:
    left = size
    while left:
        on_progress()
        chunk = wire.some(min(left, _CHUNK_BYTES))
        into.write(chunk)
        left -= len(chunk)
    return size
