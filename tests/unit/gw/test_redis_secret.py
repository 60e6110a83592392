"""The passwords of a stack in containers are made once, and Redis learns only their hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gw.redis_secret import CLIENT_SECRET, OPERATOR_SECRET, USERS, main, make_secrets, users_text


def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Give two empty folders."""
    client, server = tmp_path / "client", tmp_path / "server"
    client.mkdir()
    server.mkdir()
    return client, server


def test_the_passwords_are_random_and_readable_by_the_group_alone(tmp_path: Path) -> None:
    """Two passwords of 43 characters and the list of users: the group reads, others do not."""
    client, server = folders(tmp_path)

    make_secrets(client, server)

    passwords = {(client / CLIENT_SECRET).read_text(), (server / OPERATOR_SECRET).read_text()}
    assert {len(each.strip()) for each in passwords} == {43}
    assert len(passwords) == 2
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*/*")} == {0o640}


def test_a_second_start_changes_no_password(tmp_path: Path) -> None:
    """What exists stays; a list of users that was lost is written again, the same."""
    client, server = folders(tmp_path)
    make_secrets(client, server)
    before = {path.name: path.read_text() for path in tmp_path.glob("*/*")}
    (server / USERS).unlink()

    main([str(client), str(server)])

    assert {path.name: path.read_text() for path in tmp_path.glob("*/*")} == before


def test_what_a_crash_left_half_written_is_written_anew(tmp_path: Path) -> None:
    """A part of a password is never taken for one."""
    client, server = folders(tmp_path)
    (client / CLIENT_SECRET).with_suffix(".part").write_text("ab")

    make_secrets(client, server)

    assert len((client / CLIENT_SECRET).read_text().strip()) == 43


def test_redis_learns_hashes_and_bounds() -> None:
    """No password stands in the list, and the services' user may not administer the server."""
    default, operator = users_text("one", "two").splitlines()

    assert hashlib.sha256(b"one").hexdigest() in default
    assert hashlib.sha256(b"two").hexdigest() in operator
    assert "-@admin" in default
    assert not {"one", "two"} & set(default.split() + operator.split())
