"""The Open Inference Protocol: inference, ``POST /v2/models/{model}/infer``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import Receive

from pipeline.access.keys import Scope
from pipeline.jobs.job import Job, JobState
from webapp import documentation as docs
from webapp.body import BodyLimits, Holding, check_claimed_length, read_body
from webapp.compression import choose_coding, compress, decompress
from webapp.error_forms import open_inference_error
from webapp.inferring import Inference, Inferring, is_whole
from webapp.open_inference.answer import InferAnswer, infer_answer, joined
from webapp.open_inference.fitting import ModelTensors, items_of, tensors_of, wanted_outputs
from webapp.open_inference.request import (
    InferRequest,
    RequestedOutput,
    parse_infer_request,
)
from webapp.parts import Parts
from webapp.refusals import InvalidField
from webapp.uploads import JSON_TYPE

HEADER_LENGTH = "Inference-Header-Content-Length"

_BINARY = "application/octet-stream"

#: Why an item failed, where the caller is to blame.
_CALLERS_FAULTS = frozenset({"undecodable_picture", "unfit_tensor"})

#: Less than a packet is not worth packing.
_COMPRESS_FROM_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class InferHead:
    """What the headers of an infer request say; *header_bytes* is None without the header."""

    content_encoding: str
    accept_encoding: str
    length_bytes: int | None
    header_bytes: int | None
    authorization: str = field(repr=False)

    @classmethod
    def of(cls, request: Request) -> InferHead:
        """Read the headers, whose names have any case; raises InvalidField."""
        headers = request.headers
        length = headers.get("content-length", "")
        header_length = headers.get(HEADER_LENGTH)
        if header_length is not None and not (
            header_length.isascii() and header_length.isdecimal()
        ):
            raise InvalidField(f"{HEADER_LENGTH} must be a number of bytes.", field=HEADER_LENGTH)
        return cls(
            content_encoding=headers.get("content-encoding", "").strip().lower(),
            accept_encoding=headers.get("accept-encoding", ""),
            length_bytes=int(length) if length.isdecimal() else None,
            header_bytes=None if header_length is None else int(header_length),
            authorization=headers.get("authorization", ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request that fits its model."""

    model: ModelTensors
    outputs: tuple[RequestedOutput, ...]
    keeps_outputs: bool
    inference: Inference


class OpenInferenceRoutes:
    """The handlers of ``/v2/models/{model}/infer``, with and without a version."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._inferring = Inferring(parts)

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        app.post("/v2/models/{model}/infer", **docs.INFER)(self.infer)
        app.post("/v2/models/{model}/versions/{version}/infer", **docs.INFER_VERSION)(self.infer)

    async def infer(self, request: Request) -> Response:
        """Infer, and answer with the model's outputs."""
        parts, head = self._parts, InferHead.of(request)
        caller = await parts.access.caller(head.authorization, Scope.SUBMIT)
        parts.monitor.check_store_answers()
        parts.monitor.check_room()
        with parts.budget.hold() as holding:
            asked = await self._asked(request, head, holding)
            inference = asked.inference
            jobs = await self._inferring.run(inference, caller, request.receive, holding)
            if not is_whole(jobs) or not jobs:
                return _failed(jobs, now_unix_ms=parts.clock.unix_ms())
            items = await self._inferring.answers(jobs, holding)
            answer = await asyncio.to_thread(
                lambda: infer_answer(
                    _head(asked, jobs[0]),
                    joined(items),
                    asked.outputs,
                    labels=asked.model.labels,
                )
            )
            response = await _response(answer, head.accept_encoding)
        if not asked.keeps_outputs:
            await self._inferring.drop_outputs(jobs)
        return response

    async def _asked(self, request: Request, head: InferHead, holding: Holding) -> _Asked:
        """Read the request and compare it with its model, so that nothing else of it is kept."""
        name, version = request.path_params["model"], request.path_params.get("version", "")
        wanted = await self._request(head, request.receive, holding)
        entry, runs = await self._inferring.model(name, version)
        model = tensors_of(entry, runs)
        outputs = wanted_outputs(wanted, model)
        items_max = self._parts.settings.uploads.jobs_per_request_max
        return _Asked(
            model=model,
            outputs=outputs,
            keeps_outputs=wanted.keeps_outputs,
            inference=Inference(
                model=name,
                version=version,
                items=await asyncio.to_thread(items_of, wanted, model, items_max=items_max),
                request_id=wanted.request_id,
                priority=wanted.priority,
                timeout_s=wanted.timeout_s,
            ),
        )

    async def _request(self, head: InferHead, receive: Receive, holding: Holding) -> InferRequest:
        """Read the body within its limits and take it apart."""
        settings = self._parts.settings.uploads
        limits = BodyLimits(
            max_bytes=settings.request_max_bytes, timeout_s=settings.upload_timeout_s
        )
        check_claimed_length(head.length_bytes, limits)
        body = await read_body(receive, limits, holding)
        if head.content_encoding not in ("", "identity"):
            # What it becomes is not known before: as much as it may.
            holding.add(limits.max_bytes)
            packed_bytes = holding.size_bytes
            body = await asyncio.to_thread(
                decompress, body, head.content_encoding, max_bytes=limits.max_bytes
            )
            holding.shrink(packed_bytes - len(body))
        return await asyncio.to_thread(
            parse_infer_request,
            body,
            header_bytes=head.header_bytes,
            json_max=settings.infer_json_max_bytes,
        )


def _head(asked: _Asked, job: Job) -> dict[str, str]:
    head = {"model_name": asked.model.model, "model_version": job.version}
    request_id = asked.inference.request_id
    return {"id": request_id, **head} if request_id else head


async def _response(answer: InferAnswer, accept_encoding: str) -> Response:
    headers, body = {}, answer.body
    if answer.header_bytes is not None:
        headers[HEADER_LENGTH] = str(answer.header_bytes)
    coding = choose_coding(accept_encoding)
    if coding and len(body) >= _COMPRESS_FROM_BYTES:
        body = await asyncio.to_thread(compress, body, coding)
        headers |= {"Content-Encoding": coding, "Vary": "Accept-Encoding"}
    media_type = JSON_TYPE if answer.header_bytes is None else _BINARY
    return Response(body, headers=headers, media_type=media_type)


def _failed(jobs: Sequence[Job], *, now_unix_ms: int) -> Response:
    """Say why there are no outputs: by the first item that has a reason of its own."""
    by_state = {job.state: job for job in reversed(jobs)}
    failed = by_state.get(JobState.FAILED)
    if failed is not None:
        status = 400 if failed.reason_code in _CALLERS_FAULTS else 500
        return open_inference_error(f"{failed.reason_code}: {failed.reason}", status)
    canceled = by_state.get(JobState.CANCELED)
    if canceled is not None and now_unix_ms < canceled.deadline_unix_ms:
        return open_inference_error("the job was canceled before its end", 409)
    return open_inference_error("the request timed out before its result was ready", 504)
