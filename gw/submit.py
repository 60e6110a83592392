"""Sends picture files to the API and follows their jobs to the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from gw.asking import TRY_AGAIN, Document, problem_of
from gw.data_folder import DataFolder
from gw.first_key import read_token
from gw.run_lock import holder_of
from gw.server import LOOPBACK
from gw.state_file import read_state
from pipeline.errors import AccessDenied, Unavailable
from pipeline.jobs.job import JobState

REFERENCE_MAX_CHARACTERS: Final = 200
_REQUEST_PATIENCE_S: Final = 60.0
_POLL_FIRST_S: Final = 0.02
_POLL_LAST_S: Final = 0.5
TERMINAL: Final = frozenset(state for state in JobState if state.is_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Where the API is and how to be let in."""

    url: str
    token: str = field(repr=False)

    def connect(self) -> httpx.Client:
        """Open a client. A proxy in the environment is not asked for the way to this machine."""
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=_REQUEST_PATIENCE_S,
            trust_env=httpx.URL(self.url).host not in {LOOPBACK, "localhost", "::1"},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to ask of each picture. *wait_s* 0 follows no job."""

    model: str
    version: str = ""
    wait_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one file: its job, its result, or the sentence that says why there is none."""

    file: str
    job: Document | None = None
    result: Document | None = None
    error: str = ""

    @property
    def state(self) -> str:
        """The job's state; ``refused`` if there is no job."""
        return str(self.job["state"]) if self.job else "refused"

    @property
    def job_id(self) -> str:
        """The job's id, empty if there is no job."""
        return str(self.job["id"]) if self.job else ""


def find_api(
    environ: Mapping[str, str], folder: DataFolder, *, url: str | None, key_file: Path | None
) -> Api:
    """Find the API: *url* or ``GW_URL``, else the stack that runs on *folder*.

    The key comes from *key_file*, else ``GW_API_KEY``, else the folder. Raises Unavailable or
    AccessDenied with what to do.
    """
    url = url or environ.get("GW_URL")
    if not url:
        holder = holder_of(folder.lock)
        state = read_state(folder.state) if holder else None
        if state is None:
            raise Unavailable(f"gw does not run on {folder.root}; start it with `gw up`, or --url")
        url = f"http://{LOOPBACK}:{state.http_port}"
    token = environ.get("GW_API_KEY") if key_file is None else read_token(key_file)
    token = token or read_token(folder.api_key)
    if not token:
        raise AccessDenied("no API key: name a file with --key-file, or set GW_API_KEY")
    return Api(url=url, token=token)


def submit_files(
    client: httpx.Client,
    files: Sequence[Path],
    wanted: Wanted,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Outcome]:
    """Submit every file, then follow the jobs until all ended or *wanted.wait_s* is over.

    The outcomes are in the order of *files*. A file that is refused does not stop the others.
    Raises Unavailable if the API does not answer.
    """
    deadline_s = time.monotonic() + max(wanted.wait_s, _REQUEST_PATIENCE_S)
    try:
        outcomes = [
            _submit(client, file, wanted, deadline_s=deadline_s, sleep=sleep) for file in files
        ]
        follow_until_s = time.monotonic() + wanted.wait_s
        return [
            _follow(client, outcome, deadline_s=follow_until_s, sleep=sleep) for outcome in outcomes
        ]
    except httpx.TransportError as error:
        raise Unavailable(f"the API at {client.base_url} does not answer: {error}") from error


def summary_of(result: Document | None) -> str:
    """Say in a few words what a result found.

    >>> summary_of({"counts": {"total": 3, "by_label": {"cat": 2, "dog": 1}}})
    '3: 2 cat, 1 dog'
    """
    counts = (result or {}).get("counts")
    if not counts:
        return ""
    labels = ", ".join(f"{count} {label}" for label, count in counts.get("by_label", {}).items())
    return f"{counts['total']}: {labels}" if labels else str(counts["total"])


def took_ms(result: Document | None) -> float | None:
    """Give how long a job took from acceptance to its end."""
    total_ms = (result or {}).get("timings_ms", {}).get("total")
    return None if total_ms is None else float(total_ms)


def _submit(
    client: httpx.Client,
    file: Path,
    wanted: Wanted,
    *,
    deadline_s: float,
    sleep: Callable[[float], None],
) -> Outcome:
    try:
        picture = file.read_bytes()
    except OSError as error:
        return Outcome(file=str(file), error=f"cannot be read: {error.strerror}")
    query = {"model": wanted.model}
    if wanted.version:
        query["version"] = wanted.version
    if file.name.isprintable():
        query["reference"] = file.name[:REFERENCE_MAX_CHARACTERS]
    while True:
        answer = client.post(
            "/v1/jobs",
            params=query,
            content=picture,
            headers={"Content-Type": "application/octet-stream"},
        )
        pause_s = _retry_after_s(answer)
        if answer.status_code not in TRY_AGAIN or time.monotonic() + pause_s > deadline_s:
            break
        sleep(pause_s)
    if answer.is_success:
        return Outcome(file=str(file), job=answer.json())
    return Outcome(file=str(file), error=problem_of(answer))


def _follow(
    client: httpx.Client,
    outcome: Outcome,
    *,
    deadline_s: float,
    sleep: Callable[[float], None],
) -> Outcome:
    job, pause_s = outcome.job, _POLL_FIRST_S
    while job is not None and job["state"] not in TERMINAL and time.monotonic() < deadline_s:
        sleep(pause_s)
        pause_s = min(_POLL_LAST_S, pause_s * 1.5)
        answer = client.get(f"/v1/jobs/{job['id']}")
        if answer.is_success:
            job = answer.json()
        elif answer.status_code not in TRY_AGAIN:
            return Outcome(file=outcome.file, job=job, error=problem_of(answer))
    if job is None:
        return outcome
    if job["state"] == "succeeded":
        answer = client.get(f"/v1/jobs/{job['id']}/result")
        if answer.is_success:
            return Outcome(file=outcome.file, job=job, result=answer.json())
        return Outcome(file=outcome.file, job=job, error=problem_of(answer))
    reason = job.get("reason") or {}
    return Outcome(file=outcome.file, job=job, error=str(reason.get("detail") or ""))


def _retry_after_s(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else 1.0
