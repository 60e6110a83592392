"""Models that come, change and go while jobs flow: every job ends, and none on a bad file."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from dispatcher.scheduling.estimates import ModelCost, learn
from pipeline.clock import SystemClock
from pipeline.ids import new_id
from pipeline.jobs.job import Job, JobState
from pipeline.models.catalogue import Catalogue
from pipeline.models.commands import CommandAnswer, CommandKind, ModelCommand, ModelCommands
from pipeline.models.entry import ModelEntry, VersionEntry
from pipeline.models.learned_costs import CostBook
from tests.builders_onnx import save_mean_model
from tests.fakes.poisonable_runtime import DEADLY, POISONED, SLOW
from tests.integration.dispatcher.station import Station, colour, picture
from tests.waiting import wait_until

LIFECYCLE: dict[str, Any] = {"trial_jobs": 8, "trial_failures": 2}


async def entry(station: Station, name: str = "echo") -> ModelEntry | None:
    """Give what the catalogue says of a model."""
    return (await Catalogue(station.redis, station.keys).models()).get(name)


async def offers(station: Station, *versions: str, name: str = "echo") -> ModelEntry:
    """Wait until these versions are offered, the default first."""

    async def are_offered() -> ModelEntry | None:
        found = await entry(station, name)
        return found if found is not None and found.versions == versions else None

    found: ModelEntry = await wait_until(are_offered, timeout_s=20)
    return found


async def told(
    station: Station, condition: Callable[[ModelEntry], object], name: str = "echo"
) -> ModelEntry:
    """Wait until what the catalogue says of a model fulfils a condition."""

    async def is_so() -> ModelEntry | None:
        found = await entry(station, name)
        return found if found is not None and condition(found) else None

    found: ModelEntry = await wait_until(is_so, timeout_s=20)
    return found


def detail(found: ModelEntry, version: str) -> VersionEntry:
    """Give what is told of one version."""
    return next(each for each in found.details if each.version == version)


def model_bytes(folder: Path, mood: bytes = b"", *, salt: str = "") -> bytes:
    """Give the bytes of a model file; *salt* makes it another one that computes the same."""
    path = save_mean_model(folder / "made.onnx", side_px=8)
    model = onnx.load(path)
    model.doc_string = mood.decode() + salt
    raw: bytes = model.SerializeToString()
    return raw


class Traffic:
    """Submits jobs one after the other, to the default unless they are pinned, until stopped."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self.jobs: list[Job] = []
        self._is_over = False

    async def flow(self) -> None:
        """Submit until it is over."""
        while not self._is_over:
            found = await entry(self._station)
            if found is not None and found.versions:
                red = len(self.jobs) % 200
                self.jobs += await self._station.submit(
                    picture(red), version=found.versions[0], pinned=False
                )
            await asyncio.sleep(0.01)

    async def end(self, flowing: asyncio.Task[None]) -> list[Job]:
        """Stop, and give the records of all jobs once they are through."""
        self._is_over = True
        await flowing
        return await self._station.through(self.jobs, timeout_s=30)


async def inferred_right(station: Station, jobs: Sequence[Job]) -> set[str]:
    """Check that each job has the answer to its own picture; give the files that answered."""
    messages = await station.inferred()
    for number, job in enumerate(jobs):
        assert colour(messages[job.job_id]) == (float(number % 200), 20.0, 30.0)
    return {messages[job.job_id].made_by.model_sha256 for job in jobs}


