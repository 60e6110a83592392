"""Models and devices as the services tell each other of them."""
