"""The newer generation's name for :mod:`acllite.acllite_logger`."""

from acllite.acllite_logger import log_debug, log_error, log_info, log_warning

__all__ = ["log_debug", "log_error", "log_info", "log_warning"]
