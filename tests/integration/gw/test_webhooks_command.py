"""``gw webhooks`` against a platform's Redis, with a notifier that sends the example."""

from __future__ import annotations

import asyncio
import json

import pytest
from click.testing import CliRunner, Result
from redis.asyncio import Redis

from gw.commands.webhooks import command
from pipeline.protocol import Keyspace
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.integration.notifier.site import Site


async def run(*arguments: str) -> Result:
    """Run the command in a thread, as it has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, command, list(arguments))


async def test_an_endpoint_from_its_registration_to_its_removal(
    redis_url: str, redis: Redis, keys: Keyspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Added with events it is listed, gets a signed example, and is gone when removed."""
    monkeypatch.setenv("GW_REDIS_URL", redis_url)
    monkeypatch.setenv("GW_REDIS_PREFIX", keys.prefix)
    async with WebhookReceiver() as receiver, Site(redis, keys).notifier([receiver]):
        added = await run("add", receiver.url("200"), "--event", "job.*", "--event", "*")
        endpoint_id, secret = added.output.split()[:2]
        assert secret.startswith("whsec_")

        listed = json.loads((await run("list", "--json")).output)
        assert [each["endpoint_id"] for each in listed] == [endpoint_id]
        assert listed[0]["event_types"] == ["job.*", "*"]
        assert (listed[0]["enabled"], listed[0]["failures"]) == (True, 0)

        good = await run("test", endpoint_id)
        receiver.script.append("500")
        bad = await run("test", endpoint_id, "--json")

        assert good.exit_code == 0
        assert "< 200 after" in good.output
        assert receiver.requests[0].headers["webhook-signature"] in good.output
        assert bad.exit_code == 1
        assert json.loads(bad.output)["answer"]["status"] == 500
        assert (await run("remove", endpoint_id)).exit_code == 0
        assert (await run("remove", endpoint_id)).exit_code != 0
        assert await redis.hgetall(keys.subscribed("default")) == {}
