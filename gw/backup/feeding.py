"""Puts a snapshot into a running server over the network, as a primary does into its replica.

A server loads a whole snapshot from outside in one way only: it is told to follow a primary. So we
are one, for as long as it takes: it connects to us, asks for all, gets the snapshot, and is told to
follow nobody again. It empties itself first, and writes what it got into its append-only file.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import IO, Final, Self

from gw.backup.wire import Wire, info
from pipeline.errors import Unavailable

_CHUNK_BYTES: Final = 1 << 20
_WORDS_MAX: Final = 64
_WORD_MAX_BYTES: Final = 4096
_ACCEPT_S: Final = 0.2
_POLL_S: Final = 0.1


class Primary:
    """A primary of one snapshot, for the one server whose address is *replica*."""

    def __init__(self, address: str, replica: str, store: IO[bytes], size: int) -> None:
        self._replica = replica
        self._store, self._size = store, size
        self._stop = threading.Event()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, 0), family=family)
        self._listener.settimeout(_ACCEPT_S)
        self.address, self.port = self._listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._run, name="primary", daemon=True)

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and let go of the replica."""
        self._stop.set()
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            with suppress(OSError, ValueError):
                connection, peer = self._listener.accept()
                with connection:
                    # All secrets are in the snapshot: nobody else is given it.
                    if peer[0] == self._replica:
                        connection.settimeout(_ACCEPT_S)
                        self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        buffer = b""
        while not self._stop.is_set():
            with suppress(TimeoutError):
                data = connection.recv(_WORD_MAX_BYTES)
                if not data:
                    return
                buffer += data
            while (parsed := parse_command(buffer)) is not None:
                words, buffer = parsed
                self._answer(connection, words)

    def _answer(self, connection: socket.socket, words: list[bytes]) -> None:
        name = words[0].upper() if words else b""
        if name in {b"PSYNC", b"SYNC"}:
            connection.settimeout(None)
            if name == b"PSYNC":
                connection.sendall(b"+FULLRESYNC %s 0\r\n" % secrets.token_hex(20).encode())
            connection.sendall(b"$%d\r\n" % self._size)
            self._store.seek(0)
            while chunk := self._store.read(_CHUNK_BYTES):
                connection.sendall(chunk)
            connection.settimeout(_ACCEPT_S)
        elif name == b"PING":
            connection.sendall(b"+PONG\r\n")
        # It tells every second how far it has come, and waits for no answer.
        elif not (name == b"REPLCONF" and len(words) > 1 and words[1].upper() == b"ACK"):
            connection.sendall(b"+OK\r\n")


def parse_command(buffer: bytes) -> tuple[list[bytes], bytes] | None:
    r"""Take the first command off *buffer*; None while it is not all there; raises ValueError.

    >>> parse_command(b"*1\r\n$4\r\nPING\r\n*1")
    ([b'PING'], b'*1')
    """
    head, separator, rest = buffer.partition(b"\r\n")
    if not separator:
        return None
    if head[:1] != b"*" or not 0 < int(head[1:]) <= _WORDS_MAX:
        raise ValueError("not a command")
    words = []
    for _ in range(int(head[1:])):
        length, separator, rest = rest.partition(b"\r\n")
        if not separator:
            return None
        size = int(length[1:])
        if length[:1] != b"$" or not 0 <= size <= _WORD_MAX_BYTES:
            raise ValueError("not a command")
        if len(rest) < size + 2:
            return None
        words.append(rest[:size])
        rest = rest[size + 2 :]
    return words, rest


def feed_store(wire: Wire, store: IO[bytes], size: int, *, timeout_s: float) -> None:
    """Replace all that the server holds by *store*; on return it is in the server's own file.

    Raises InvalidSettings where the user may not do this, Unavailable if it does not come to pass:
    then the server may be empty, and the same may be done again.
    """
    deadline_s = time.monotonic() + timeout_s
    ours, theirs = wire.socket.getsockname()[0], wire.socket.getpeername()[0]
    with Primary(ours, theirs, store, size) as primary:
        wire.ask("REPLICAOF", str(primary.address), str(primary.port))
        try:
            _wait(wire, "replication", {"master_link_status": "up"}, deadline_s)
        finally:
            wire.ask("REPLICAOF", "NO", "ONE")
    if info(wire, "persistence").get("aof_enabled") == "1":
        written = {
            "aof_rewrite_in_progress": "0",
            "aof_rewrite_scheduled": "0",
            "aof_last_bgrewrite_status": "ok",
        }
        _wait(wire, "persistence", written, deadline_s)


def _wait(wire: Wire, section: str, wanted: dict[str, str], deadline_s: float) -> None:
    while True:
        facts = info(wire, section)
        if all(facts.get(name) == value for name, value in wanted.items()):
            return
        if time.monotonic() >= deadline_s:
            seen = ", ".join(f"{name} {facts.get(name)}" for name in wanted)
            raise Unavailable(f"the job store did not take the snapshot in time ({seen})")
        time.sleep(_POLL_S)
