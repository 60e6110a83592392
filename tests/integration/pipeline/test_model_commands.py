"""Commands and costs in Redis: read by every dispatcher, answered once, remembered."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from pipeline.models.commands import CommandAnswer, CommandKind, ModelCommand, ModelCommands
from pipeline.models.learned_costs import COSTS_MAX, CostBook, LearnedCost, cost_key
from pipeline.protocol import Keyspace


def make_command(kind: CommandKind = CommandKind.LOAD, **changes: Any) -> ModelCommand:
    """Make a command about the model ``echo``."""
    defaults: dict[str, Any] = {
        "command_id": "cmd_1",
        "command": kind,
        "model": "echo",
        "asked_unix_ms": 1,
        "until_unix_ms": 1000,
    }
    return ModelCommand(**(defaults | changes))


async def test_every_reader_sees_every_command(redis: Redis, keys: Keyspace) -> None:
    """From the beginning or behind an entry; one that nobody can read is passed over."""
    commands = ModelCommands(redis, keys)
    first, second = make_command(), make_command(command_id="cmd_2", version="3")
    await commands.add(first)
    await redis.xadd(keys.model_commands, {"kind": "nonsense"})
    await commands.add(second)

    rows = await commands.read(after="0", block_ms=10)
    assert [command for _, command in rows] == [first, None, second]
    assert [command for _, command in await commands.read(after=rows[0][0], block_ms=10)] == [
        None,
        second,
    ]
    assert await commands.read(after=rows[-1][0], block_ms=10) == []


async def test_answers_are_kept_by_dispatcher(redis: Redis, keys: Keyspace) -> None:
    """Each has one, the last that it gave; nobody answers what is not remembered."""
    commands = ModelCommands(redis, keys)
    await commands.add(make_command())
    assert await commands.answer("cmd_1", CommandAnswer(instance="b", done=False, reason="no"))
    assert await commands.answer("cmd_1", CommandAnswer(instance="a", done=True))

    record = await commands.get("cmd_1")

    assert record is not None
    assert record.command == make_command()
    assert [(each.instance, each.done) for each in record.answers] == [("a", True), ("b", False)]
    assert not await commands.answer("cmd_9", CommandAnswer(instance="a", done=True))
    assert await commands.get("cmd_9") is None


async def test_what_is_unloaded_is_noted_with_the_command(redis: Redis, keys: Keyspace) -> None:
    """Until the same is loaded; a reload says nothing of it."""
    commands = ModelCommands(redis, keys)
    await commands.add(make_command(CommandKind.UNLOAD))
    await commands.add(make_command(CommandKind.UNLOAD, version="2"))
    await commands.add(make_command(CommandKind.RELOAD))
    assert await commands.unloaded() == {"echo", "echo/2"}
    await commands.add(make_command(CommandKind.LOAD, version="2"))
    assert await commands.unloaded() == {"echo"}


async def test_costs_are_kept_and_the_oldest_forgotten(redis: Redis, keys: Keyspace) -> None:
    """What is written is read; past the bound the ones measured longest ago go."""
    book = CostBook(redis, keys)
    costs = {
        cost_key(file_sha256=str(number), runtime="acl", chip="Ascend310B4"): LearnedCost(
            load_ms=1.0,
            fixed_ms=2.0,
            per_item_ms=3.0,
            gear_ms=((1.0, 4.0),),
            measured_unix_ms=number,
        )
        for number in range(COSTS_MAX + 2)
    }
    await book.write({})
    await book.write(costs)
    assert await book.read() == dict(list(costs.items())[2:])


async def test_a_cost_that_makes_no_sense_is_left_out(redis: Redis, keys: Keyspace) -> None:
    """An estimate that cannot be read is learnt again."""
    for number, text in enumerate(("", "{}", '{"load_ms":-1,"fixed_ms":1,"per_item_ms":1}')):
        await redis.hset(keys.model_costs, str(number), text)
    assert await CostBook(redis, keys).read() == {}
