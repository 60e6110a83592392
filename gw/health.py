"""How the embedded stack's services fare: each asked in the way it shows its life."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from redis.exceptions import RedisError

from gw.server import LOOPBACK, REDIS
from gw.stack import BEATING, WEBAPP
from gw.state_file import StackState
from gw.supervisor import ProcessReport, ProcessState
from pipeline.connection import connect
from pipeline.errors import MalformedMessage, Unavailable
from pipeline.health import HealthBoard, Heartbeat
from pipeline.protocol import Keyspace
from pipeline.settings import RedisSettings

_PROBE_PATIENCE_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How one service fares: whether it lives, whether it can work, and if not, why."""

    alive: bool
    ready: bool
    reason: str = ""


HEALTHY: Final = Health(alive=True, ready=True)


def dead(reason: str) -> Health:
    """Say that a service does not live."""
    return Health(alive=False, ready=False, reason=reason)


def unready(reason: str) -> Health:
    """Say that a service lives but cannot work."""
    return Health(alive=True, ready=False, reason=reason)


async def probe_stack(state: StackState, *, password: str) -> dict[str, Health]:
    """Ask every service of *state*; the answers are by service name, in its order."""
    redis_health, beats = await _probe_redis(state.redis_port, password)
    webapp_health = await asyncio.to_thread(probe_webapp, state.http_port)
    now_unix_ms = time.time_ns() // 1_000_000
    return {
        report.name: judge(
            report,
            beats=beats,
            asked={REDIS: redis_health, WEBAPP: webapp_health},
            now_unix_ms=now_unix_ms,
        )
        for report in state.services
    }


def judge(
    report: ProcessReport,
    *,
    beats: Sequence[Heartbeat],
    asked: Mapping[str, Health],
    now_unix_ms: int,
) -> Health:
    """Weigh what the supervisor knows of a process and what the service shows of itself.

    *asked* are the answers of the services that are asked directly. A heartbeat counts only if it
    comes from the process that runs now: one of its predecessor may still look fresh.
    """
    if report.state is not ProcessState.RUNNING:
        return dead(f"the process is {report.state.value.replace('_', ' ')}")
    if report.name not in BEATING:
        return asked.get(report.name, HEALTHY)
    for beat in beats:
        if beat.service == report.name and beat.pid == report.pid:
            if not beat.is_fresh(now_unix_ms):
                return dead("its heartbeat stopped")
            return unready(beat.reason) if beat.reason else HEALTHY
    return dead("no heartbeat yet")


def probe_webapp(port: int) -> Health:
    """Ask the webapp whether it lives and whether it is ready."""
    try:
        status, body = _get(port, "/healthz")
        if status != 200:
            return dead(f"GET /healthz answers {status}")
        status, body = _get(port, "/readyz")
    except (OSError, http.client.HTTPException) as error:
        return dead(f"does not answer on {LOOPBACK}:{port} ({error})")
    return HEALTHY if status == 200 else unready(_reason(status, body))


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_PROBE_PATIENCE_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(65536)
    finally:
        connection.close()


def _reason(status: int, body: bytes) -> str:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if isinstance(document, dict) and isinstance(document.get("reasons"), list):
        return "; ".join(map(str, document["reasons"]))
    return f"GET /readyz answers {status}"


async def _probe_redis(port: int, password: str) -> tuple[Health, list[Heartbeat]]:
    url = f"redis://{LOOPBACK}:{port}/0"
    redis = connect(RedisSettings(url=url, password=password, timeout_s=_PROBE_PATIENCE_S))
    try:
        await redis.ping()
        return HEALTHY, await HealthBoard(redis, Keyspace()).all()
    except MalformedMessage:
        # It answers; what others wrote there is theirs to explain.
        return HEALTHY, []
    except (RedisError, OSError, Unavailable) as error:
        return dead(f"does not answer on {LOOPBACK}:{port} ({error})"), []
    finally:
        await redis.aclose()
