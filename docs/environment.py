"""``deploy/env.example``: everything that the operator of a stack in containers can set."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from pipeline.settings import SettingRow

_WIDTH = 100

_COMPOSE = """\
# Settings of a stack in containers. Copy this file to `.env` beside docker-compose.yaml and take
# the leading # off what you want to change. `docker compose up --detach` makes it take effect.
# Written by `make docs`.

# --- What runs ------------------------------------------------------------------------------------

# Which Compose files `docker compose` reads. Exactly one of the three lines is to be in force.
# An Ascend 310B and the plain Docker engine:
COMPOSE_FILE=docker-compose.yaml:deploy/compose.ascend.yaml
# An Ascend 310B and ascend-docker-runtime:
# COMPOSE_FILE=docker-compose.yaml:deploy/compose.ascend-runtime.yaml
# No NPU, ONNX models on the CPU:
# COMPOSE_FILE=docker-compose.yaml:deploy/compose.cpu.yaml

# The folder of the business models on this host.
# GW_MODELS_PATH=./gwproc

# The folder on this host that backups are written to and restored from.
# GW_BACKUPS_PATH=./backups

# Where the API answers: a port of all addresses, or one address such as 127.0.0.1:8080.
# GW_PUBLISH=8080

# Which NPU: the number in /dev/davinci0.
# GW_NPU=0

# Where this host has libcrypto.so.1.1 and libyaml-0.so.2: /usr/lib64 on openEuler,
# /usr/lib/aarch64-linux-gnu on Ubuntu.
# GW_HOST_LIBRARIES=/usr/lib64

# Which of the installed versions runs: the tag of our images.
# GW_VERSION=latest

# --- Limits ---------------------------------------------------------------------------------------

# What Redis may hold. Past it new jobs are refused, and accepted ones go on.
# GW_REDIS_MEMORY=512mb

# The most memory that each container may take. Redis needs twice its data and more; the dispatcher
# holds GW_SHARED_MEMORY_MB, the models on a CPU, and what its threads decode.
# GW_REDIS_MEMORY_LIMIT=1536m
# GW_WEBAPP_MEMORY_LIMIT=1g
# GW_DISPATCHER_MEMORY_LIMIT=4g
# GW_POSTPROCESS_MEMORY_LIMIT=256m
# GW_NOTIFIER_MEMORY_LIMIT=512m
# GW_OPERATIONS_MEMORY_LIMIT=512m
# GW_MEDIA_MEMORY_LIMIT=1g

# After this long a container that was told to stop is killed; keep it above GW_GRACE_S.
# GW_STOP_GRACE=30s

# --- Building -------------------------------------------------------------------------------------

# The base images, as they were pulled.
# GW_PYTHON_IMAGE=python:3.11-alpine
# GW_REDIS_IMAGE=redis:7.4-alpine
# GW_ASCEND_IMAGE=ascendhub.huawei.com/public-ascendhub/ascend-infer-310b:24.0.RC1-arm
# GW_CPU_IMAGE=python:3.11-slim-bookworm

# What the images' labels say; `make images` fills these in.
# GW_REVISION=
# GW_CREATED=
# GW_SOURCE=
# GW_PYTHON_DIGEST=
# GW_ASCEND_DIGEST=
# GW_CPU_DIGEST=
"""

#: What docker-compose.yaml and the images decide. In `.env` they would have no effect.
DECIDED = frozenset(
    {
        "GW_REDIS_URL",
        "GW_REDIS_PASSWORD",
        "GW_INSTANCE",
        "GW_DATA_DIR",
        "GW_MODELS_DIR",
        "GW_HTTP_HOST",
        "GW_HTTP_PORT",
        "GW_HEARTBEAT_FILE",
        "GW_OPERATIONS_QUEUE",
        "GW_RUNTIME",
    }
)


def environment_example(groups: list[tuple[str, list[SettingRow]]]) -> str:
    """Give the file: what Compose reads, then the settings of each group, each told once."""
    lines, seen = [_COMPOSE], set(DECIDED)
    for title, rows in groups:
        told = [row for row in rows if row.name not in seen]
        seen |= {row.name for row in told}
        if told:
            lines += [f"# --- {title} ".ljust(_WIDTH, "-"), ""]
            for row in told:
                lines += _told(row)
    return "\n".join(lines).rstrip() + "\n"


def _told(row: SettingRow) -> Iterator[str]:
    allowed = "" if row.allowed == "any" else f" Allowed: {row.allowed}."
    yield from textwrap.wrap(
        row.meaning.replace("`", "") + allowed,
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
    )
    # A default that is told in words, such as the number of cores, is no value to write down.
    is_value = " " not in row.default or row.default[0].isdigit()
    yield f"# {row.name}={row.default if is_value else ''}"
    yield ""
