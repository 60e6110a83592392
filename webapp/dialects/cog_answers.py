"""What Cog and Replicate answer besides predictions: refusals, health, models. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from pipeline.deliveries.cog import OWNER, version_id
from pipeline.models.entry import ModelEntry
from webapp.json_answer import json_answer, json_text_answer
from webapp.problems import Problem

#: What the query of a prediction may name.
PREDICTION_FIELDS = ("model", "version")

#: Fields of a submission under the names that callers of these protocols gave them.
_NAMES: Mapping[str, str] = {
    "picture": "input.image",
    "picture_url": "input.image",
    "metadata": "input",
    "reference": "id",
    "webhook.url": "webhook",
    "deadline": "Cancel-After",
    "deadline_s": "Cancel-After",
}

#: Nobody knows when a version was made, and clients want a moment.
_UNKNOWN_MOMENT = "1970-01-01T00:00:00Z"

_COG_VERSION = "0.9.0"


def renamed(problem: Problem) -> Problem:
    """Give *problem* with its field named as the caller knows it."""
    field = problem.facts.get("field", "")
    if problem.code == "idempotency_key_reused":
        field = "id"
    name = _NAMES.get(field, field)
    return replace(problem, facts={**problem.facts, "field": name}) if name else problem


def cog_refusal(problem: Problem) -> Response:
    """Say a problem as Cog does: a field that cannot be taken as a list of what is wrong (422).

    Anything else is the problem's own document, whose ``detail`` is where Cog has it.
    """
    problem = renamed(problem)
    field = problem.facts.get("field")
    if problem.status not in (400, 422) or not field:
        return json_text_answer(
            problem.to_json_bytes(), status=problem.status, headers=dict(problem.headers)
        )
    fault: dict[str, Any] = {
        "loc": ["body", *field.split(".")],
        "msg": problem.detail,
        "type": problem.code,
    }
    if allowed := problem.facts.get("allowed"):
        fault["ctx"] = {"allowed": list(allowed)}
    return json_answer({"detail": [fault]}, status=422, headers=dict(problem.headers))


def health_document(reasons: Sequence[str], *, is_starting: bool, version: str) -> dict[str, Any]:
    """Give the answer of Cog's health check; *reasons* are why work would not be done."""
    status = "STARTING" if is_starting else "UNHEALTHY" if reasons else "READY"
    document: dict[str, Any] = {
        "status": status,
        "setup": {
            "started_at": None,
            "completed_at": None,
            "status": "starting" if is_starting else "succeeded",
            "logs": "",
        },
        "version": {"gw": version},
    }
    if status == "UNHEALTHY":
        document["user_healthcheck_error"] = "; ".join(reasons)
    return document


def model_document(entry: ModelEntry, *, base_url: str) -> dict[str, Any]:
    """Give a model as Replicate describes one."""
    return {
        "url": f"{base_url}/v1/models/{OWNER}/{entry.name}",
        "owner": OWNER,
        "name": entry.name,
        "description": entry.description or None,
        "visibility": "private",
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": sum(detail.statistics.jobs for detail in entry.details),
        "cover_image_url": None,
        "default_example": None,
        "latest_version": version_document(entry, entry.versions[0]) if entry.versions else None,
    }


def version_document(entry: ModelEntry, version: str) -> dict[str, Any]:
    """Give a version of a model as Replicate describes one, with the schema of its input."""
    picture = {"type": "string", "format": "uri", "title": "Image", "x-order": 0}
    return {
        "id": version_id(entry.name, version),
        "created_at": _UNKNOWN_MOMENT,
        "cog_version": _COG_VERSION,
        "openapi_schema": {
            "openapi": "3.0.2",
            "info": {"title": "Cog", "version": "0.1.0"},
            "paths": {},
            "components": {
                "schemas": {
                    "Input": {
                        "type": "object",
                        "title": "Input",
                        "required": ["image"],
                        "properties": {"image": picture},
                    },
                    "Output": {"type": "object", "title": "Output"},
                }
            },
        },
    }
