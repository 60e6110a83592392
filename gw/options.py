"""Options that several subcommands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click

from gw.settings import DEFAULT_TENANT

_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


data_option = click.option(
    "--data", "data_dir", type=click.Path(path_type=Path), help="Data folder [./data]."
)
models_option = click.option(
    "--models", "models_dir", type=click.Path(path_type=Path), help="Models folder [./gwproc]."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def _check_tenant(_ctx: click.Context, _parameter: click.Parameter, tenant: str) -> str:
    if not _TENANT.fullmatch(tenant):
        raise click.BadParameter("lower-case letters, digits, - and _, 64 at most")
    return tenant


tenant_option = click.option(
    "--tenant",
    default=DEFAULT_TENANT,
    show_default=True,
    callback=_check_tenant,
    help="Who owns it; one tenant never sees another's jobs.",
)
