"""Model cards: ``model.toml``, read and checked."""
