"""The same on an emulated NPU: OM files come in pieces, take over, and are rolled back."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipeline.jobs.job import JobState
from tests.builders_om import compile_om
from tests.builders_onnx import save_argmax_model, save_mean_model
from tests.conformance.bench import child_path
from tests.integration.dispatcher.station import CARD, Station, colour, picture
from tests.integration.dispatcher.test_lifecycle import LIFECYCLE, detail, offers, told

GEARS = (1, 2, 4)


def om_bytes(folder: Path, name: str) -> bytes:
    """Give the bytes of an OM of this *name* that answers with the mean colour."""
    onnx = save_mean_model(folder / "mean.onnx", side_px=8)
    return compile_om(onnx, folder / f"{name}.om", dynamic_batch=GEARS, name=name).read_bytes()


async def test_an_om_is_added_in_pieces_while_jobs_flow(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut short it is refused and never loaded; whole it is the default; a wrong one stays out."""
    monkeypatch.setenv("PYTHONPATH", child_path())
    first, second = om_bytes(tmp_path, "first"), om_bytes(tmp_path, "second")
    model = station.models / "echo"
    (model / "1" / "model.onnx").unlink()
    (model / "1" / "model.om").write_bytes(first)
    card = CARD.format(name="echo", max_size=4, max_delay_ms=5).replace('"onnx"', '"acl"')
    (model / "model.toml").write_text(card.replace('"raw"\n', '"raw"\nwarm_up = true\n', 1))
    async with station.dispatcher(runtime="acl", lifecycle=LIFECYCLE):
        await offers(station, "1")
        jobs = await station.submit(*(picture(red) for red in range(10)), pinned=False)
        (model / "2").mkdir()
        for size in (200, len(second) // 2, len(second) - 1):
            (model / "2" / "model.om").write_bytes(second[:size])
            found = await told(
                station, lambda found: any(each.version == "2" for each in found.details)
            )
            assert (found.versions, detail(found, "2").state) == (("1",), "failed")
            jobs += await station.submit(picture(size % 200), pinned=False)
        (model / "2" / "model.om").write_bytes(second)
        found = await offers(station, "2", "1")
        assert detail(found, "2").file_sha256 == hashlib.sha256(second).hexdigest()
        jobs += await station.submit(*[picture(7)] * 10, version="2", pinned=False)
        (model / "3").mkdir()
        other = save_argmax_model(tmp_path / "argmax.onnx", side_px=8)
        compile_om(other, model / "3" / "model.om", batch=1)
        await told(station, lambda found: "version 3:" in found.reason)
        records = await station.through(jobs, timeout_s=30)
    assert {record.state for record in records} == {JobState.INFERRED}
    messages = await station.inferred()
    assert colour(messages[jobs[-1].job_id]) == pytest.approx((7.0, 20.0, 30.0), rel=1e-3)
    ran = {messages[job.job_id].made_by.model_sha256 for job in jobs}
    assert ran == {hashlib.sha256(data).hexdigest() for data in (first, second)}
