"""The passwords of a stack in containers, made once, before its Redis starts.

``python -m gw.redis_secret CLIENT_FOLDER SERVER_FOLDER`` writes the services' password for them to
read, and for Redis the list of its users, with hashes only. What exists stays as it is, so that a
second start changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

#: What the services log in with; they name no user.
CLIENT_SECRET: Final = "redis-password"  # noqa: S105  # a file's name

#: What a person logs in with, as the user ``operator``, from inside the container of Redis.
OPERATOR_SECRET: Final = "operator-password"  # noqa: S105  # a file's name

USERS: Final = "users.acl"

#: Redis runs as another user of the same group: it may read, nobody else may.
_GROUP_READS: Final = 0o640

_SECRET_BYTES: Final = 32


def users_text(client_password: str, operator_password: str) -> str:
    """Write the users of Redis: the services may do their work, the operator everything.

    The services can neither empty nor reconfigure the server, nor send its data elsewhere.
    ``client list`` is how an RQ worker finds its own address.
    """
    services = "+@all -@admin -flushall -flushdb -swapdb -migrate -restore +client|list"
    return (
        f"user default on #{_sha256(client_password)} ~* &* {services}\n"
        f"user operator on #{_sha256(operator_password)} ~* &* +@all\n"
    )


def make_secrets(client_folder: Path, server_folder: Path) -> None:
    """Make what is missing, and write the list of users to fit."""
    client_password = _kept_or_made(client_folder / CLIENT_SECRET)
    operator_password = _kept_or_made(server_folder / OPERATOR_SECRET)
    _write(server_folder / USERS, users_text(client_password, operator_password))


def _kept_or_made(path: Path) -> str:
    if not path.exists():
        _write(path, secrets.token_urlsafe(_SECRET_BYTES) + "\n")
    return path.read_text("ascii").strip()


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all: a crash in between must not leave half a password."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _GROUP_READS)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), _GROUP_READS)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _sha256(password: str) -> str:
    return hashlib.sha256(password.encode("ascii")).hexdigest()


def main(arguments: Sequence[str]) -> None:
    """Make the secrets in the two folders that the command line names."""
    client_folder, server_folder = arguments
    make_secrets(Path(client_folder), Path(server_folder))


if __name__ == "__main__":
    main(sys.argv[1:])
