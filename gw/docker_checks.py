"""Is the Docker engine there, with compose: asked within bounds, without a shell."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from dispatcher.host.finding import Finding, error, info, ok, warning

_PATIENCE_S = 15.0


def check_docker() -> list[Finding]:
    """Ask the engine and the compose plugin."""
    program = shutil.which("docker")
    if program is None:
        return [error("docker", "docker is not installed", "install the engine with its plugins")]
    engine, why = _run([program, "info", "--format", "{{json .}}"])
    compose, why_not_compose = _run([program, "compose", "version", "--short"])
    return judge_docker(engine, why, compose, why_not_compose)


def judge_docker(engine: str, why: str, compose: str, why_not_compose: str) -> list[Finding]:
    """Judge what both answered; an empty answer comes with why there is none."""
    found = []
    if not engine:
        fix = "start the docker service, and add this user to the group docker"
        found.append(error("docker", f"the engine does not answer ({why})", fix))
    else:
        found += _judge_engine(_parsed(engine))
    if compose:
        found.append(ok("compose", f"docker compose {compose}"))
    else:
        fix = "install the package docker-compose-plugin; some distributions leave it out"
        found.append(error("compose", f"docker compose is not there ({why_not_compose})", fix))
    return found


def _judge_engine(facts: Mapping[str, Any]) -> list[Finding]:
    version, driver = facts.get("ServerVersion", "?"), facts.get("Driver", "?")
    found = [ok("docker", f"engine {version}, storage {driver}")]
    mirrors = (facts.get("RegistryConfig") or {}).get("Mirrors") or []
    if mirrors:
        found.append(ok("docker", f"registry mirrors: {', '.join(map(str, mirrors[:5]))}"))
    else:
        fix = "where the registry is slow, set registry-mirrors in /etc/docker/daemon.json"
        found.append(info("docker", "no registry mirrors", fix))
    errors = facts.get("ServerErrors") or []
    if errors:
        fix = "start the docker service, and add this user to the group docker"
        found.append(warning("docker", str(errors[0])[:200], fix))
    return found


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        facts = json.loads(text)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _run(command: Sequence[str]) -> tuple[str, str]:
    """Give the answer, or why there is none."""
    try:
        done = subprocess.run(  # noqa: S603  # a fixed command, no shell
            list(command), capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer within {_PATIENCE_S:g} s"
    except OSError as exc:
        return "", str(exc.strerror or exc)
    if done.returncode:
        return "", (done.stderr.strip() or f"exit status {done.returncode}")[:200]
    return done.stdout.strip(), ""
