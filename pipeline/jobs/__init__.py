"""Jobs: their states and records, how they are accepted, wait, move and end."""
