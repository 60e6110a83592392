"""Results -> webhooks: signed, at least once, and no subscriber delays another."""
