"""``gw models inspect``, ``init`` and ``pack``: model files, without an NPU."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dispatcher.cards.card import RuntimeKind
from dispatcher.models.repository import MODEL_FILE_NAMES
from gw.model_init import draft_card, model_name
from gw.model_inspect import as_document, as_text, check_target, inspect_file
from gw.model_pack import PackRequest, pack_emulated, parse_numbers, parse_shapes
from gw.new_file import write_new
from gw.options import json_option
from pipeline.errors import InvalidSettings

_file_argument = click.argument("file", type=click.Path(path_type=Path))


@click.command("inspect")
@_file_argument
@click.option("--soc", default="", help="Refuse an OM built for another chip (Ascend310B4).")
@click.option("--cann", default="", help="Refuse an OM built by a newer CANN (8.0.RC2).")
@json_option
def inspect(*, file: Path, soc: str, cann: str, as_json: bool) -> None:
    """Show what a .om or .onnx file takes, gives and was built for."""
    model = inspect_file(file)
    if as_json:
        click.echo(json.dumps(as_document(model), indent=2, ensure_ascii=False))
    else:
        click.echo(as_text(model))
    check_target(model, soc=soc, cann_version=cann)


@click.command("init")
@_file_argument
@click.option("--name", default="", help="What to call the model [its file's name].")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("gwproc"),
    show_default=True,
    help="Models folder.",
)
def init(*, file: Path, name: str, out: Path) -> None:
    """Draft a model.toml from a .om or .onnx file."""
    model = inspect_file(file)
    name = model_name(file, name)
    card = out / name / "model.toml"
    write_new(card, draft_card(model, name).encode())
    runtime = RuntimeKind.ACL if model.om is not None else RuntimeKind.ONNX
    place = out / name / "1" / MODEL_FILE_NAMES[runtime]
    click.echo(f"{card} was written; compare its lines marked CHECK with the model's training.")
    if not place.exists():
        click.echo(f"Then put the file in place:  mkdir -p {place.parent} && cp {file} {place}")
    click.echo(f"And see whether all fits:  gw models check --models {out}")


@click.command("pack")
@_file_argument
@click.option("--emulated", is_flag=True, help="Say that the result is for the emulator alone.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .om to write.")
@click.option("--name", default="", help="The model's name [its file's name].")
@click.option("--soc", default="Ascend310B4", show_default=True, help="Chip it pretends to be for.")
@click.option("--batches", default="", help="Batch sizes, as 1,2,4,8 [one: the file's own, or 1].")
@click.option("--shapes", default="", help="Sizes of free axes, as images:1,3,640,640;y:1,84,8400.")
@click.option("--aipp", type=click.Path(path_type=Path), help="AIPP file, as for ATC.")
def pack(  # noqa: PLR0913  # a command's options, by name
    *,
    file: Path,
    emulated: bool,
    out: Path,
    name: str,
    soc: str,
    batches: str,
    shapes: str,
    aipp: Path | None,
) -> None:
    """Put an ONNX model into an OM that the emulator runs."""
    if not emulated:
        raise InvalidSettings(
            "an OM for an NPU is built by ATC; give --emulated for one that only the emulator runs"
        )
    request = PackRequest(
        name=model_name(file, name),
        soc_version=soc,
        dynamic_batch=parse_numbers(batches),
        shapes=parse_shapes(shapes),
        aipp_text=_read(aipp).decode("utf-8", "replace") if aipp is not None else "",
    )
    content = pack_emulated(_read(file), request)
    write_new(out, content)
    click.echo(f"{out}: {len(content) / 1e6:.1f} MB, for the emulator alone")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise InvalidSettings(f"{path} cannot be read: {exc.strerror or exc}") from exc
