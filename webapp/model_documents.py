"""Models and commands about them as the documents that callers see."""

from __future__ import annotations

from typing import Any

from pipeline.models.command_outcome import CommandOutcome
from pipeline.models.entry import ModelEntry, Statistics, VersionEntry
from webapp.presentation import moment


def model_document(entry: ModelEntry) -> dict[str, Any]:
    """Give the document of a model."""
    return {
        "name": entry.name,
        "task": entry.task,
        "description": entry.description,
        "state": "ready" if entry.is_ready else "refused",
        "reason": entry.reason or None,
        "versions": list(entry.versions),
        "labels": list(entry.labels),
        "queued": entry.queued,
        "details": [_version_document(detail) for detail in entry.details],
    }


def _version_document(detail: VersionEntry) -> dict[str, Any]:
    return {
        "version": detail.version,
        "state": detail.state,
        "reason": detail.reason or None,
        "dispatcher": detail.instance,
        "device": detail.device,
        "generation": detail.generation,
        "memory_bytes": detail.memory_bytes or None,
        "sha256": detail.file_sha256 or None,
        "self_test": detail.self_test or None,
        "statistics": _statistics_document(detail.statistics),
    }


def _statistics_document(statistics: Statistics) -> dict[str, Any]:
    return {
        "jobs": statistics.jobs,
        "failures": statistics.failures,
        "batches": statistics.batches,
        "mean_batch": round(statistics.mean_batch, 2),
        "device_ms": {"p50": statistics.device_p50_ms, "p99": statistics.device_p99_ms},
        "decode_ms": {"p50": statistics.decode_p50_ms, "p99": statistics.decode_p99_ms},
        "last_used": moment(statistics.last_used_unix_ms),
    }


def command_document(outcome: CommandOutcome) -> dict[str, Any]:
    """Give the document of a command with what became of it."""
    command = outcome.command
    path = f"/v1/models/{command.model}/commands/{command.command_id}"
    return {
        "id": command.command_id,
        "command": command.command,
        "model": command.model,
        "version": command.version or None,
        "state": outcome.state,
        "asked_at": moment(command.asked_unix_ms),
        "dispatchers": [
            {
                "name": answer.instance,
                "state": "done" if answer.done else "failed",
                "reason": answer.reason or None,
                "answered_at": moment(answer.answered_unix_ms),
            }
            for answer in outcome.answers
        ]
        + [
            {"name": name, "state": "pending", "reason": None, "answered_at": None}
            for name in outcome.silent
        ],
        "links": {"self": path},
    }
