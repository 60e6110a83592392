"""What the device does next: pure decisions, and the state they are made on."""
