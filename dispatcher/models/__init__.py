"""Models on this box: found, taken, tried, offered, loaded and retired."""
