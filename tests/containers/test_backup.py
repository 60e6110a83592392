"""A stack in containers is backed up and restored as the guide says."""

from __future__ import annotations

import pytest

from tests.containers.stack import Stack, all_told, states, submit, wait_ready
from tests.waiting import wait_until

JOBS = 60
TOLD_BEFORE = 10


@pytest.mark.timeout(300)
async def test_a_backup_comes_back_over_the_network(cpu_stack: Stack) -> None:
    """Taken with jobs under way, put back in place of what came after: all of it goes on."""
    stack = cpu_stack
    key = stack.make_key()
    async with stack.http(key) as http:
        await wait_ready(http)
        told_before = len(stack.told_ids())
        accepted = await submit(stack, http, JOBS)
        await wait_until(lambda: len(stack.told_ids()) >= told_before + TOLD_BEFORE, timeout_s=60)
        stack.compose("run", "--rm", "gw", "backup", "/backups/a.tar")
        later = await submit(stack, http, 1)
    assert (stack.received / "a.tar").stat().st_mode & 0o777 == 0o600

    refused = stack.compose("run", "--rm", "gw", "restore", "/backups/a.tar", check=False)
    assert refused.returncode == 1
    assert "not empty" in refused.stderr
    stack.compose("stop")
    stack.compose("run", "--rm", "gw", "restore", "/backups/a.tar", "--force")
    stack.compose("up", "--detach", "--wait", "--wait-timeout", "120")

    async with stack.http(key) as http:
        await wait_ready(http)
        await all_told(stack, accepted)

        async def all_ended() -> bool:
            return not stack.counts().keys() & {"queued", "running", "inferred"}

        await wait_until(all_ended, timeout_s=60)
        assert await states(http, accepted) == {"succeeded"}
        assert (await http.get(f"/v1/jobs/{later.pop()}")).status_code == 404
