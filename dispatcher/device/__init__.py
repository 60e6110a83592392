"""The device process and its supervisor's side: shared memory, messages, restarts, isolation."""
