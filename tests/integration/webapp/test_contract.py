"""The OpenAPI document as a contract: whatever is sent, the answer is one that it tells of."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from pipeline.access.keys import Scope
from pipeline.clock import SystemClock
from pipeline.health import HealthBoard, keep_beating
from pipeline.protocol import Keyspace
from tests.integration.webapp.running import add_key, publish, running

ROOT = Path(__file__).parents[3]
HOOKS = "tests.integration.webapp.contract_hooks"

#: Bounds of one run: so many cases for an operation, the same ones each time, and so long.
EXAMPLES = 4
TIMEOUT_S = 60

#: What waits for a notifier or a dispatcher that is not here.
WAITING = ("testWebhook", "v2Load")
#: What may put out the key that the others are sent with.
OF_KEYS = ("revokeKey", "rotateKey")

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)


async def explore(folder: Path, url: str, token: str, *arguments: str) -> tuple[int, str]:
    """Have schemathesis send what the document allows, and what it does not."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--header", f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS)),
        *("--phases", "examples,fuzzing", "--max-examples", str(EXAMPLES)),
        *("--generation-deterministic", "--no-shrink", "--suppress-health-check", "all"),
        *("--request-timeout", "10", "--max-failures", "60", "--continue-on-failure"),
        *("--warnings", "off", "--no-color", *arguments),
    ]
    process = await asyncio.create_subprocess_exec(
        *command,
        # It leaves what it has learned where it runs.
        cwd=folder,
        env=os.environ | {"SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, output.decode()


@asynccontextmanager
async def living(redis: Redis, keys: Keyspace) -> AsyncIterator[None]:
    """Let dispatcher and operations show that they live."""
    stop, board = asyncio.Event(), HealthBoard(redis, keys)
    async with asyncio.TaskGroup() as tasks:
        for service in ("dispatcher", "operations", "operations-media"):
            beating = keep_beating(board, SystemClock(), stop, service=service, instance="box")
            tasks.create_task(beating)
        try:
            yield
        finally:
            stop.set()


@pytest.mark.timeout(2 * TIMEOUT_S + 20)
async def test_every_answer_is_documented(
    environ: dict[str, str], redis: Redis, keys: Keyspace, tmp_path: Path
) -> None:
    """No 5xx, no status, type, header or shape that the document does not tell of."""
    await publish(redis, keys)
    token = await add_key(redis, keys, tenant="acme", scopes=tuple(Scope))
    settings = {"GW_WAIT_MAX_S": "1", "GW_URL_FETCH_TIMEOUT_S": "1"}

    async with living(redis, keys), running(environ | settings, token=token) as webapp:
        url = f"http://127.0.0.1:{webapp.port}"
        others = [
            word for name in (*OF_KEYS, *WAITING) for word in ("--exclude-operation-id", name)
        ]
        status, output = await explore(tmp_path, url, token, *others)
        assert status == 0, output
        named = [word for name in OF_KEYS for word in ("--include-operation-id", name)]
        status, output = await explore(tmp_path, url, token, *named)
        assert status == 0, output
