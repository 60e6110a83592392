"""``python -m dispatcher.host``: the checks of ``gw doctor`` for an image, which has no ``gw``.

Exits with 1 if something cannot work.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dispatcher.host.finding import Severity, as_document, as_lines, worst
from dispatcher.host.machine_checks import check_machine
from dispatcher.host.npu_checks import check_npu
from dispatcher.host.reader import read_host


def main(arguments: Sequence[str]) -> int:
    """Check, print, and give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dispatcher.host")
    parser.add_argument("--root", type=Path, default=Path("/"), help="another root to look at")
    parser.add_argument("--all", action="store_true", help="show what is well, too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    folder = Path(os.environ.get("GW_DATA_DIR", "data"))
    host = read_host(root=options.root, environ=os.environ, folders=(folder,))
    findings = [*check_npu(host), *check_machine(host)]
    if options.json:
        sys.stdout.write(json.dumps(as_document(findings), indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{each}\n" for each in as_lines(findings, show_all=options.all))
    return int(worst(findings) is Severity.ERROR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
