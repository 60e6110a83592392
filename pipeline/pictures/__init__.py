"""Pictures: where they lie, and what their first bytes say."""
