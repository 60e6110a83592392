"""What operators tell dispatchers by way of the API."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from pipeline.access.keys import Scope
from pipeline.models.commands import CommandAnswer, ModelCommands
from pipeline.protocol import Keyspace
from tests.integration.webapp.running import Webapp, add_key
from webapp import model_schemas


async def test_a_command_is_pending_until_it_is_answered(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """It is stored at once, and its document tells what became of it."""
    answer = await webapp.http.post("/v1/models/echo/unload", json={"version": "2"})
    assert answer.status_code == 202
    document = model_schemas.CommandDocument.model_validate(answer.json())
    assert (document.command, document.version, document.state) == ("unload", "2", "pending")
    commands = ModelCommands(redis, keys)
    assert await commands.unloaded() == {"echo/2"}

    await commands.answer(document.id, CommandAnswer(instance="a", done=True))

    answer = await webapp.http.get(document.links.self)
    told = model_schemas.CommandDocument.model_validate(answer.json())
    assert (answer.status_code, told.state) == (200, "done")
    other = await webapp.http.get(document.links.self.replace("/echo/", "/other/"))
    assert other.status_code == 404
    missing = await webapp.http.get("/v1/models/echo/commands/nonsense")
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [({"versions": "2"}, "versions"), ({"version": 2}, "version"), ({"wait": 9999}, "wait")],
)
async def test_a_command_that_says_too_much_changes_nothing(
    webapp: Webapp, redis: Redis, keys: Keyspace, body: dict[str, object], field: str
) -> None:
    """An unknown field or a value past its bounds is named."""
    answer = await webapp.http.post("/v1/models/echo/unload", json=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert await ModelCommands(redis, keys).unloaded() == frozenset()


async def test_a_command_needs_its_scope(webapp: Webapp, redis: Redis, keys: Keyspace) -> None:
    """A key that may only submit is told what it lacks."""
    token = await add_key(redis, keys, tenant="acme", scopes=(Scope.SUBMIT,))
    headers = {"authorization": f"Bearer {token}"}
    for path in ("/v1/models/echo/load", "/v1/models/echo/reload"):
        answer = await webapp.http.post(path, headers=headers)
        assert answer.status_code == 403
