"""The result document: what was found, what made it, how long each stage took. Written once."""

from __future__ import annotations

import json

from pipeline.jobs.job import Job
from pipeline.protocol import JobInferred
from postprocess.judgement import Judgement

#: The findings' kinds are also the names of the document's lists.
Document = dict[str, object]


def result_document(
    job: Job, inferred: JobInferred, judgement: Judgement, *, now_unix_ms: int
) -> str:
    """Give the result of *job* as JSON text.

    Times are milliseconds. ``total`` runs from acceptance to *now_unix_ms*; ``postprocess`` from
    the end of the model's work, so it holds the way through the result stream too. Raises
    ValueError for a score or a place that is not a finite number, which JSON cannot carry.
    """
    made_by = inferred.made_by
    document: Document = {
        "job_id": job.job_id,
        "model": job.model,
        "version": made_by.version,
        "kind": inferred.findings.kind,
        "picture": None
        if job.tensor
        else {"width": inferred.width_px, "height": inferred.height_px},
        inferred.findings.kind: list(judgement.items),
        "counts": {
            "total": len(judgement.items),
            "by_label": judgement.by_label,
            "by_region": judgement.by_region,
        },
        "made_by": {
            "model_sha256": made_by.model_sha256,
            "settings_sha256": made_by.settings_sha256,
            "rules_sha256": inferred.rules_sha256,
            "runtime": made_by.runtime,
            "device": made_by.device,
            "decoder": made_by.decoder,
            "batch_size": made_by.batch_size,
            "attempt": inferred.attempt,
        },
        "timings_ms": {
            "queued": made_by.queued_ms,
            "decode": made_by.decode_ms,
            "waited": made_by.waited_ms,
            "device": made_by.device_ms,
            "reduce": made_by.reduce_ms,
            # The moments are of several processes' clocks, which NTP may step in between.
            "postprocess": max(0, now_unix_ms - inferred.inferred_unix_ms),
            "total": max(0, now_unix_ms - job.accepted_unix_ms),
        },
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
