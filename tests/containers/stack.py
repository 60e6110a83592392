"""A stack in containers as an operator starts it: the product's Compose files and one override."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.containers.engine import COMPOSE, docker, inspect
from tests.e2e.embedded import PICTURE
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One Compose project. *context* is its folder, *received* where webhooks are kept.

    *net* are the first three numbers of the addresses that its containers have outwards.
    """

    project: str
    context: Path
    files: Sequence[Path]
    environ: Mapping[str, str]
    port: int
    net: str
    received: Path

    @property
    def receiver_host(self) -> str:
        """Give the address of the receiver of webhooks, on its port 9000."""
        return f"{self.net}.10"

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Compose on this project."""
        command = [str(COMPOSE), "--project-name", self.project]
        command += ["--project-directory", str(self.context)]
        for file in self.files:
            command += ["--file", str(file)]
        answer = subprocess.run(
            [*command, *arguments],
            env=os.environ | self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and answer.returncode != 0:
            logs = self.compose("logs", "--no-color", "--tail", "30", check=False).stdout
            raise AssertionError(f"{arguments}: {answer.stdout}{answer.stderr}\n{logs}")
        return answer

    def container(self, service: str) -> str:
        """Give the name of a service's container."""
        return f"{self.project}-{service}-1"

    def state(self, service: str) -> dict[str, Any]:
        """Give what the engine knows of a service's container."""
        return inspect(self.container(service))

    def kill(self, service: str) -> None:
        """Kill the first process of a container from outside, and with it all others in it.

        Not by ``docker kill``: what an operator ended is not started again.
        """
        os.kill(self.state(service)["State"]["Pid"], signal.SIGKILL)

    def run_in(self, service: str, *command: str, check: bool = True) -> str:
        """Run a command in a service's container."""
        return docker("exec", self.container(service), *command, check=check)

    def make_key(self) -> str:
        """Make an API key as the guide says."""
        create = ("python", "-m", "gw", "keys", "create", "--description", "test")
        return self.run_in("webapp", *create).strip().splitlines()[0]

    def counts(self) -> dict[str, int]:
        """Give how many jobs are in each state; each end that ever happened is in it."""
        command = "REDISCLI_AUTH=$(cat /run/gw/redis-password) redis-cli --json hgetall gw1:counts"
        found = json.loads(self.run_in("redis", "sh", "-c", command) or "{}")
        return {state: int(count) for state, count in found.items() if int(count)}

    def told(self) -> list[dict[str, Any]]:
        """Give the webhooks that came, each with headers and body."""
        file = self.received / "requests.jsonl"
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def told_ids(self) -> dict[str, set[str]]:
        """Give the webhook ids under which each job was announced."""
        ids: dict[str, set[str]] = {}
        for request in self.told():
            job_id = json.loads(request["body"])["data"]["id"]
            ids.setdefault(job_id, set()).add(request["headers"]["webhook-id"])
        return ids

    def http(self, key: str) -> httpx.AsyncClient:
        """Give a client of the published port."""
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"authorization": f"Bearer {key}"},
            timeout=30,
        )


async def submit(stack: Stack, http: httpx.AsyncClient, count: int) -> set[str]:
    """Submit *count* jobs with a webhook, some at once; give their ids."""
    gate = asyncio.Semaphore(8)
    webhook = json.dumps({"url": f"http://{stack.receiver_host}:9000/", "secret": SECRET})
    headers = {"content-type": "application/octet-stream", "gw-webhook": webhook}

    async def one() -> str:
        async with gate:
            answer = await http.post(
                "/v1/jobs", params={"model": "mean"}, content=PICTURE, headers=headers
            )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    return set(await asyncio.gather(*(one() for _ in range(count))))


async def all_told(stack: Stack, accepted: set[str], *, timeout_s: float = 90.0) -> None:
    """Wait until each of *accepted* was announced, and check that each was under one id."""
    await wait_until(lambda: accepted <= stack.told_ids().keys(), timeout_s=timeout_s)
    told = stack.told_ids()
    assert all(len(told[job_id]) == 1 for job_id in accepted)


async def states(http: httpx.AsyncClient, accepted: set[str]) -> set[str]:
    """Give the states that the jobs are in, waiting out a restarting webapp."""

    async def one(job_id: str) -> str | None:
        try:
            answer = await http.get(f"/v1/jobs/{job_id}")
        except httpx.TransportError:
            return None
        return str(answer.json()["state"]) if answer.status_code == 200 else None

    found = set()
    for job_id in accepted:
        found.add(await wait_until(partial(one, job_id), timeout_s=60))
    return found


async def wait_ready(http: httpx.AsyncClient, *, timeout_s: float = 60.0) -> None:
    """Wait until work that comes in would be done."""

    async def ready() -> bool:
        try:
            return (await http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    await wait_until(ready, timeout_s=timeout_s)
