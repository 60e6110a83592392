"""One blocking connection to Redis, for the two exchanges that a client library has no words for.

A snapshot comes by ``SYNC``, whose answer is no RESP value; the rest is plain RESP2.
"""

from __future__ import annotations

import io
import socket
import ssl
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from redis.connection import SSLConnection, parse_url

from pipeline.errors import InvalidSettings, Unavailable
from pipeline.settings import RedisSettings

#: A server that forks, or loads, says nothing for a while.
PATIENCE_S: Final = 60.0

_BUFFER_BYTES: Final = 1 << 16

Answer = str | int | None | list["Answer"]


class Refused(InvalidSettings):
    """The server answered a command with an error."""


class Wire:
    """A connection, logged in. Raises Unavailable where the server is away."""

    def __init__(self, settings: RedisSettings) -> None:
        where = parse_url(settings.url)  # type: ignore[no-untyped-call]
        if "path" in where:
            raise InvalidSettings(
                "a backup speaks to Redis by TCP: name its address in GW_REDIS_URL"
            )
        host, port = str(where.get("host", "localhost")), int(where.get("port", 6379))
        password = settings.password or str(where.get("password", ""))
        try:
            plain = socket.create_connection((host, port), timeout=settings.timeout_s)
            plain.settimeout(PATIENCE_S)
            self.socket = plain
            if where.get("connection_class") is SSLConnection:
                context = ssl.create_default_context(cafile=where.get("ssl_ca_certs"))
                self.socket = context.wrap_socket(plain, server_hostname=host)
        except OSError as error:
            raise Unavailable("the job store is not available right now") from error
        self._reader = io.BufferedReader(self.socket.makefile("rb", buffering=0), _BUFFER_BYTES)
        if password:
            self.ask("AUTH", str(where.get("username") or "default"), password)

    def __enter__(self) -> Self:
        """Use the connection."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        with suppress(OSError):
            self._reader.close()
            self.socket.close()

    def ask(self, *words: str) -> Answer:
        """Send a command and give its answer; raises Refused, or Unavailable."""
        self.send(*words)
        return self._answer()

    def send(self, *words: str) -> None:
        """Send a command; the caller reads what comes."""
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in map(str.encode, words)]
        try:
            self.socket.sendall(b"".join(parts))
        except OSError as error:
            raise Unavailable("the job store went away") from error

    def line(self) -> bytes:
        """Read one line, without its end; raises Refused if it is an error."""
        try:
            line = self._reader.readline(_BUFFER_BYTES)
        except OSError as error:
            raise Unavailable("the job store went away, or took too long") from error
        if not line.endswith(b"\n"):
            raise Unavailable("the job store went away")
        if line.startswith(b"-"):
            raise Refused(f"the job store refuses: {line[1:].decode(errors='replace').strip()}")
        return line.rstrip(b"\r\n")

    def some(self, limit: int) -> bytes:
        """Read what is there, *limit* bytes at most and one at least."""
        try:
            data = self._reader.read1(limit)
        except OSError as error:
            raise Unavailable("the job store went away, or took too long") from error
        if not data:
            raise Unavailable("the job store went away")
        return data

    def _exactly(self, size: int) -> bytes:
        parts, left = [], size
        while left:
            parts.append(self.some(left))
            left -= len(parts[-1])
        return b"".join(parts)

    def _answer(self) -> Answer:
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self._exactly(size + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return [self._answer() for _ in range(max(0, int(rest)))]
        raise Unavailable("the job store does not speak RESP")


def info(wire: Wire, section: str) -> dict[str, str]:
    """Ask for a section of the server's facts."""
    lines = str(wire.ask("INFO", section)).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def server_of(wire: Wire) -> tuple[str, str]:
    """Ask which product the server is (``redis`` or ``valkey``), and its version."""
    facts = info(wire, "server")
    if facts.get("server_name") == "valkey":
        return "valkey", facts.get("valkey_version", "0.0.0")
    return "redis", facts.get("redis_version", "0.0.0")
