"""Prints the folder that programs with flat imports need on ``PYTHONPATH``."""

from pathlib import Path

if __name__ == "__main__":
    print(Path(__file__).parent / "flat")  # noqa: T201  # its one purpose
