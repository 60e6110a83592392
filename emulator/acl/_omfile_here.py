"""Makes the package ``omfile`` importable where only this folder is on the path.

It lies beside this folder in a checkout, and is installed with gw.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[2] / "omfile"

if importlib.util.find_spec("omfile") is None and (_FOLDER / "__init__.py").is_file():
    _spec = importlib.util.spec_from_file_location(
        "omfile", _FOLDER / "__init__.py", submodule_search_locations=[str(_FOLDER)]
    )
    if _spec is not None and _spec.loader is not None:
        _module = importlib.util.module_from_spec(_spec)
        sys.modules["omfile"] = _module
        _spec.loader.exec_module(_module)
