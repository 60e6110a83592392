"""The stack in containers does what it promises: work is done, and no death of a part loses any."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from tests.containers.engine import Engine
from tests.containers.stack import (
    SECRET,
    Stack,
    all_told,
    states,
    submit,
    wait_ready,
)
from tests.e2e.embedded import PICTURE
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

JOBS = 120

#: So many are told when the blow falls; the others are somewhere on the way.
TOLD_BEFORE = 15

#: A command that was written behind blocks that were not.
LATER = b"*3\r\n$3\r\nSET\r\n$5\r\nlater\r\n$1\r\nx\r\n"

SERVICES = ("webapp", "dispatcher", "postprocess", "notifier")


def ended_between(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Give how many jobs came into each state."""
    found = Counter(after)
    found.subtract(before)
    return {state: count for state, count in found.items() if count}


@pytest.mark.parametrize("kind", ["cpu_stack", "npu_stack"])
async def test_pictures_come_back_as_signed_webhooks(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """Pictures posted to the published port are inferred, and their results announced, signed."""
    stack: Stack = request.getfixturevalue(kind)
    async with stack.http(stack.make_key()) as http:
        await wait_ready(http)
        accepted = await submit(stack, http, 8)
        await all_told(stack, accepted)

        answers = [await http.get(f"/v1/jobs/{job_id}/result") for job_id in accepted]

    runtime = "acl" if kind == "npu_stack" else "onnx"
    assert {answer.json()["made_by"]["runtime"] for answer in answers} == {runtime}
    assert all(len(answer.json()["tensors"][0]["values"]) == 3 for answer in answers)
    for told in stack.told():
        Webhook(SECRET).verify(told["body"], told["headers"], json_parse=False)
        assert json.loads(told["body"])["type"] == "job.succeeded"


@pytest.mark.parametrize("victim", [*SERVICES, "redis"])
async def test_a_killed_container_loses_no_job(victim: str, npu_stack: Stack) -> None:
    """With jobs under way a container is killed: it comes back, and every job ends once."""
    stack = npu_stack
    async with stack.http(stack.make_key()) as http:
        await wait_ready(http)
        before, told_before = stack.counts(), len(stack.told_ids())
        killed_times = stack.state(victim)["RestartCount"]
        accepted = await submit(stack, http, JOBS)
        await wait_until(lambda: len(stack.told_ids()) >= told_before + TOLD_BEFORE, timeout_s=60)
        assert not accepted <= stack.told_ids().keys()
        stack.kill(victim)

        await all_told(stack, accepted)

        assert await states(http, accepted) == {"succeeded"}
        await wait_ready(http)
    assert ended_between(before, stack.counts()) == {"succeeded": JOBS}
    assert stack.state(victim)["RestartCount"] == killed_times + 1


async def test_a_stopped_stack_finishes_or_keeps_its_work(npu_stack: Stack) -> None:
    """SIGTERM with work under way: all exit with 0 in time, and a new start ends the rest."""
    stack = npu_stack
    key = stack.make_key()
    async with stack.http(key) as http:
        await wait_ready(http)
        before = stack.counts()
        accepted = await submit(stack, http, JOBS)
        assert not accepted <= stack.told_ids().keys()
    stack.compose("stop")

    for service in (*SERVICES, "redis"):
        ended = stack.state(service)["State"]
        assert (service, ended["ExitCode"], ended["OOMKilled"]) == (service, 0, False)

    stack.compose("up", "--detach", "--wait", "--wait-timeout", "120")
    async with stack.http(key) as http:
        await all_told(stack, accepted)
        assert await states(http, accepted) == {"succeeded"}
    assert ended_between(before, stack.counts()) == {"succeeded": JOBS}


async def test_a_rebooted_host_loses_no_job(engine: Engine, npu_stack: Stack) -> None:
    """The engine and all containers die at once; when the engine is back, every job ends once."""
    if not engine.is_own:
        pytest.skip("this engine is not the tests' own: it may not be killed")
    stack = npu_stack
    key = stack.make_key()
    async with stack.http(key) as http:
        await wait_ready(http)
        before = stack.counts()
        accepted = await submit(stack, http, JOBS)
        assert not accepted <= stack.told_ids().keys()
    engine.kill_with_everything()

    engine.start()

    async with stack.http(key) as http:
        await wait_ready(http)
        await all_told(stack, accepted)
        assert await states(http, accepted) == {"succeeded"}
    assert ended_between(before, stack.counts()) == {"succeeded": JOBS}


async def test_redis_starts_after_a_power_cut_tore_its_file(npu_stack: Stack) -> None:
    """Zeros and a later command at the end of its file are cut off and kept; all data is there."""
    stack = npu_stack
    async with stack.http(stack.make_key()) as http:
        await wait_ready(http)
        accepted = await submit(stack, http, 8)
        await all_told(stack, accepted)
        before = stack.counts()
        stack.compose("stop")
        path = _last_increment(stack)
        whole = path.read_bytes()
        path.write_bytes(whole + bytes(4096) + LATER)

        stack.compose("up", "--detach", "--wait", "--wait-timeout", "120")

        assert stack.counts() == before
        assert await states(http, accepted) == {"succeeded"}
        await wait_ready(http)
        torn = next(path.parent.glob("*.torn-*"))
        assert torn.read_bytes() == bytes(4096) + LATER
        assert path.read_bytes().startswith(whole)
        again = await submit(stack, http, 2)
        await all_told(stack, again)


def _last_increment(stack: Stack) -> Path:
    """Give the host's path of the file that Redis appended to last."""
    mounts = stack.state("redis")["Mounts"]
    data = next(mount["Source"] for mount in mounts if mount["Destination"] == "/data")
    files = (Path(data) / "appendonlydir").glob("*.incr.aof")
    return max(files, key=lambda file: int(file.name.split(".")[-3]))


async def test_an_archive_comes_back_as_results(npu_stack: Stack) -> None:
    """A zip archive goes through the operations service and the device: every item succeeds."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(5):
            file.writestr(f"picture-{number}.jpg", PICTURE)
    async with npu_stack.http(npu_stack.make_key()) as http:
        await wait_ready(http)
        answer = await http.post(
            "/v1/batches",
            params={"model": "mean"},
            content=archive.getvalue(),
            headers={"content-type": "application/zip"},
        )
        assert answer.status_code == 202, answer.text
        path = f"/v1/batches/{answer.json()['id']}"

        async def ended() -> bool:
            return bool((await http.get(path)).json()["state"] in {"completed", "failed"})

        await wait_until(ended, timeout_s=60)
        batch = (await http.get(path)).json()
        results = await http.get(f"{path}/results")

    assert (batch["state"], batch["jobs"]["succeeded"]) == ("completed", 5)
    lines = [json.loads(line) for line in results.text.splitlines()]
    assert len(lines) == 5
    assert "mean" in results.text


async def test_the_drivers_daemons_run_beside_the_dispatcher(npu_stack: Stack) -> None:
    """The entry point starts both daemons as the vendor does, as children of the first process."""
    show = 'for f in /tmp/*.arguments; do echo "${f##*/} $(cat $f)"; done'

    shown = npu_stack.run_in("dispatcher", "sh", "-c", show).splitlines()

    assert shown == ["dmp_daemon.arguments -I -M -U 8087", "slogd.arguments -d"]
    look = (
        "for p in /proc/[0-9]*; do echo $(cat $p/comm) $(sed -n 's/^PPid:\\s*//p' $p/status); done"
    )
    parents = npu_stack.run_in("dispatcher", "sh", "-c", look).splitlines()
    assert {"dmp_daemon 1", "slogd 1"} <= set(parents)