async def test_versions_come_and_go_while_jobs_flow(station: Station, tmp_path: Path) -> None:
    """Added in pieces, replaced in place, removed: all jobs end well, and only whole files ran."""
    second, third = (model_bytes(tmp_path, salt=salt) for salt in ("second", "third"))
    first = (station.models / "echo" / "1" / "model.onnx").read_bytes()
    async with station.dispatcher(lifecycle=LIFECYCLE):
        await offers(station, "1")
        traffic = Traffic(station)
        flowing = asyncio.create_task(traffic.flow())
        folder = station.models / "echo" / "2"
        folder.mkdir()
        sums = f"{hashlib.sha256(second).hexdigest()}  model.onnx\n"
        (folder / "SHA256SUMS").write_text(sums)
        for size in (1, len(second) // 2, len(second) - 1):
            (folder / "model.onnx").write_bytes(second[:size])
            found = await told(station, lambda found: "another sha256" in found.reason)
            assert found.versions == ("1",)
        (folder / "model.onnx").write_bytes(second)
        found = await offers(station, "2", "1")
        assert detail(found, "2").file_sha256 == hashlib.sha256(second).hexdigest()

        # In place, as `cp` does it: cut off, then written piece by piece.
        (folder / "SHA256SUMS").unlink()
        with (folder / "model.onnx").open("r+b") as file:
            file.truncate(0)
            file.flush()
            found = await told(station, lambda found: "is empty" in found.reason)
            assert found.versions == ("2", "1")
            file.write(third[: len(third) // 2])
            file.flush()
            await told(station, lambda found: "cannot be loaded" in found.reason)
            file.write(third[len(third) // 2 :])
        found = await told(station, lambda found: detail(found, "2").generation == 2)
        assert detail(found, "2").file_sha256 == hashlib.sha256(third).hexdigest()
        assert found.reason == ""

        shutil.rmtree(folder)
        await offers(station, "1")
        count = len(traffic.jobs)
        await wait_until(lambda: len(traffic.jobs) > count + 5)
        records = await traffic.end(flowing)
    assert {record.state for record in records} == {JobState.INFERRED}
    ran = await inferred_right(station, traffic.jobs)
    assert ran == {hashlib.sha256(data).hexdigest() for data in (first, second, third)}


async def test_the_loaded_file_is_a_copy(station: Station) -> None:
    """Half of a file overwritten under a loaded model harms nobody, not even over a restart."""
    async with station.dispatcher(device_memory_mb=15):
        station.add_model("other")
        await offers(station, "1")
        await offers(station, "1", name="other")
        await station.through(await station.submit(picture(1)))
        with (station.models / "echo" / "1" / "model.onnx").open("r+b") as file:
            file.write(b"\0" * 40)
        await told(station, lambda found: "cannot be loaded" in found.reason)
        # Evicted by the other and loaded again, from what was whole.
        await station.through(await station.submit(picture(2), model="other"))
        (job,) = await station.submit(picture(3))
        (record,) = await station.through([job])
        assert record.state is JobState.INFERRED
        assert colour((await station.inferred())[job.job_id]) == (3.0, 20.0, 30.0)


@pytest.mark.parametrize(
    ("mood", "why"), [(POISONED, "it failed"), (DEADLY, "it brought the device down")]
)
async def test_a_bad_version_is_rolled_back(
    station: Station, tmp_path: Path, mood: bytes, why: str
) -> None:
    """It takes over, fails its first jobs, and the one before comes back; no default job fails."""
    folder = station.models / "echo" / "2"
    async with station.dispatcher(lifecycle=LIFECYCLE, infer_timeout_s=5.0):
        await offers(station, "1")
        folder.mkdir()
        (folder / "model.onnx").write_bytes(model_bytes(tmp_path, mood))
        await offers(station, "2", "1")
        jobs = await station.submit(*(picture(red) for red in range(6)), version="2", pinned=False)
        records = await station.through(jobs, timeout_s=30)
        assert {(record.state, record.version) for record in records} == {(JobState.INFERRED, "1")}
        found = await offers(station, "1")
        assert detail(found, "2").state == "failed"
        assert f"rolled back: {why}" in detail(found, "2").reason
        # One that was accepted for it meanwhile goes to the default; one that is pinned does not.
        late, pinned = (
            *await station.submit(picture(7), version="2", pinned=False),
            *await station.submit(picture(8), version="2", pinned=True),
        )
        (one, other) = await station.through([late, pinned], timeout_s=30)
        assert (one.state, one.version) == (JobState.INFERRED, "1")
        assert (other.state, other.version) == (JobState.FAILED, "2")
    async with station.dispatcher(lifecycle=LIFECYCLE):
        await told(station, lambda found: "it was rolled back before" in found.reason)


async def test_a_bad_replacement_is_rolled_back_to_what_was_loaded(
    station: Station, tmp_path: Path
) -> None:
    """A file replaced in place that fails its jobs gives way to the one before, also for pinned."""
    async with station.dispatcher(lifecycle=LIFECYCLE):
        before = detail(await offers(station, "1"), "1").file_sha256
        (station.models / "echo" / "1" / "model.onnx").write_bytes(model_bytes(tmp_path, POISONED))
        await told(station, lambda found: detail(found, "1").generation == 2)
        jobs = await station.submit(picture(1), picture(2), version="1", pinned=True)
        records = await station.through(jobs)
        assert {record.state for record in records} == {JobState.INFERRED}
        found = await told(station, lambda found: detail(found, "1").generation == 1)
    assert detail(found, "1").file_sha256 == before
    assert "the old ones serve" in found.reason


async def test_a_version_must_pass_its_self_test(station: Station, tmp_path: Path) -> None:
    """One that answers otherwise is never offered; one that passes is, and says so."""
    folder = station.models / "echo" / "2"
    test = folder / "selftest"
    test.mkdir(parents=True)
    (test / "red.png").write_bytes(picture(100))
    items = [["mean", [3], "float32", [99.0, 20.0, 30.0]]]
    expected = '{"cases": [{"picture": "red.png", "tolerance": %s, "expected": %s}]}'
    findings = f'{{"kind": "tensors", "items": {items}}}'.replace("'", '"')
    (test / "expected.json").write_text(expected % ("0.001", findings))
    (folder / "model.onnx").write_bytes(model_bytes(tmp_path, salt="two"))
    async with station.dispatcher():
        found = await told(station, lambda found: "did not pass" in found.reason)
        assert found.versions == ("1",)
        assert "self-test red.png: items[0][3][0] is 100 instead of 99" in found.reason

        (test / "expected.json").write_text(expected % ("0.02", findings))

        found = await offers(station, "2", "1")
        assert detail(found, "2").self_test == "passed"


async def test_jobs_of_what_was_removed_come_to_an_end(station: Station) -> None:
    """A removed version runs what was accepted; after the grace pinned jobs and others fail so."""
    lifecycle = {"removed_grace_s": 1.5}
    async with station.dispatcher(lifecycle=lifecycle):
        await offers(station, "1")
        shutil.rmtree(station.models / "echo")
        await told(station, lambda found: not found.versions)
        (record,) = await station.through(await station.submit(picture(1)))
        assert record.state is JobState.INFERRED
        await wait_until(lambda: is_gone(station))
        jobs = await station.submit(picture(2), picture(3))
        records = await station.through(jobs)
        assert {(record.state, record.reason_code) for record in records} == {
            (JobState.FAILED, "model_removed")
        }


async def is_gone(station: Station) -> bool:
    """Whether nothing is told of the model any more."""
    return await entry(station) is None


async def give(
    station: Station, kind: CommandKind, *, of: int = 1, **changes: Any
) -> list[CommandAnswer]:
    """Give a command and wait for the answers of so many dispatchers."""
    now_unix_ms = SystemClock().unix_ms()
    command = ModelCommand(
        command_id=new_id("cmd", now_unix_ms),
        command=kind,
        asked_unix_ms=now_unix_ms,
        until_unix_ms=now_unix_ms + 20_000,
        **({"model": "echo"} | changes),
    )
    commands = ModelCommands(station.redis, station.keys)
    await commands.add(command)

    async def answers() -> list[CommandAnswer]:
        record = await commands.get(command.command_id)
        found = list(record.answers) if record is not None else []
        return found if len(found) >= of else []

    found: list[CommandAnswer] = await wait_until(answers, timeout_s=20)
    return found


async def test_an_unloaded_model_stays_so_until_it_is_loaded(station: Station) -> None:
    """Nothing is offered, also after a restart, but what was accepted runs; load undoes it."""
    async with station.dispatcher():
        await offers(station, "1")
        await station.through(await station.submit(picture(1)))
        (answer,) = await give(station, CommandKind.UNLOAD)
        assert answer.done
        found = await told(station, lambda found: not found.versions)
        assert (detail(found, "1").state, found.is_ready) == ("available", False)
        assert "it is unloaded" in found.reason
        await station.through(await station.submit(picture(2)))
    async with station.dispatcher():
        await told(station, lambda found: "it is unloaded" in found.reason)
        (answer,) = await give(station, CommandKind.LOAD)
        assert answer.done
        assert detail(await offers(station, "1"), "1").state == "loaded"
        (answer,) = await give(station, CommandKind.LOAD, model="nothing")
        assert (answer.done, answer.reason) == (False, "nothing is not offered here")


async def test_in_explicit_mode_nothing_changes_until_it_is_asked_for(
    station: Station, tmp_path: Path
) -> None:
    """A new version waits for reload, and a load of a new model takes it."""
    async with station.dispatcher(lifecycle={"watch": "explicit"}):
        await offers(station, "1")
        (station.models / "echo" / "2").mkdir()
        (station.models / "echo" / "2" / "model.onnx").write_bytes(model_bytes(tmp_path))
        station.add_model("other")
        await asyncio.sleep(0.3)
        assert await entry(station, "other") is None
        await offers(station, "1")
        (answer,) = await give(station, CommandKind.RELOAD)
        assert answer.done, answer.reason
        await offers(station, "2", "1")
        (answer,) = await give(station, CommandKind.LOAD, model="other")
        assert answer.done, answer.reason
        await offers(station, "1", name="other")


async def test_what_was_learnt_outlives_a_restart(station: Station) -> None:
    """A stop writes what models cost, and the next start begins with it."""
    async with station.dispatcher():
        await station.through(await station.submit(*[picture(1)] * 20))
    (cost,) = (await CostBook(station.redis, station.keys).read()).values()
    assert cost.load_ms > 0
    assert cost.per_item_ms > 0
    book = CostBook(station.redis, station.keys)
    (key,) = (await book.read()).keys()
    async with station.dispatcher():
        await offers(station, "1")
        assert (await book.read())[key] == cost


async def test_the_first_estimate_after_a_restart_is_what_was_learnt(station: Station) -> None:
    """One batch moves the estimate from what the book said, not from a guess."""
    async with station.dispatcher():
        await station.through(await station.submit(picture(1)))
    book = CostBook(station.redis, station.keys)
    ((key, cost),) = (await book.read()).items()
    await book.write({key: replace(cost, fixed_ms=123.0, per_item_ms=45.0, gear_ms=())})

    async with station.dispatcher():
        await station.through(await station.submit(picture(1)))

    # A batch of one takes less than half of what is expected, and counts as the half.
    first = ModelCost(load_ms=cost.load_ms, fixed_ms=123.0, per_item_ms=45.0)
    expected = learn(first, 1.0, 0.0)
    learnt = (await book.read())[key]
    assert learnt.fixed_ms == pytest.approx(expected.fixed_ms, abs=0.01)
    assert learnt.per_item_ms == pytest.approx(expected.per_item_ms, abs=0.01)


async def test_two_dispatchers_share_models_commands_and_jobs(station: Station) -> None:
    """The catalogue joins both, both answer a command and load the model, and both do the work."""
    async with station.dispatcher(instance="a"), station.dispatcher(instance="b"):
        both = {"a", "b"}
        await told(station, lambda found: {each.instance for each in found.details} == both)
        await give(station, CommandKind.UNLOAD, of=2)
        await told(station, lambda found: not found.versions)

        answers = await give(station, CommandKind.LOAD, of=2)

        assert {answer.instance for answer in answers} == both
        assert all(answer.done for answer in answers)
        found = await offers(station, "1")
        assert {(each.instance, each.state) for each in found.details} == {
            ("a", "loaded"),
            ("b", "loaded"),
        }
        jobs = await station.submit(*[picture(SLOW)] * 80)
        await station.through(jobs, timeout_s=30)
        assert await station.states(jobs) == {"inferred": 80}
        found = await told(
            station, lambda found: sum(each.statistics.jobs for each in found.details) == 80
        )
        assert min(each.statistics.jobs for each in found.details) > 0


async def test_statistics_are_told(station: Station) -> None:
    """Jobs, failures and times of a version are in the catalogue."""
    async with station.dispatcher():
        await station.through(await station.submit(*[picture(1)] * 20))
        found = await told(station, lambda found: detail(found, "1").statistics.jobs == 20)
    statistics = detail(found, "1").statistics
    assert statistics.failures == 0
    assert 1 <= statistics.mean_batch <= 8
    assert 0 < statistics.device_p50_ms <= statistics.device_p99_ms
    assert statistics.last_used_unix_ms > 0
