"""Runs the demonstration: weights, stack, pictures, webhooks, table; and leaves nothing running."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import signal
import sys
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from gw.asking import Document
from gw.data_folder import DataFolder
from gw.demo import report
from gw.demo.drawing import SENT_FOLDER, regions_of, write_pictures
from gw.demo.passages import IN_FLIGHT, MODEL, Passage, send_all
from gw.demo.pictures import Picture, pictures_in, shipped_pictures
from gw.demo.progress import Progress
from gw.demo.receiver import Receiver
from gw.down import stop_stack
from gw.first_key import read_token
from gw.model_fetch import DEMO_MODELS, Fetched, fetch_model
from gw.ports import is_free
from gw.run_lock import RunLock
from gw.server import LOOPBACK
from gw.settings import CommandSettings, environ_with
from gw.stack_run import StartFailed
from gw.up import run_in_background
from pipeline.deliveries.signing_secret import SigningSecret
from pipeline.errors import GwError, InvalidSettings, Unavailable
from pipeline.settings import load

#: Away from where the embedded Redis looks for its port, and from 8080.
_PORTS: Final = range(18080, 18280)
_STOP_PATIENCE_S: Final = 120.0
_INTERRUPTIONS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

T = TypeVar("T")


class DemoFailed(GwError):
    """The demonstration did not show what it is to show; the sentence says what and where."""

    code = "demo_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """What to do. *pictures* None takes the shipped ones; *keep* leaves the stack running.

    *usual* are the settings that a plain ``gw up`` would have.
    """

    folder: DataFolder
    models: Path
    pictures: Path | None
    out: Path
    keep: bool
    usual: CommandSettings


def run_demo(plan: DemoPlan, environ: Mapping[str, str]) -> None:
    """Run it, and stop what was started however it ends; raises GwError if anything failed."""
    pictures = pictures_in(plan.pictures) if plan.pictures else shipped_pictures()
    for model in DEMO_MODELS:
        if fetch_model(model, plan.models) is not Fetched.PRESENT:
            click.echo(f"fetched the weights of {model.name} (licence: {model.licence})")
    plan.folder.create()
    with _alone(plan.folder), _sigterm_as_interrupt():
        secret = SigningSecret.generate().to_text()
        with Receiver(secret) as receiver, _stack(plan, environ, receiver) as url:
            passages = _send(plan, url, receiver, pictures, secret)
            _show(plan, passages, receiver)
    failure = report.failure(passages, logs=plan.folder.logs)
    if failure:
        raise DemoFailed(failure)
    click.echo("Everything that was started is stopped." if not plan.keep else _keep_hint(plan))
    click.echo(f"\nTry next:\n{next_steps(plan, command=own_command(), picture=pictures[0].name)}")


@contextmanager
def _stack(plan: DemoPlan, environ: Mapping[str, str], receiver: Receiver) -> Iterator[str]:
    """Run a stack that may call the receiver; give its address."""
    if stop_stack(plan.folder, timeout_s=_STOP_PATIENCE_S):
        click.echo("stopped the stack that an earlier demonstration had kept")
    port = _free_port()
    own_environ = environ_with(
        environ, data_dir=plan.folder.root, models_dir=plan.models, http_port=port
    )
    # The usual stack may run meanwhile, on the port that this names.
    own_environ.pop("GW_EMBEDDED_REDIS_PORT", None)
    settings = load(CommandSettings, own_environ)
    keep = False
    try:
        try:
            allow = (f"{LOOPBACK}/32:{receiver.port}",)
            run_in_background(settings, own_environ, egress_allow=allow)
        except StartFailed as error:
            raise DemoFailed(f"{error}; the logs are in {plan.folder.logs}") from error
        yield f"http://{LOOPBACK}:{port}"
        keep = plan.keep
    finally:
        if not keep:
            _stop(plan.folder)


def _stop(folder: DataFolder) -> None:
    try:
        stop_stack(folder, timeout_s=_STOP_PATIENCE_S)
    except (KeyboardInterrupt, Unavailable):
        stop_stack(folder, timeout_s=_STOP_PATIENCE_S, now=True)
        raise


def _send(
    plan: DemoPlan, url: str, receiver: Receiver, pictures: Sequence[Picture], secret: str
) -> list[Passage]:
    click.echo(f"sending {len(pictures)} pictures to {MODEL}, {IN_FLIGHT} at a time")
    progress = Progress(len(pictures), is_terminal=sys.stdout.isatty())

    def verified(webhook_id: str, job_id: str, result: Document | None) -> bool:
        receipt = receiver.ledger.receipt(webhook_id)
        return receipt is not None and (receipt.job_id, receipt.result) == (job_id, result)

    async def send() -> list[Passage]:
        import httpx  # noqa: PLC0415 - slow to import, and only needed from here on

        async with httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {read_token(plan.folder.api_key)}"},
            timeout=60.0,
            trust_env=False,
        ) as client:
            return await send_all(
                client,
                pictures,
                webhook={"url": receiver.url, "secret": secret},
                verified=verified,
                ended=progress.ended,
            )

    try:
        passages = _run_interruptibly(send())
    finally:
        progress.close()
    if passages is None:
        raise KeyboardInterrupt
    return passages


def _run_interruptibly(work: Coroutine[Any, Any, T]) -> T | None:
    """Run *work* to its end; None when a signal cut it short.

    An exception out of a signal handler may come up anywhere in the event loop, so the signal
    cancels the work instead.
    """
    handlers = {number: signal.getsignal(number) for number in _INTERRUPTIONS}

    async def cancellable() -> T | None:
        task = asyncio.ensure_future(work)
        for number, handler in handlers.items():
            if handler is not signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await asyncio.wait({task})
        return None if task.cancelled() else task.result()

    try:
        return asyncio.run(cancellable())
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _show(plan: DemoPlan, passages: Sequence[Passage], receiver: Receiver) -> None:
    click.echo(f"\n{report.table(passages)}\n\nTimes are in milliseconds.")
    click.echo(
        f"webhooks: {sum(each.is_verified for each in passages)} verified by the library"
        f" standardwebhooks, {receiver.ledger.duplicates} repeated, {receiver.ledger.refused}"
        " refused"
    )
    found = [(each.picture, regions_of(each.result)) for each in passages]
    written = write_pictures(found, plan.out)
    click.echo(f"pictures with what was found: {len(written)} in {shown_path(plan.out)}/")


def next_steps(plan: DemoPlan, *, command: str, picture: str) -> str:
    """Give the commands to try next: the usual stack, and one picture sent to it."""
    usual = plan.usual
    key = shlex.quote(shown_path(DataFolder.at(usual.data_dir).api_key))
    sent = shlex.quote(shown_path(plan.out / SENT_FOLDER / picture))
    url = f"http://{LOOPBACK}:{usual.http_port}/v1/jobs?model={MODEL}"
    return (
        f"  {command} up --detach\n"
        f'  curl -H "Authorization: Bearer $(cat {key})" -H "Prefer: wait=20" \\\n'
        f'    -H "Content-Type: application/octet-stream" --data-binary @{sent} \\\n'
        f"    '{url}'"
    )


def own_command() -> str:
    """Give the words by which this program was started."""
    started = Path(sys.argv[0])
    if started.name != "gw":
        return f"{shlex.quote(sys.executable)} -m gw"
    on_path = shutil.which("gw")
    if on_path is not None and Path(on_path).resolve() == started.resolve():
        return "gw"
    return shlex.quote(shown_path(started))


def shown_path(path: Path) -> str:
    """Give *path* from here where it lies below, whole otherwise."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _keep_hint(plan: DemoPlan) -> str:
    data = shlex.quote(shown_path(plan.folder.root))
    return f"The stack is still up; `{own_command()} down --data {data}` stops it."


def _free_port() -> int:
    for port in _PORTS:
        if is_free(port):
            return port
    raise Unavailable(f"no port from {_PORTS.start} to {_PORTS.stop - 1} is free on {LOOPBACK}")


@contextmanager
def _alone(folder: DataFolder) -> Iterator[None]:
    """Keep a second demonstration off the folder: it would stop this one's stack."""
    with ExitStack() as stack:
        try:
            stack.enter_context(RunLock(folder.run / "demo-lock"))
        except InvalidSettings as error:
            raise InvalidSettings(f"another demonstration runs on {folder.root}") from error
        yield


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM unwind as Ctrl-C does, so that the stack is stopped too."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    hangup = signal.getsignal(signal.SIGHUP)
    if hangup is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGHUP, hangup)
