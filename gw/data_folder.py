"""Where the embedded stack keeps things: the one place that knows the names in the data folder."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InvalidSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """The data folder of one stack. *root* is absolute."""

    root: Path

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> DataFolder:
        """Name the folder at *path*, which need not exist yet."""
        return cls(root=Path(path).expanduser().resolve())

    @property
    def run(self) -> Path:
        """What is true only while the stack runs: lock, state, generated configuration."""
        return self.root / "run"

    @property
    def lock(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.run / "lock"

    @property
    def state(self) -> Path:
        """What the supervisor tells other commands about its processes."""
        return self.run / "stack.json"

    @property
    def redis(self) -> Path:
        """The append-only files."""
        return self.root / "redis"

    @property
    def redis_lock(self) -> Path:
        """Held by the Redis-compatible server itself, whoever started it."""
        return self.redis / "lock"

    @property
    def redis_origin(self) -> Path:
        """Which server wrote the append-only files last."""
        return self.redis / "written-by"

    @property
    def redis_config(self) -> Path:
        """The generated server configuration; holds the password, so mode 0600."""
        return self.run / "redis.conf"

    @property
    def redis_secret(self) -> Path:
        """The generated server password, mode 0600."""
        return self.root / "redis-secret"

    @property
    def api_key(self) -> Path:
        """The first API key, mode 0600."""
        return self.root / "api-key"

    @property
    def logs(self) -> Path:
        """One rotated log per service."""
        return self.root / "log"

    def log_of(self, service: str) -> Path:
        """Name the log file of *service*."""
        return self.logs / f"{service}.log"

    def create(self) -> None:
        """Make the folders, readable by their owner only. Idempotent.

        Raises InvalidSettings where the file system says no.
        """
        try:
            for folder in (self.root, self.run, self.redis, self.logs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidSettings(
                f"the data folder {self.root} cannot be used: {error.strerror}"
            ) from error


def write_private(path: Path, text: str) -> None:
    """Put *text* at *path* with mode 0600, durably and whole: a reader never sees half of it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename inside *folder* survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def secret_at(path: Path) -> str:
    """Read the secret at *path*; the first call makes one of 256 random bits."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        text = secrets.token_urlsafe(32)
        write_private(path, text + "\n")
    if not text:
        raise InvalidSettings(f"{path} is empty; remove it and a new secret is made at next start")
    return text
