"""The newer generation's name for :mod:`acllite.acllite_utils`."""

from acllite.acllite_utils import *  # noqa: F403  # the same names, by another path
