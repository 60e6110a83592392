"""Models as the Open Inference Protocol describes them: metadata, configuration, index, counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.errors import NotFound
from pipeline.models.entry import ModelEntry, Spent, Statistics, VersionEntry, VersionState
from pipeline.models.tensors import TensorFacts
from webapp.open_inference.fitting import tensors_of
from webapp.refusals import UnknownModel, UnknownVersion

#: The extensions of the protocol that are here whole.
EXTENSIONS = (
    "classification",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "statistics",
    "logging",
    "binary_tensor_data",
    "parameters",
)

_READY = frozenset({VersionState.AVAILABLE, VersionState.LOADED})
_NS_PER_MS = 1_000_000


def find_model(models: Mapping[str, ModelEntry], name: str) -> ModelEntry:
    """Give a model, whatever its state; raises UnknownModel."""
    entry = models.get(name)
    if entry is None:
        raise UnknownModel(name, known=tuple(models))
    return entry


def is_ready(models: Mapping[str, ModelEntry], name: str, version: str) -> bool:
    """Whether jobs are accepted for a model, or for one *version* of it."""
    entry = models.get(name)
    return entry is not None and entry.is_ready and (not version or version in entry.versions)


def described_version(entry: ModelEntry, version: str) -> str:
    """Give the version that a description is of; raises UnknownVersion.

    Without one the default, or the newest of a model that offers none.
    """
    known = [detail.version for detail in entry.details if detail.inputs]
    if version and version not in known:
        raise UnknownVersion(entry.name, version, known=tuple(known))
    if version:
        return version
    if entry.versions or known:
        return (entry.versions or tuple(known))[0]
    raise NotFound(f"Nothing is known of model {entry.name!r}: {entry.reason}")


def metadata_document(entry: ModelEntry, version: str) -> dict[str, Any]:
    """Give the metadata of a model; raises UnknownVersion."""
    version = described_version(entry, version)
    tensors = tensors_of(entry, version)
    return {
        "name": entry.name,
        "versions": list(entry.versions),
        "platform": _detail(entry, version).platform,
        "inputs": [_tensor_document(tensors.input)],
        "outputs": [_tensor_document(each) for each in tensors.outputs],
    }


def config_document(entry: ModelEntry, version: str) -> dict[str, Any]:
    """Give the configuration of a model in the words of Triton's; raises UnknownVersion."""
    version = described_version(entry, version)
    tensors, detail = tensors_of(entry, version), _detail(entry, version)
    backend = {"onnxruntime_onnx": "onnxruntime", "ascend_om": "ascend"}
    return {
        "name": entry.name,
        "platform": detail.platform,
        "backend": backend.get(detail.platform, detail.platform),
        "version_policy": {"specific": {"versions": [int(each) for each in entry.versions]}},
        "max_batch_size": detail.batch_max,
        "input": [
            _config_tensor(tensors.input)
            | {"format": "FORMAT_NONE", "is_shape_tensor": False, "optional": False}
        ],
        "output": [
            _config_tensor(each) | {"label_filename": "", "is_shape_tensor": False}
            for each in tensors.outputs
        ],
        "dynamic_batching": {
            "preferred_batch_size": [detail.batch_max],
            "max_queue_delay_microseconds": round(detail.batch_delay_ms * 1000),
            "priority_levels": 3,
            "default_priority_level": 2,
            "default_queue_policy": {"timeout_action": "REJECT", "allow_timeout_override": True},
        },
        "instance_group": [
            {
                "name": f"{each.instance}/{each.device}",
                "kind": "KIND_MODEL",
                "count": 1,
                "gpus": [],
            }
            for each in entry.details
            if each.version == version
        ],
        "parameters": {"task": {"string_value": entry.task}},
    }


