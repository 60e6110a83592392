"""``gw models`` beside a dispatcher that runs: what it lists, does and refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis.asyncio import Redis

from gw.commands.models import command
from pipeline.models.catalogue import Catalogue
from pipeline.models.entry import ModelEntry
from pipeline.protocol import Keyspace
from tests.builders_onnx import save_mean_model
from tests.integration.dispatcher.station import Station, picture
from tests.waiting import wait_until


@pytest.fixture
def station(
    redis: Redis, keys: Keyspace, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Station]:
    """Give a station whose Redis the command finds."""
    monkeypatch.setenv("GW_REDIS_URL", redis_url)
    monkeypatch.setenv("GW_REDIS_PREFIX", keys.prefix)
    station = Station(redis, keys, redis_url, tmp_path)
    yield station
    station.close()


async def run(*arguments: str) -> Result:
    """Run the command in a thread, as it has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, command, list(arguments))


async def offers(station: Station, *versions: str) -> None:
    """Wait until the catalogue offers these versions of ``echo``."""

    async def are_offered() -> ModelEntry | None:
        entry = (await Catalogue(station.redis, station.keys).models()).get("echo")
        return entry if entry is not None and entry.versions == versions else None

    await wait_until(are_offered, timeout_s=20)


async def states() -> dict[str, Any]:
    """Give each version's state as ``gw models list --json`` tells it."""
    (entry,) = json.loads((await run("list", "--json")).output)
    return {each["version"]: each["state"] for each in entry["details"]}


async def test_a_running_model_is_listed_unloaded_loaded_and_reloaded(station: Station) -> None:
    """Each command is answered by the dispatcher, and the list shows what it did."""
    async with station.dispatcher(instance="box-1", lifecycle={"watch": "explicit"}):
        await offers(station, "1")
        await station.through(await station.submit(*[picture()] * 3))

        unloaded = await run("unload", "echo")
        assert (unloaded.exit_code, unloaded.output) == (0, "box-1: done\n")
        assert await states() == {"1": "available"}

        loaded = await run("load", "echo")
        assert (loaded.exit_code, loaded.output) == (0, "box-1: done\n")
        assert await states() == {"1": "loaded"}

        save_mean_model(station.models / "echo" / "2" / "model.onnx", side_px=8)
        assert (await run("reload", "echo")).exit_code == 0
        await offers(station, "2", "1")
        table = (await run("list")).output
        assert "2 (default)" in table
        assert "box-1" in table

        refused = await run("load", "nothing")
        assert refused.exit_code == 1
        assert "box-1: nothing is not offered here" in refused.output


async def test_a_command_without_a_dispatcher_waits_for_one(station: Station) -> None:
    """It is told that nobody answered, and the first dispatcher to start carries it out."""
    early = await run("unload", "echo", "--wait", "0")

    assert early.exit_code == 1
    assert "no dispatcher is running" in early.output
    async with station.dispatcher():

        async def is_unloaded() -> bool:
            entry = (await Catalogue(station.redis, station.keys).models()).get("echo")
            return entry is not None and "it is unloaded" in entry.reason

        await wait_until(is_unloaded, timeout_s=20)


async def test_a_self_test_is_written_run_and_failed(station: Station) -> None:
    """What the present file answers is written down; a file that answers otherwise is caught."""
    folder = station.models / "echo" / "selftest"
    folder.mkdir()
    (folder / "red.png").write_bytes(picture(200, 0, 0))
    models = ("--models", str(station.models))

    written = await run("selftest", "echo", "--write", *models)
    assert written.exit_code == 0, written.output
    assert "red" in written.output
    assert "passed" in written.output
    assert (await run("selftest", "echo", *models)).exit_code == 0

    (folder / "red.png").write_bytes(picture(0, 200, 0))
    failed = await run("selftest", "echo", *models)
    assert failed.exit_code == 1
    assert "passed" not in failed.output
    assert (await run("selftest", "nothing", *models)).exit_code != 0
