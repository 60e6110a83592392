"""The client's decisions, without a server."""
