"""Events: what happened, who is told of it, and the log of it."""
