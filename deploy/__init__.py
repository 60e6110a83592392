"""What images and hosts are made of: build steps, Compose files, their settings."""
