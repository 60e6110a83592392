"""What is kept of a job's picture: the picture itself, and the preview with what was found."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request
from starlette.responses import Response

from pipeline.errors import NotFound
from webapp import documentation as docs
from webapp.parts import Parts
from webapp.refusals import JobNotEnded
from webapp.routes.own_job import own_job

_MEDIA_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "bmp": "image/bmp",
    "webp": "image/webp",
}

#: A stranger's bytes: no browser is to make more of them than a picture.
_HEADERS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'"}


class PictureRoutes:
    """The handlers of ``/v1/jobs/{job_id}/picture`` and ``/preview``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def install(self, app: FastAPI) -> None:
        """Add the routes with their documentation."""
        app.get("/v1/jobs/{job_id}/picture", **docs.READ_PICTURE)(self.picture)
        app.get("/v1/jobs/{job_id}/preview", **docs.READ_PREVIEW)(self.preview)

    async def picture(self, request: Request) -> Response:
        """Give a job's picture while it is there; raises NotFound."""
        job = await own_job(self._parts, request)
        if not job.keep_picture_s:
            raise NotFound("The pictures of this tenant's jobs are not kept.")
        data = await asyncio.to_thread(self._picture, job.job_id)
        if data is None:
            raise NotFound("The picture of this job is not kept any more.")
        media_type = _MEDIA_TYPES.get(job.picture.format, "application/octet-stream")
        return Response(data, media_type=media_type, headers=_HEADERS)

    async def preview(self, request: Request) -> Response:
        """Give a job's preview; raises NotFound, or JobNotEnded while it may still come."""
        job = await own_job(self._parts, request)
        if not job.preview:
            raise NotFound("This job was submitted without asking for a preview.")
        data = await asyncio.to_thread(self._parts.jobs.kept.preview, job.job_id)
        if data is not None:
            return Response(data, media_type="image/jpeg", headers=_HEADERS)
        if not job.state.is_terminal:
            raise JobNotEnded(job.state, hint="Its preview is not there yet.")
        raise NotFound("There is no preview of this job: the model did not get to see its picture.")

    def _picture(self, job_id: str) -> bytes | None:
        # It may be taken over between the two looks, and only ever in this direction.
        return (
            self._parts.jobs.kept.picture(job_id)
            or self._parts.jobs.blobs.get(job_id)
            or self._parts.jobs.kept.picture(job_id)
        )
