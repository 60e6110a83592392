"""Options that several subcommands share."""

from __future__ import annotations

import re
from pathlib import Path

import click

from gw.settings import DEFAULT_TENANT
from pipeline.access.tenants import TENANT_NAME

data_option = click.option(
    "--data", "data_dir", type=click.Path(path_type=Path), help="Data folder [./data]."
)
models_option = click.option(
    "--models", "models_dir", type=click.Path(path_type=Path), help="Models folder [./gwproc]."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def check_tenant(_ctx: click.Context, _parameter: click.Parameter, tenant: str) -> str:
    """Give the tenant's name; raises BadParameter for one that no tenant may have."""
    if not re.fullmatch(TENANT_NAME, tenant):
        raise click.BadParameter("lower-case letters, digits, - and _, 64 at most")
    return tenant


tenant_option = click.option(
    "--tenant",
    default=DEFAULT_TENANT,
    show_default=True,
    callback=check_tenant,
    help="Who owns it; one tenant never sees another's jobs.",
)
