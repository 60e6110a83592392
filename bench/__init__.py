"""Measured ratios: the platform against a reference in the same run. ``python -m bench``."""
