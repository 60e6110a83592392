"""The Open Inference Protocol v2 over REST: its requests and answers, as pure functions."""
