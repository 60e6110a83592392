"""What a host, or a container on it, must have to run models: read once, checked purely."""
