"""Protocols that callers may already speak, as thin edges over the one table of jobs."""