def index_document(
    models: Mapping[str, ModelEntry], *, only_ready: bool = False
) -> list[dict[str, Any]]:
    """Give every version of every model with its state."""
    rows = []
    for entry in models.values():
        versions = list(dict.fromkeys([*entry.versions, *(each.version for each in entry.details)]))
        if not versions:
            rows.append({"name": entry.name, "state": "UNAVAILABLE", "reason": entry.reason})
        for version in versions:
            details = [each for each in entry.details if each.version == version]
            state = _state(details, is_offered=version in entry.versions)
            reasons = dict.fromkeys(each.reason for each in details if each.reason)
            rows.append(
                {
                    "name": entry.name,
                    "version": version,
                    "state": state,
                    "reason": "" if state == "READY" else "; ".join(reasons),
                }
            )
    return [row for row in rows if row["state"] == "READY" or not only_ready]


def statistics_document(entries: Iterable[ModelEntry], version: str = "") -> dict[str, Any]:
    """Give what models, or one *version*, have done since their dispatchers started."""
    rows = []
    for entry in entries:
        by_version: dict[str, list[VersionEntry]] = {}
        for detail in entry.details:
            if version in ("", detail.version):
                by_version.setdefault(detail.version, []).append(detail)
        rows += [_statistics(entry.name, each, details) for each, details in by_version.items()]
    return {"model_stats": rows}


def _statistics(name: str, version: str, details: Sequence[VersionEntry]) -> dict[str, Any]:
    counted = [detail.statistics for detail in details]
    jobs = sum(each.jobs - each.failures for each in counted)
    failures = sum(each.failures for each in counted)
    spent = Spent()
    for each in counted:
        spent = spent.plus(each.spent)
    whole_ms = spent.queue_ms + spent.decode_ms + spent.device_ms + spent.reduce_ms
    return {
        "name": name,
        "version": version,
        "last_inference": max((each.last_used_unix_ms for each in counted), default=0),
        "inference_count": jobs,
        "execution_count": sum(each.batches for each in counted),
        "inference_stats": {
            "success": _duration(jobs, whole_ms),
            "fail": _duration(failures, 0),
            "queue": _duration(jobs, spent.queue_ms),
            "compute_input": _duration(jobs, spent.decode_ms),
            "compute_infer": _duration(jobs, spent.device_ms),
            "compute_output": _duration(jobs, spent.reduce_ms),
            "cache_hit": _duration(0, 0),
            "cache_miss": _duration(0, 0),
        },
        "response_stats": {},
        "batch_stats": _batch_statistics(counted),
        "memory_usage": [
            {"type": "DEVICE", "id": number, "byte_size": detail.memory_bytes}
            for number, detail in enumerate(details)
            if detail.state is VersionState.LOADED
        ],
    }


def _batch_statistics(counted: Sequence[Statistics]) -> list[dict[str, Any]]:
    batches: dict[int, int] = {}
    device_ms: dict[int, float] = {}
    for statistics in counted:
        for each in statistics.by_size:
            batches[each.size] = batches.get(each.size, 0) + each.batches
            device_ms[each.size] = device_ms.get(each.size, 0.0) + each.device_ms
    return [
        {
            "batch_size": size,
            "compute_input": _duration(0, 0),
            "compute_infer": _duration(batches[size], device_ms[size]),
            "compute_output": _duration(0, 0),
        }
        for size in sorted(batches)
    ]


def _duration(count: int, spent_ms: float) -> dict[str, int]:
    return {"count": count, "ns": round(spent_ms * _NS_PER_MS)}


def _state(details: Sequence[VersionEntry], *, is_offered: bool) -> str:
    states = {each.state for each in details}
    if is_offered and (states & _READY or not states):
        return "READY"
    if VersionState.LOADING in states:
        # One that is offered takes work meanwhile.
        return "READY" if is_offered else "LOADING"
    return "UNLOADING" if VersionState.UNLOADING in states else "UNAVAILABLE"


def _detail(entry: ModelEntry, version: str) -> VersionEntry:
    return next(each for each in entry.details if each.version == version and each.inputs)


def _tensor_document(facts: TensorFacts) -> dict[str, Any]:
    return {"name": facts.name, "datatype": facts.datatype, "shape": list(facts.shape)}


def _config_tensor(facts: TensorFacts) -> dict[str, Any]:
    data_type = "TYPE_" + facts.datatype
    return {"name": facts.name, "data_type": data_type, "dims": list(facts.shape[1:])}
