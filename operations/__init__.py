"""Long background work, as RQ jobs: batches, retention, clearing up."""
